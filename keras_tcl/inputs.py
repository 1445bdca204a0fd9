"""What a network is given: views of samples, whole arrays, what is wrong."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import checks, graph
from keras_tcl.layers import PixelNormalization


def as_views(x: Any) -> Sequence[Any]:
    """The inputs of a step as a sequence of views."""
    x = one_input(x)
    return x if isinstance(x, (tuple, list)) else (x,)


def one_input(x: Any) -> Any:
    """`x`, or what a dictionary `{"inputs": x}` has in it.

    Raises:
        ValueError: If it has several entries, or none.
    """
    if not isinstance(x, Mapping):
        return x
    if len(x) != 1:
        raise ValueError(
            "The network has one input: give it by itself, or as a "
            'dictionary {"inputs": x}. Received: a dictionary with the keys '
            f"{sorted(map(str, x))}."
        )
    (x,) = x.values()
    return x


def limits(value_range: tuple[float, float] | None) -> tuple[float, float]:
    """The least and the greatest value an input may have.

    Pixels may leave their range by ten times its width, which nothing does
    that was meant for it: a NoData value of 3.4e38 is finite, and yet would
    ruin the moving statistics of a normalization for good. Counts (`None`)
    may be anything up to 1e9.
    """
    if value_range is None:
        return -1e9, 1e9
    low, high = value_range
    margin = 10.0 * (high - low)
    return low - margin, high + margin


def pixel_range(network: keras.Model) -> tuple[float, float] | None:
    """The range of pixels that a network normalizes, `None` of counts."""
    for layer in graph.layers(network, PixelNormalization):
        return layer.value_range
    return None


def are_valid(x: Any, value_range: tuple[float, float] | None = None) -> Any:
    """Whether each sample (first axis) lies within the `limits`.

    No sample with NaN or infinite values does.
    """
    low, high = limits(value_range)
    if _always_within(x, low, high):
        return ops.ones((ops.shape(x)[0],), dtype="bool")
    x = ops.cast(x, "float32")
    within = ops.logical_and(x >= low, x <= high)
    return ops.all(within, axis=tuple(range(1, len(x.shape))))


def largest(x: Any) -> Any:
    """The largest value of floats; of other numbers, infinity."""
    if not is_float(x):
        return ops.convert_to_tensor(np.inf, "float32")
    return ops.max(ops.cast(x, "float32"))


def without_invalid(
    x: Any, value_range: tuple[float, float] | None = None
) -> Any:
    """`x` in float32 with 0 in place of what is beyond the `limits`, or NaN."""
    low, high = limits(value_range)
    within = _always_within(x, low, high)
    x = ops.cast(x, "float32")
    if within:
        return x
    return ops.where(ops.logical_and(x >= low, x <= high), x, 0.0)


def is_array(x: Any) -> bool:
    """Whether all of `x` is there to look at (not a data set)."""
    return isinstance(x, (np.ndarray, np.generic)) or ops.is_tensor(x)


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
        ValueError: If an array has another shape, or values that are NaN,
            infinite or beyond the `limits`.
    """
    low, high = limits(value_range)
    for view in as_views(x):
        if not is_array(view):
            continue
        if getattr(view.dtype, "kind", "f") in "OSUcMm":
            raise ValueError(
                "Images must be real numbers. Received: an array of dtype "
                f"{view.dtype}."
            )
        check_sample_shape(view.shape[1:], sample_shape)
        if 0 in view.shape or _always_within(view, low, high):
            continue
        view = np.asarray(ops.convert_to_numpy(view))
        # Two numbers of the whole array first: NaN is the least of any.
        if view.min() >= low and view.max() <= high:
            continue
        rows = np.unique(np.nonzero(~((view >= low) & (view <= high)))[0])
        mend = "Remove or mend these samples."
        if np.isfinite(view).all() and value_range is not None:
            mend += " Or build the model with the `value_range` of the data."
        raise ValueError(
            "NaN or infinite values in the input, or values beyond "
            f"{low:g} ... {high:g}"
            + (value_range is not None)
            * f" (value_range={value_range})"
            + f": in {len(rows)} of its {len(view)} samples, the first at "
            f"index {rows[0]}. {mend}"
        )


