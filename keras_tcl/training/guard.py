"""The one path of bad data: seen, counted, and raised before it does harm.

Arrays are looked at whole before the first step. What comes from a data set
is looked at batch by batch on the device: a step that meets invalid pixels or
labels has a loss of 0, and so no gradient; the samples are counted by
`Faults`, a metric; and the count in the step's logs becomes a ValueError.
"""

from typing import Any

import keras
from keras import ops

from keras_tcl import inputs
from keras_tcl.training.keras_fixes import FixedKeras

_FAULTS = {
    "invalid_inputs": "NaN or infinite values in the input",
    "invalid_labels": "Labels outside the model's classes",
}


class GuardedModel(FixedKeras):
    """A model whose data are looked at before they reach the weights.

    A subclass says what it takes in `check_data`, and hands the loss of a
    training step through `_spared`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.faults = Faults(name="faults")

    def check_data(self, x: Any, y: Any = None) -> None:
        """Raise a ValueError for arrays that do not fit the model."""

    def _spared(self, loss: Any, x: Any, valid_labels: Any = None) -> Any:
        """The loss of a step, or 0 if a sample of its batch is invalid.

        Args:
            loss: Scalar.
            x: Inputs of the step, or a tuple of them (views).
            valid_labels: Booleans `[batch]`. Defaults to all true.
        """
        samples = sum(
            _count_false(inputs.are_finite(view)) for view in inputs.as_views(x)
        )
        labels = 0.0 if valid_labels is None else _count_false(valid_labels)
        self.faults.update_state(samples, labels)
        return ops.where(samples + labels > 0, 0.0, loss)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Trains the model, as `keras.Model.fit` does.

        Arrays are checked for NaN, infinite values and labels outside the
        classes before the first step; so is each batch of a data set.
        """
        self.check_data(x, y)
        validation = kwargs.get("validation_data")
        if isinstance(validation, (tuple, list)) and len(validation) > 1:
            self.check_data(*validation[:2])
        guard = _Guard()
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(guard)
        else:
            callbacks = keras.tree.flatten(callbacks or [])
            callbacks = [guard, *callbacks]
        return super().fit(
            x, y, batch_size, epochs, verbose, callbacks, **kwargs
        )

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Returns loss and metrics, as `keras.Model.evaluate` does."""
        self.check_data(x, y)
        return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns logits averaged over time, as `keras.Model.predict` does."""
        self.check_data(x)
        return super().predict(x, *args, **kwargs)

    def train_on_batch(
        self, *args: Any, return_dict: bool = False, **kwargs: Any
    ) -> Any:
        """Runs one training step, as `keras.Model.train_on_batch` does."""
        logs = super().train_on_batch(*args, return_dict=True, **kwargs)
        _raise_faults(logs, "of this batch")
        # The loss first, whatever order the compiled step returns.
        logs = {"loss": logs.pop("loss"), **logs}
        logs = {name: float(value) for name, value in logs.items()}
        if return_dict:
            return logs
        return list(logs.values()) if len(logs) > 1 else logs["loss"]


class Faults(keras.metrics.Metric):
    """Counts the samples that no step can learn from."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.counts = {
            name: self.add_variable((), "zeros", name=name) for name in _FAULTS
        }

    def update_state(self, inputs: Any, labels: Any) -> None:
        for name, count in zip(_FAULTS, (inputs, labels), strict=True):
            self.counts[name].assign_add(ops.cast(count, "float32"))

    def result(self) -> dict[str, Any]:
        return {name: count + 0.0 for name, count in self.counts.items()}


class _Guard(keras.callbacks.Callback):
    """Stops a training whose logs count faults."""

    # It reads numbers only, so Keras may run it beside the next step. Without
    # this, every step would wait for its logs.
    async_safe = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        _raise_faults(logs, f"at batch {batch}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        _raise_faults(logs, f"in epoch {epoch + 1}")


def without_faults(logs: dict[str, Any]) -> dict[str, Any]:
    """Logs of a step that counts no faults."""
    return {k: v for k, v in logs.items() if k not in _FAULTS}


def _raise_faults(logs: Any, where: str) -> None:
    """Take the counts out of `logs`; raise a ValueError if one is not 0."""
    counts = {name: int(logs.pop(name, 0)) for name in _FAULTS}
    for name, count in counts.items():
        if count:
            raise ValueError(
                f"{_FAULTS[name]} {where}: {count} sample(s) so far in this "
                "epoch. The weights have not been trained on it and are still "
                "good. Mend the data and call fit() again."
            )


def _count_false(values: Any) -> Any:
    return ops.sum(ops.cast(ops.logical_not(values), "float32"))
