"""Accuracy by latency and firing rates, logged during training."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_tcl import checks, inputs
from keras_tcl.analysis.measurement import check_data, network_of, reader
from keras_tcl.analysis.rates import GROUPINGS, grouped_layers, rates_of
from keras_tcl.distribution import replicas
from keras_tcl.inference.latency import add_by_latency, correct_by_latency
from keras_tcl.inference.readout import Readout


class LatencyMonitor(keras.callbacks.Callback):
    """Logs the accuracy at every latency, and how often neurons fire.

    After an epoch, one pass over the validation data adds to the logs

    - `val_accuracy_t1`, ..., `val_accuracy_tT`: the accuracy of the mean of
      the first t steps' logits, as `TCLModel.evaluate_timesteps` returns it;
    - `firing_rate`: spikes per neuron and time step, between 0 and 1.

    They end up in `history`, in the progress bar, and with every callback
    that comes later in the list: one may watch `"val_accuracy_t1"`. The
    training itself is not touched.

    Args:
        validation_data: Pair of arrays `(x, y)`, labels integer or one-hot,
            or a data set of such batches.
        by: One of `"layer"`, `"block"`, `"block_output"`, `"stage"`, for
            rates of parts as well, averaged over the time steps, such as
            `firing_rate_stage1`: see `keras_tcl.analysis.firing_rates`.
            Defaults to `"model"`: the one rate of all neurons.
        frequency: Integer, the number of epochs from one measurement to the
            next. Defaults to `1`.
        batch_size: Integer, samples looked at together; a data set has its
            own. Defaults to `32`.

    Raises:
        ValueError: If an argument or the data does not fit.

    Example:

    >>> model = keras_tcl.models.sew_resnet([1, 1], [4, 8], (8, 8, 1), 10)
    >>> model.compile("sgd", keras_tcl.losses.TET())
    >>> x, y = np.random.randint(0, 256, (16, 8, 8, 1)), np.arange(16) % 10
    >>> monitor = keras_tcl.analysis.LatencyMonitor((x, y))
    >>> history = model.fit(x, y, verbose=0, callbacks=[monitor]).history
    >>> [name for name in sorted(history) if "val" in name]
    ['val_accuracy_t1', 'val_accuracy_t2', 'val_accuracy_t3', 'val_accuracy_t4']
    """

    def __init__(
        self,
        validation_data: Any,
        by: str = "model",
        frequency: int = 1,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        is_pair = isinstance(validation_data, (tuple, list))
        if (
            validation_data is None
            or hasattr(validation_data, "shape")
            or (is_pair and len(validation_data) != 2)
        ):
            raise ValueError(
                "`validation_data` must be a pair of arrays (x, y) or a data "
                f"set of such batches. Received: {type(validation_data)}"
                f"{f' of length {len(validation_data)}' if is_pair else ''}."
            )
        if is_pair and len(validation_data[0]) != len(validation_data[1]):
            raise ValueError(
                "`validation_data` must be as many samples as labels. "
                f"Received: {len(validation_data[0])} samples, "
                f"{len(validation_data[1])} labels."
            )
        self.validation_data = validation_data
        self.by = checks.choice("by", by, GROUPINGS)
        self.frequency = checks.integer("frequency", frequency)
        self.batch_size = checks.integer("batch_size", batch_size)
        self._reader: Readout | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        network = network_of(self.model)
        if self._has_arrays():
            check_data(self.model, self.validation_data[0])
        groups = {
            **grouped_layers(network, "model"),
            **grouped_layers(network, self.by),
        }
        # Kept from epoch to epoch, so that it is compiled once.
        self._reader = reader(network, rates_of(groups))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None and (epoch + 1) % self.frequency == 0:
            logs.update(self._measure())

    def on_train_end(self, logs: Any = None) -> None:
        self._reader = None

    def _measure(self) -> dict[str, float]:
        hits, total = np.zeros(0), 0
        rates: dict[str, float] = {}
        reader: Any = self._reader
        for x, y in self._batches():
            outputs = reader.predict_on_batch(x)
            logits = outputs["logits"]
            hits = add_by_latency(hits, correct_by_latency(logits, y))
            for name, rate in outputs["results"].items():
                rates[name] = rates.get(name, 0.0) + rate.mean(1).sum()
            total += len(logits)
        if not total:
            raise ValueError(
                "`validation_data` is empty: there is no accuracy."
            )
        # Callbacks of all processes decide by these, and must decide alike.
        sums = np.array([*hits, *rates.values(), total])
        sums = replicas.of_all_parts(self.validation_data, sums)
        means = sums[:-1] / sums[-1]
        results = {
            f"val_accuracy_t{t}": float(mean)
            for t, mean in enumerate(means[: len(hits)], start=1)
        }
        for name, mean in zip(rates, means[len(hits) :], strict=True):
            key = "firing_rate" if name == "model" else f"firing_rate_{name}"
            results[key] = float(mean)
        return results

    def _batches(self) -> Iterable[tuple[Any, Any]]:
        data = self.validation_data
        if self._has_arrays():
            # Not by `predict`: under PyTorch, it would draw a random number,
            # and so change the order of the training data.
            x, y = data
            size = self.batch_size
            return (
                (x[i : i + size], y[i : i + size])
                for i in range(0, len(x), size)
            )
        return inputs.batches_of(data)

    def _has_arrays(self) -> bool:
        return isinstance(self.validation_data, (tuple, list))
