"""What is wrong with a user's data, said before it spoils the training.

Arrays are looked at whole before the first step. What comes from a data set
is looked at batch by batch on the device: a step that meets invalid pixels or
labels gets a zero gradient, counts them in its logs, and `InputGuard` turns
the count into an error.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

INVALID_INPUTS = "invalid_inputs"
INVALID_LABELS = "invalid_labels"


class InputGuard(keras.callbacks.Callback):
    """Stops the training with a ValueError at invalid pixels or labels."""

    # It reads numbers only, so Keras may run it beside the next step. Without
    # this, every step would wait for its logs.
    async_safe = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        raise_if_invalid(logs, f"at batch {batch}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        raise_if_invalid(logs, f"in epoch {epoch + 1}")


def raise_if_invalid(logs: Any, where: str) -> None:
    """Remove the counts from `logs`; raise a ValueError if one is not 0."""
    inputs = logs.pop(INVALID_INPUTS, 0)
    labels = logs.pop(INVALID_LABELS, 0)
    outcome = (
        "The weights have not been trained on it and are still good. Mend the "
        "data and call fit() again."
    )
    if inputs > 0:
        raise ValueError(
            f"NaN or infinite values in the input {where}: {int(inputs)} "
            f"sample(s) so far in this epoch. {outcome}"
        )
    if labels > 0:
        raise ValueError(
            f"Labels outside the model's classes {where}: {int(labels)} "
            f"sample(s) so far in this epoch. {outcome}"
        )


def count_invalid(x: Any) -> Any:
    """Number of samples (first axis) of `x` with a NaN or infinite value."""
    if not _is_float(x.dtype):
        return ops.zeros((), dtype="float32")
    finite = ops.all(ops.isfinite(x), axis=tuple(range(1, len(x.shape))))
    return ops.sum(ops.cast(ops.logical_not(finite), "float32"))


def without_invalid(x: Any) -> Any:
    """`x` in float32 with 0 in place of NaN and infinite values."""
    if not _is_float(x.dtype):
        return ops.cast(x, "float32")
    x = ops.cast(x, "float32")
    return ops.where(ops.isfinite(x), x, 0.0)


def is_array(x: Any) -> bool:
    """Whether all of `x` is there to look at (not a data set)."""
    return isinstance(x, np.ndarray) or keras.ops.is_tensor(x)


def check_arrays(
    inputs: Sequence[Any], value_range: tuple[float, float] | None
) -> None:
    """Look at whole input arrays; anything else passes.

    Raises:
        ValueError: If a value is NaN or infinite.
    """
    for x in inputs:
        if not is_array(x) or not _is_float(x.dtype) or 0 in x.shape:
            continue
        x = np.asarray(ops.convert_to_numpy(x))
        bad = ~np.isfinite(x)
        if bad.any():
            rows = np.unique(np.nonzero(bad)[0])
            raise ValueError(
                f"The input has NaN or infinite values in {len(rows)} of its "
                f"{len(x)} samples, the first at index {rows[0]}. Remove or "
                "mend these samples."
            )
        if value_range is not None and value_range[1] > 1 >= x.max():
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


def _is_float(dtype: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(dtype)
