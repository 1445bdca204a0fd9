"""Labels: class ids or rows of probabilities, on the host and on the device.

Class ids come as `(batch,)` or `(batch, 1)`; a last axis of 1 always means
ids. One-hot and soft labels come as `(batch, classes)`. A loss for which they
are `hard` needs one certain class of each sample.
"""

from typing import Any

import numpy as np
from keras import ops

from keras_tcl import checks

# How far the sum of a one-hot or soft label's row may be from 1 (rounding).
_TOLERANCE = 0.01


def targets_of(y_true: Any, classes: int) -> Any:
    """Return labels as float32 rows `(batch, classes)`.

    An id that is no class matches none: its row is all 0.
    """
    labels = ops.cast(ops.convert_to_tensor(y_true), "float32")
    _check_shape(checks.shape("the labels", labels.shape), classes)
    if not _holds_ids(labels.shape):
        return labels
    class_ids = ops.arange(classes, dtype="float32")
    matches = ops.equal(ops.reshape(labels, (-1, 1)), class_ids)
    return ops.cast(matches, "float32")


def are_valid(y_true: Any, classes: int, hard: bool) -> Any:
    """Return on the device which labels a loss can learn from.

    The same question as `validate_labels` asks, for compiled code.

    Args:
        y_true: Tensor of labels.
        classes: Integer. Number of classes of the model.
        hard: Boolean. Whether soft labels are not valid.

    Returns:
        Boolean tensor of shape `(batch,)`.

    Raises:
        ValueError: wrong rank or width.
    """
    targets = targets_of(y_true, classes)
    sums_to_one = ops.abs(ops.sum(targets, axis=-1) - 1.0) <= _TOLERANCE
    valid = ops.logical_and(sums_to_one, ops.all(targets >= 0.0, axis=-1))
    if hard:
        certain = ops.any(targets >= 1.0 - _TOLERANCE, axis=-1)
        valid = ops.logical_and(valid, certain)
    return valid


def validate_labels(y_true: Any, classes: int, hard: bool) -> None:
    """Raise a ValueError for labels a loss cannot learn from.

    Args:
        y_true: Array of labels, whose values can be seen.
        classes: Integer. Number of classes of the model.
        hard: Boolean. Whether soft labels are refused.

    Raises:
        ValueError: wrong rank or width, ids that are fractional or outside
            the classes, rows that do not sum to 1, soft labels where `hard`.
    """
    labels = _numbers(y_true)
    _check_shape(labels.shape, classes)
    if _holds_ids(labels.shape):
        validate_ids(labels.reshape(-1), classes)
        return
    sums_to_one = np.abs(labels.sum(axis=1) - 1.0) <= _TOLERANCE
    _refuse(
        labels,
        ~(sums_to_one & (labels >= 0).all(axis=1)),
        "One-hot or soft labels must be rows of probabilities that sum to 1. "
        "(For several labels of one sample, compile "
        "`keras.losses.BinaryCrossentropy(from_logits=True)`.)",
    )
    if hard:
        _refuse(
            labels,
            labels.max(axis=1) < 1.0 - _TOLERANCE,
            "The supervised contrastive term needs one certain class per "
            "sample and cannot use soft labels. Use class ids or one-hot "
            "labels, or `supervised=False`.",
        )


def are_ids(y_true: Any, classes: int, ignored: int | None = None) -> Any:
    """Return on the device which labels are class ids, in their shape.

    For labels of any shape, of Keras' sparse cross entropies.

    Args:
        y_true: Tensor `(batch, ...)`.
        classes: Integer. Number of classes of the model.
        ignored: Integer that is valid as well, or `None`.
    """
    labels = ops.cast(ops.convert_to_tensor(y_true), "float32")
    inside = ops.logical_and(labels >= 0, labels < classes)
    valid = ops.logical_and(inside, ops.equal(labels, ops.floor(labels)))
    if ignored is not None:
        valid = ops.logical_or(valid, ops.equal(labels, ignored))
    return valid


def validate_ids(y_true: Any, classes: int, ignored: int | None = None) -> None:
    """Raise a ValueError for what `are_ids` finds to be none."""
    labels = _numbers(y_true)
    kept = labels if ignored is None else np.where(labels == ignored, 0, labels)
    _refuse(
        labels,
        kept != np.floor(kept),
        "Class ids must be whole numbers. Give soft labels as rows "
        f"of {classes} probabilities.",
    )
    _refuse(
        labels,
        (kept < 0) | (kept >= classes),
        f"Class ids must lie between 0 and {classes - 1}, because the "
        f"model has {classes} classes. Labels outside the model's classes "
        "teach it nothing: renumber them, or give the model as many classes "
        "as the data has.",
    )


def visible_values(y_true: Any) -> np.ndarray | None:
    """Return labels as a NumPy array, or `None` while a compiler traces."""
    if not ops.is_tensor(y_true):
        return np.asarray(y_true)
    try:
        return np.asarray(ops.convert_to_numpy(y_true))
    except Exception:  # Each backend's tracers raise an error of their own.
        return None


def _numbers(y_true: Any) -> np.ndarray:
    if ops.is_tensor(y_true):
        y_true = ops.convert_to_numpy(y_true)
    labels = np.asarray(y_true)
    try:
        if labels.dtype.kind in "SU":  # NumPy would read words as numbers.
            raise ValueError
        return labels.astype("float64")
    except (TypeError, ValueError):
        raise ValueError(
            "Labels must be numbers: class ids or one-hot rows. "
            f"Received: an array of dtype {labels.dtype}."
        ) from None


def _holds_ids(shape: tuple) -> bool:
    return len(shape) == 1 or shape[1] == 1


def _check_shape(shape: tuple, classes: int) -> None:
    if len(shape) == 1 or (len(shape) == 2 and shape[1] in (1, classes)):
        return
    raise ValueError(
        "Labels must be class ids of shape (batch,) or (batch, 1), or one-hot "
        f"rows of shape (batch, {classes}) for {classes} classes. Received: "
        f"labels of shape {tuple(shape)}."
    )


def _refuse(labels: np.ndarray, wrong: np.ndarray, message: str) -> None:
    """Raise a ValueError naming the first label that is wrong."""
    rows = np.unique(np.nonzero(wrong)[0])
    if len(rows):
        first = int(rows[0])
        value = np.array2string(labels[first], threshold=10, precision=4)
        raise ValueError(
            f"{message} Received: y_true[{first}]={value}, "
            f"{len(rows)} such label(s) of {len(labels)}."
        )
