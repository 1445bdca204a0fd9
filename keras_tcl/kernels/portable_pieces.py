"""A loop over pieces of a batch, one operation at a time."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Step = Callable[[Any, Any], tuple[Any, Any]]


def in_pieces(step: Step, x: Any, carry: Any, size: int) -> tuple[Any, Any]:
    """As `keras_tcl.kernels.in_pieces`."""
    outputs = []
    for start in range(0, max(1, rows_of(x)), size):
        piece = rows(x, start, start + size)
        output, carry = step(piece, carry)
        outputs.append(output)
    return joined(*outputs), carry


def rows_of(x: Any) -> Any:
    """How many rows tensors in any structure have, `None` if unknown."""
    return keras.tree.flatten(x)[0].shape[0]


def rows(x: Any, start: Any, end: Any) -> Any:
    """Some rows of tensors in any structure."""
    return keras.tree.map_structure(lambda a: a[start:end], x)


def joined(first: Any, *others: Any) -> Any:
    """The rows of pieces, one piece after the other."""
    if not others:
        return first
    return keras.tree.map_structure(
        lambda *a: ops.concatenate(a, axis=0), first, *others
    )