def check_not_empty(x: Any) -> None:
    """Raise a ValueError for data known to hold no sample, or no batch."""
    if x is None:
        raise ValueError("There is no data. Received: x=None.")
    first = as_views(x)[0] if is_array(x) or _is_views(x) else x
    try:
        size = len(first)
    except TypeError:  # A generator, an endless data set, nothing at all.
        return
    if size == 0:
        raise ValueError(
            "The data is empty: it holds no sample. Received "
            + (
                f"an array of shape {tuple(first.shape)}."
                if is_array(first)
                else f"{type(x).__name__} of length 0."
            )
        )


def check_lengths(x: Any, y: Any) -> None:
    """Raise a ValueError where a batch has not one label of each sample."""
    for view in as_views(x):
        if is_array(view) and is_array(y) and view.shape[:1] != y.shape[:1]:
            raise ValueError(
                "`x` and `y` must hold the same number of samples. Received: "
                f"arrays of shape {tuple(view.shape)} and {tuple(y.shape)}."
            )


def warn_of_dark_pixels(
    largest: float, value_range: tuple[float, float] | None
) -> bool:
    """Warn, and return True, where all pixels are at most 1 of 255, say."""
    if value_range is None or not value_range[1] > 1 >= largest >= 0:
        return False
    warnings.warn(
        "The input never exceeds 1, but the model expects pixels in "
        f"value_range={value_range}: it would see black images. Give "
        "raw pixels, or build the model with `value_range=(0, 1)`.",
        stacklevel=6,  # Whoever called `fit` with an array.
    )
    return True


def check_sample_shape(shape: Sequence[Any], expected: Sequence[Any]) -> None:
    """Compare the shape of one sample with the one the network was built for.

    Args:
        shape: `(H, W, C)` or `(T, H, W, C)` as received.
        expected: The same of the network; its T, if it has one, is free.

    Raises:
        ValueError: If they differ.
    """
    shape, expected = checks.shape("the images", shape), tuple(expected)
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


def is_float(x: Any) -> bool:
    """Whether a tensor or an array is of floating point numbers."""
    return "float" in keras.backend.standardize_dtype(x.dtype)


def _always_within(x: Any, low: float, high: float) -> bool:
    """Whether the numbers of this type cannot leave the limits."""
    if is_float(x):
        return False
    kind = keras.backend.standardize_dtype(x.dtype)
    if kind == "bool":
        return True
    numbers = np.iinfo(kind)
    return bool(low <= numbers.min and numbers.max <= high)


def _is_views(x: Any) -> bool:
    return isinstance(x, (tuple, list)) and bool(x) and is_array(x[0])


def batches_of(data: Any) -> Iterator[tuple[Any, Any]]:
    """The batches `(x, y)` of a data set, in tensors of this backend or NumPy.

    (A `tf.data.Dataset` has TensorFlow's, which JAX does not take.)
    """

    def of_this_backend(x: Any) -> Any:
        return x if ops.is_tensor(x) else np.asarray(x)

    batches: Iterable[Any] = data
    if hasattr(data, "read_ahead"):
        # Ours: by itself, for Keras may be in the middle of a pass over it.
        batches = data.read_ahead(data.epoch)
    elif isinstance(data, keras.utils.PyDataset):
        batches = (data[i] for i in range(data.num_batches))
    for batch in batches:
        if isinstance(batch, list):  # A DataLoader's.
            batch = tuple(batch)
        batch = keras.tree.map_structure(of_this_backend, batch)
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        yield x, y


def batches_of_inputs(x: Any, batch_size: int | None) -> Iterator[Any]:
    """The inputs of each batch of an array or a data set."""
    views = as_views(x)
    if not is_array(views[0]):
        yield from (batch for batch, _ in batches_of(x))
        return
    given = 32 if batch_size is None else batch_size
    size = checks.integer("batch_size", given)
    for start in range(0, len(views[0]), size):
        yield views[0][start : start + size]
