"""Accuracy by latency and firing rates, logged during training."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_tcl.analysis.firing_rates import rate_probe
from keras_tcl.analysis.neurons import GROUPINGS, grouped_layers
from keras_tcl.analysis.probe import Probe, check_arguments
from keras_tcl.layers.checks import positive_integer
from keras_tcl.models.latency import batches_of, correct_by_latency


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

    ```python
    monitor = keras_tcl.analysis.LatencyMonitor((x_test, y_test))
    history = model.fit(x_train, y_train, epochs=10, callbacks=[monitor])
    history.history["val_accuracy_t1"]
    ```
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
        if by not in GROUPINGS:
            raise ValueError(
                f"`by` must be one of {GROUPINGS}. Received: by={by!r}."
            )
        self.validation_data = validation_data
        self.by = by
        self.frequency = positive_integer("frequency", frequency)
        self.batch_size = positive_integer("batch_size", batch_size)
        self._probe: Probe | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        data = self.validation_data
        check_arguments(model, data[0] if self._has_arrays() else data)
        # Kept from epoch to epoch, so that it is compiled once.
        groups = grouped_layers(model, "model")
        self._probe = rate_probe(model, groups | grouped_layers(model, self.by))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None and (epoch + 1) % self.frequency == 0:
            logs.update(self._measure())

    def on_train_end(self, logs: Any = None) -> None:
        self._probe = None

    def _measure(self) -> dict[str, float]:
        hits, total = np.zeros(1), 0
        rates: dict[str, float] = {}
        probe: Any = self._probe
        for x, y in self._batches():
            outputs = probe.predict_on_batch(x)
            logits = outputs["logits"]
            hits = hits + correct_by_latency(logits, y)
            for name, rate in outputs["results"].items():
                rates[name] = rates.get(name, 0.0) + rate.mean(1).sum()
            total += len(logits)
        if not total:
            raise ValueError(
                "`validation_data` is empty: there is no accuracy."
            )
        results = {
            f"val_accuracy_t{t}": float(count / total)
            for t, count in enumerate(hits, start=1)
        }
        for name, rate in rates.items():
            key = "firing_rate" if name == "model" else f"firing_rate_{name}"
            results[key] = float(rate / total)
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
        return batches_of(data)

    def _has_arrays(self) -> bool:
        return isinstance(self.validation_data, (tuple, list))
