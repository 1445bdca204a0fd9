"""What a network is given: views of samples, whole arrays, what is wrong."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops


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


def _is_float(x: Any) -> bool:
    return "float" in keras.backend.standardize_dtype(x.dtype)
