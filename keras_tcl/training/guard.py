"""The one path of bad data: seen, counted, and raised before it does harm.

Arrays are looked at whole before the first step. What comes from a data set
is looked at batch by batch on the device: a step that meets invalid pixels or
labels has a loss of 0, and so no gradient; the samples are counted by
`Faults`, a metric; and the count in the step's logs becomes a ValueError.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl.training.keras_fixes import FixedKeras

_FAULTS = {
    "invalid_inputs": "NaN or infinite values in the input",
    "invalid_labels": "Labels outside the model's classes",
}


class GuardedModel(FixedKeras):
    """A model whose data are looked at before they reach the weights.

    A subclass says what it takes in `check_data`, and hands the loss of a
    training step through `spared`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.faults = Faults(name="faults")

    def check_data(self, x: Any, y: Any = None) -> None:
        """Raise a ValueError for arrays that do not fit the model."""

    def spared(self, loss: Any, x: Any, valid_labels: Any = None) -> Any:
        """The loss of a step, or 0 if a sample of its batch is invalid.

        Args:
            loss: Scalar.
            x: Inputs of the step, or a tuple of them (views).
            valid_labels: Booleans `[batch]`. Defaults to all true.
        """
        inputs = sum(
            ops.sum(ops.cast(ops.logical_not(are_finite(view)), "float32"))
            for view in as_views(x)
        )
        labels = 0.0
        if valid_labels is not None:
            invalid = ops.logical_not(valid_labels)
            labels = ops.sum(ops.cast(invalid, "float32"))
        self.faults.update_state(inputs, labels)
        return ops.where(inputs + labels > 0, 0.0, loss)

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


# --- What is looked at -------------------------------------------------------


def as_views(x: Any) -> Sequence[Any]:
    """The inputs of a step as a sequence of views."""
    return x if isinstance(x, (tuple, list)) else (x,)


def are_finite(x: Any) -> Any:
    """Whether each sample (first axis) is without NaN and infinite values."""
    if not _is_float(x):
        return ops.ones((ops.shape(x)[0],), dtype="bool")
    return ops.all(ops.isfinite(x), axis=tuple(range(1, len(x.shape))))


def without_invalid(x: Any) -> Any:
    """`x` in float32 with 0 in place of NaN and infinite values."""
    is_float = _is_float(x)
    x = ops.cast(x, "float32")
    return ops.where(ops.isfinite(x), x, 0.0) if is_float else x


def is_array(x: Any) -> bool:
    """Whether all of `x` is there to look at (not a data set)."""
    return isinstance(x, np.ndarray) or keras.ops.is_tensor(x)


def check_inputs(
    x: Any,
    sample_shape: Sequence[int | None],
    value_range: tuple[float, float] | None = None,
) -> None:
    """Look at whole input arrays; anything else passes.

    Args:
        x: Array, or a tuple of them (views).
        sample_shape: `(H, W, C)`, or `(T, H, W, C)` where T is free.
        value_range: What the pixels should span, or `None` for counts.

    Raises:
        ValueError: If an array has another shape, or NaN or infinite values.
    """
    for view in as_views(x):
        if not is_array(view):
            continue
        if len(view.shape) > 1:
            check_sample_shape(view.shape[1:], sample_shape)
        if not _is_float(view) or 0 in view.shape:
            continue
        view = np.asarray(ops.convert_to_numpy(view))
        bad = ~np.isfinite(view)
        if bad.any():
            rows = np.unique(np.nonzero(bad)[0])
            raise ValueError(
                f"The input has NaN or infinite values in {len(rows)} of its "
                f"{len(view)} samples, the first at index {rows[0]}. Remove "
                "or mend these samples."
            )
        if value_range is not None and value_range[1] > 1 >= view.max():
            warnings.warn(
                "The input never exceeds 1, but the model expects pixels in "
                f"value_range={value_range}: it would see black images. Give "
                "raw pixels, or build the model with `value_range=(0, 1)`.",
                stacklevel=4,
            )


def check_sample_shape(shape: Sequence[Any], expected: Sequence[Any]) -> None:
    """Compare the shape of one sample with the one the network was built for.

    Args:
        shape: `(H, W, C)` or `(T, H, W, C)` as received.
        expected: The same of the network; its T, if it has one, is free.

    Raises:
        ValueError: If they differ.
    """
    shape, expected = tuple(shape), tuple(expected)
    kind = {3: "images (H, W, C)", 4: "event frames (T, H, W, C)"}
    if len(shape) != len(expected):
        raise ValueError(
            f"This model takes {kind[len(expected)]}. Received samples of "
            f"shape {shape}, {kind.get(len(shape), 'which are neither')}. "
            "A rank-4 `input_shape`, (T or None, H, W, C), builds a model for "
            "event frames, a rank-3 one, (H, W, C), a model for images."
        )
    if len(expected) == 4:
        if shape[0] is None:
            raise ValueError(
                "Event frames must have a known number of time steps T. "
                f"Received samples of shape {shape}; in a tf.data pipeline, "
                "fix it with `tf.ensure_shape`."
            )
        shape, expected = shape[1:], expected[1:]
    if shape != expected:
        raise ValueError(
            "This model was built for samples of (H, W, C) = "
            f"{expected}. Received {shape}. Resize the data, or build the "
            "model with another `input_shape`."
        )


def check_views(x: Any, loss: Any, has_augmenter: bool) -> None:
    """Compare the views in training data with those the loss asks for.

    Raises:
        ValueError: If there are others, and no augmenter to make them.
    """
    views = getattr(loss, "views", 1)
    if isinstance(x, (tuple, list)):
        shapes = [tuple(view.shape) for view in x]
        if len(x) != views or len(set(shapes)) != 1:
            raise ValueError(
                f"The loss {loss!r} wants {views} view(s) of each sample. "
                f"Received a tuple of views of shapes {shapes}: their number "
                "must agree with the loss, and their shapes with each other."
            )
    elif views > 1 and not has_augmenter:
        raise ValueError(
            f"The loss {loss!r} compares {views} views of each sample, but "
            "the data has one and the model has no augmenter to make others "
            'from it. Build the model with `augmenter="auto"` or another, or '
            "give the views as data: `((x1, x2), y)`."
        )


def loss_of_logits(loss: Any) -> Any:
    """Make sure that a Keras cross entropy treats the output as logits."""
    from_logits = {
        "sparse_categorical_crossentropy": (
            keras.losses.SparseCategoricalCrossentropy
        ),
        "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    }
    if isinstance(loss, str) and loss in from_logits:
        return from_logits[loss](from_logits=True)
    if getattr(loss, "from_logits", True) is False:
        raise ValueError(
            "The model returns logits, but this loss takes probabilities. "
            f"Use `{type(loss).__name__}(from_logits=True)`. Received: "
            f"loss={loss!r} with from_logits=False."
        )
    return loss


def _is_float(x: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(x.dtype)
