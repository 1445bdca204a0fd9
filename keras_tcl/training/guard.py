"""The one path of bad data: seen, counted, and raised before it does harm.

Arrays are looked at whole before the first step, and so is each batch of a
data set where steps run one operation at a time (PyTorch). What a compiled
step is given is looked at on the device: the samples that are invalid are
counted by `Faults`, a metric; from the first on, the steps of the epoch leave
weights, moving statistics and optimizer as they were; and the count in the
step's logs becomes a ValueError.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import checks, inputs
from keras_tcl.distribution import replicas
from keras_tcl.losses import TemporalLoss, labels
from keras_tcl.training.keras_fixes import arguments_of
from keras_tcl.training.keras_losses import ignored_class, takes_ids
from keras_tcl.training.parallel import ParallelModel

_FAULTS = {
    "invalid_inputs": "NaN or infinite values in the input, or pixels far "
    "outside the `value_range`,",
    "invalid_labels": "Labels outside the model's classes",
}
_LARGEST = "largest_input"
_SPARED = "The weights have not been trained on it and are still good."
_NOT_SPARED = (
    "Several replicas have moved momentum and moving statistics: start from "
    "saved weights."
)
# Each operation of a step sees the values it works on.
_SEES_VALUES = keras.config.backend() == "torch"


class GuardedModel(ParallelModel):
    """A model whose data are looked at before they reach the weights.

    A subclass has `classes`, `sample_shape`, and `value_range` unless it
    `takes_events`; it hands the loss of a step through `_spared`.
    """

    predict_function: Any  # Keras sets it, and calls it.

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.faults = Faults(name="faults")
        self._warned_of_range = False
        self._looks_at_next_batch = False

    def check_data(self, x: Any, y: Any = None) -> None:
        """Raise a ValueError for arrays that do not fit the model.

        And for a data set that is known to be empty. Pixels in [0, 1] where
        the model expects greater ones are warned of, once.
        """
        inputs.check_not_empty(x)
        self._check_values(x, y)
        self._warn_of_range(x)
        self._looks_at_next_batch = not inputs.is_array(inputs.as_views(x)[0])

    # --- What is looked at, on the host and on the device -----------------

    @property
    def _pixel_range(self) -> tuple[float, float] | None:
        return None if self.takes_events else self.value_range

    def _check_values(self, x: Any, y: Any) -> None:
        inputs.check_inputs(x, self.sample_shape, self._pixel_range)
        loss = getattr(self, "loss", None)
        if not inputs.is_array(y):
            return
        if isinstance(loss, TemporalLoss):
            loss.validate_labels(y, self.classes)
        elif takes_ids(loss):
            labels.validate_ids(y, self.classes, ignored_class(loss))

    def _check_batch(self, data: Any) -> None:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        try:
            self._check_values(x, y)
        except ValueError as error:
            raise ValueError(f"{error} {_SPARED}") from None
        if self._looks_at_next_batch:
            self._looks_at_next_batch = False
            self._warn_of_range(x)

    def _warn_of_range(self, x: Any) -> None:
        first = inputs.as_views(x)[0]
        if self._warned_of_range or not inputs.is_array(first):
            return
        if inputs.is_float(first):
            self._warn_of_dark(np.max(ops.convert_to_numpy(first)))

    def _warn_of_dark(self, largest: Any) -> None:
        if not self._warned_of_range:
            self._warned_of_range = inputs.warn_of_dark_pixels(
                float(largest), self._pixel_range
            )

    def _spared(self, loss: Any, x: Any, y: Any = None) -> Any:
        """The loss of a step, or 0 if a sample of its batch is invalid.

        Args:
            loss: Scalar.
            x: Inputs of the step, or a tuple of them (views).
            y: Labels.
        """
        if _SEES_VALUES:
            return loss
        views = keras.tree.flatten(x)
        are_valid = inputs.are_valid(views[0], self._pixel_range)
        for view in views[1:]:
            of_view = inputs.are_valid(view, self._pixel_range)
            are_valid = ops.logical_and(are_valid, of_view)
        samples = _count_false(are_valid)
        of_labels = 0.0
        if isinstance(self.loss, TemporalLoss):
            of_labels = _count_false(self.loss.valid(y, self.classes))
        elif takes_ids(self.loss):
            ids = labels.are_ids(y, self.classes, ignored_class(self.loss))
            of_labels = _count_false(
                ops.all(ids, tuple(range(1, len(ids.shape))))
            )
        self.faults.update_state(samples, of_labels, inputs.largest(views[0]))
        is_bad = replicas.total(samples + of_labels) > 0
        return ops.where(is_bad, 0.0, loss)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        if ops.is_tensor(y):
            checks.shape("the labels", y.shape)
        if y is not None and not _SEES_VALUES and takes_ids(self.loss):
            # TensorFlow would raise an error of its own for such labels.
            ids = labels.are_ids(y, self.classes, ignored_class(self.loss))
            y = ops.where(ids, y, ops.zeros_like(y))
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def _without_invalid(self, x: Any) -> Any:
        """`x` in float32, with 0 for what would ruin moving statistics."""
        return inputs.without_invalid(x, self._pixel_range)

    def _raise_counted(self) -> None:
        """Raise for what an evaluation has counted."""
        if not _SEES_VALUES:
            counts = self.faults.result()
            self._warn_of_dark(counts[_LARGEST])
            _raise_faults(counts, "in the data: {} sample(s). Mend the data.")

    # --- Steps --------------------------------------------------------------

    def train_step(self, *args: Any) -> Any:
        # JAX passes (state, data), the others (data,).
        *state, data = args
        if _SEES_VALUES:
            with self._together(self._check_batch, data, is_training=True):
                return super().train_step(data)
        if state:
            logs, after = super().train_step(*args)
            *learned, metrics = after
            is_good = _no_faults(logs)
            learned = [
                [ops.where(is_good, *pair) for pair in zip(*kinds, strict=True)]
                for kinds in zip(learned, state[0][:-1], strict=True)
            ]
            return logs, (*learned, metrics)
        if self._replicas > 1:
            # They may not assign. A loss of 0 spares the weights, except for
            # what momentum and moving statistics do by themselves.
            return super().train_step(data)
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        variables = [*self.variables, *self.optimizer.variables]
        before = [ops.copy(variable.value) for variable in variables]
        logs = super().train_step(data)
        is_good = _no_faults(logs)
        for variable, old in zip(variables, before, strict=True):
            variable.assign(ops.where(is_good, variable, old))
        return logs

    @property
    def _state_of_weights(self) -> str:
        return _NOT_SPARED if self._replicas > 1 else _SPARED

    def test_step(self, *args: Any) -> Any:
        if not _SEES_VALUES:
            return super().test_step(*args)
        with self._together(self._check_batch, args[-1], is_training=False):
            return super().test_step(*args)

    def compute_metrics(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        results = super().compute_metrics(*args, **kwargs)
        return without_faults(results) if _SEES_VALUES else results

    # --- Passes over data ---------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Trains the model, as `keras.Model.fit` does.

        Arrays are checked for pixels and labels that are none before the
        first step; so is each batch of a data set.
        """
        given = (x, y, batch_size, epochs, verbose, callbacks, *args)
        named = arguments_of("fit", self, *given, **kwargs)
        validation = named.get("validation_data")
        if isinstance(validation, (tuple, list)) and len(validation) > 1:
            self.check_data(*validation[:2])
        self.check_data(x, y)
        looks = self._looks_at_next_batch
        guard = _Guard(self._warn_of_dark, looks, self._state_of_weights)
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = keras.tree.flatten(callbacks or [])
            callbacks.sort(key=lambda x: not getattr(x, "goes_first", False))
            callbacks = [guard, *callbacks]
            return super().fit(*given[:5], callbacks, *args, **kwargs)
        guard.set_model(self)
        callbacks.callbacks.insert(0, guard)  # Others are to see no counts.
        try:
            return super().fit(*given, **kwargs)
        finally:
            callbacks.callbacks.remove(guard)

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Returns loss and metrics, as `keras.Model.evaluate` does."""
        self.check_data(x, y)
        with self._alone():
            results = super().evaluate(x, y, *args, **kwargs)
            self._raise_counted()
        return results

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Returns logits averaged over time, as `keras.Model.predict` does.

        Samples of a data set that are invalid have NaN logits. Several
        threads may predict at once. A process forked after this one has
        computed something hangs, as with plain Keras: have
        `multiprocessing` spawn it.
        """
        self.check_data(x)
        return super().predict(x, *args, **kwargs)

    def train_on_batch(
        self, x: Any, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Runs one training step; its results are a dictionary."""
        inputs.check_lengths(x, y)
        self._looks_at_next_batch = True
        logs = super().train_on_batch(x, y, *args, **kwargs)
        if _LARGEST in logs:
            self._warn_of_dark(logs[_LARGEST])
        message = f"in the batch: {{}} sample(s). {self._state_of_weights}"
        _raise_faults(logs, f"{message} Mend the data.")
        return self._in_order(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Evaluates one batch, as `keras.Model.test_on_batch` does."""
        inputs.check_lengths(x, y)
        self._looks_at_next_batch = True
        with self._alone():
            results = super().test_on_batch(x, y, *args, **kwargs)
            self._raise_counted()
        return results

    def make_predict_function(self, force: bool = False) -> Any:
        before = self.predict_function
        super().make_predict_function(force)
        if self.predict_function is not before:
            self.predict_function = self._looking(self.predict_function)
        return self.predict_function

    def _looking(self, predict: Callable[..., Any]) -> Callable[..., Any]:
        """A `predict_function` that looks at the first batch of a pass."""

        def run(*args: Any) -> Any:
            # JAX passes (state, iterator), the others (batches,).
            if not self._looks_at_next_batch:
                return predict(*args)
            self._looks_at_next_batch = False
            *state, batches = args
            batches = iter(batches) if state else batches
            first, *_ = peeked = list(itertools.islice(batches, 1))
            self._warn_of_range(keras.utils.unpack_x_y_sample_weight(first)[0])
            rest = itertools.chain(peeked, batches) if state else batches
            return predict(*state, rest)

        return run


class Faults(keras.metrics.Metric):
    """Counts the samples that no step can learn from.

    And keeps the largest value of the inputs; -1 if there were none.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.counts = {
            name: self.add_variable((), "zeros", name=name) for name in _FAULTS
        }
        # The sum of several replicas' would be no pixel.
        largest = self.add_variable((), "zeros", None, "mean", _LARGEST)
        self.counts[_LARGEST] = largest

    def update_state(self, inputs: Any, labels: Any, largest: Any) -> None:
        for name, count in zip(_FAULTS, (inputs, labels), strict=True):
            self.counts[name].assign_add(ops.cast(count, "float32"))
        seen = self.counts[_LARGEST]
        # One more than it is, for metrics begin with 0.
        seen.assign(ops.maximum(seen, largest + 1.0))

    def result(self) -> dict[str, Any]:
        counts = {name: count + 0.0 for name, count in self.counts.items()}
        return {**counts, _LARGEST: counts[_LARGEST] - 1.0}


class _Guard(keras.callbacks.Callback):
    """Stops a training whose logs count faults."""

    # It reads numbers only, so Keras may run it beside the next step. Without
    # this, every step would wait for its logs.
    async_safe = True

    def __init__(
        self,
        warn_of_dark: Callable[[Any], None],
        looks_at_next: bool,
        state_of_weights: str,
    ) -> None:
        super().__init__()
        self._warn_of_dark = warn_of_dark
        self._looks_at_next = looks_at_next
        self._message = (
            "{}: {{}} sample(s) so far in this epoch. "
            f"{state_of_weights} Mend the data and call fit() again."
        )

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        largest = logs.pop(_LARGEST, None)
        if self._looks_at_next and largest is not None:
            self._warn_of_dark(largest)
        self._looks_at_next = False
        _raise_faults(logs, self._message.format(f"at batch {batch}"))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        _raise_faults(logs, self._message.format(f"in epoch {epoch + 1}"))


def without_faults(logs: dict[str, Any]) -> dict[str, Any]:
    """Logs of a step that counts no faults."""
    return {k: v for k, v in logs.items() if k not in (*_FAULTS, _LARGEST)}


def _raise_faults(logs: Any, message: str) -> None:
    """Take the counts out of `logs`; raise a ValueError if one is not 0."""
    logs.pop(_LARGEST, None)
    # Replicas report the mean of their counts, 0.5 say: it is a fault, too.
    counts = {name: math.ceil(logs.pop(name, 0)) for name in _FAULTS}
    for name, count in counts.items():
        if count:
            raise ValueError(f"{_FAULTS[name]} {message.format(count)}")


def _no_faults(logs: dict[str, Any]) -> Any:
    return sum(logs.get(name, 0.0) for name in _FAULTS) <= 0


def _count_false(values: Any) -> Any:
    return ops.sum(ops.cast(ops.logical_not(values), "float32"))
