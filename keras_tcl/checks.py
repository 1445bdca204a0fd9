"""Checks of arguments, each with one kind of message.

Each takes the argument's name and what the user gave, and returns the value in
one type, or raises a ValueError that says what was accepted and received.
"""

import math
import numbers
from collections.abc import Collection
from typing import Any


def shape(name: str, shape: Any) -> tuple[Any, ...]:
    """Return a tensor's shape; TensorFlow may not know how many axes it has."""
    if getattr(shape, "rank", 0) is None:
        raise ValueError(
            f"The number of axes of {name} is not known: it differs from the "
            "batches before, or was lost in a tf.data pipeline. Received: "
            f"shape {shape}. Give all batches one number of axes (there, by "
            "`tf.ensure_shape`). To go over to another one, call again."
        )
    return tuple(shape)


def integer(name: str, value: Any, at_least: int = 1) -> int:
    """Return a whole number, NumPy's too, as an int."""
    if not _is_integer(value) or value < at_least:
        raise ValueError(
            f"`{name}` must be an integer of at least {at_least}. "
            f"Received: {name}={value!r}."
        )
    return int(value)


def integers(name: str, value: Any, at_least: int = 1) -> list[int]:
    """Return a sequence of at least one whole number as a list of ints."""
    if not are_integers(value, at_least):
        raise ValueError(
            f"`{name}` must be a sequence of integers of at least {at_least}. "
            f"Received: {name}={value!r}."
        )
    return [int(number) for number in value]


def are_integers(value: Any, at_least: int = 1) -> bool:
    """Whether `value` is a sequence of whole numbers, and not empty."""
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(_is_integer(v) and v >= at_least for v in value)
    )


def number(
    name: str,
    value: Any,
    at_least: float = -math.inf,
    at_most: float = math.inf,
) -> float:
    """Return a finite number between two limits, both included, as a float."""
    if not _is_finite(value) or not at_least <= value <= at_most:
        raise ValueError(
            f"`{name}` must be a finite number{_limits(at_least, at_most)}. "
            f"Received: {name}={value!r}."
        )
    return float(value)


def positive(name: str, value: Any) -> float:
    """Return a finite number greater than 0 as a float."""
    if not _is_finite(value) or value <= 0:
        raise ValueError(
            f"`{name}` must be a finite number greater than 0. "
            f"Received: {name}={value!r}."
        )
    return float(value)


def interval(
    name: str,
    value: Any,
    at_least: float = -math.inf,
    at_most: float = math.inf,
) -> tuple[float, float]:
    """Return two finite numbers `(low, high)`, `low <= high`, as floats."""
    try:
        low, high = (number(name, end, at_least, at_most) for end in value)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if low > high:
        raise ValueError(
            f"`{name}` must be two finite numbers (low, high), low <= high"
            f"{_limits(at_least, at_most)}. Received: {name}={value!r}."
        )
    return low, high


def value_range(value: Any) -> tuple[float, float]:
    """Return the least and the greatest value of a pixel as floats."""
    low, high = interval("value_range", value)
    # float32 must hold what pixels are multiplied by.
    if high - low < 1e-30 or max(abs(low), abs(high)) > 1e30:
        raise ValueError(
            "`value_range` must be the least and the greatest value a pixel "
            "can have, such as (0, 255): two different numbers that float32 "
            f"can tell from 0 and hold. Received: value_range={value!r}."
        )
    return low, high


def size(name: str, value: Any) -> tuple[int, int]:
    """Return `(height, width)` of a pair, or of one integer for both."""
    pair = (value, value) if _is_integer(value) else value
    if not are_integers(pair) or len(pair) != 2:
        raise ValueError(
            f"`{name}` must be a positive integer or a pair (height, width) "
            f"of them. Received: {name}={value!r}."
        )
    return int(pair[0]), int(pair[1])


def choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """Return a value that is one of `choices`."""
    # Not `in`: True equals 1, and an array equals nothing as a whole.
    for known in choices:
        are_strings = isinstance(value, str) and isinstance(known, str)
        if (are_strings or type(value) is type(known)) and value == known:
            return known
    raise ValueError(
        f"`{name}` must be one of {', '.join(map(repr, choices))}. "
        f"Received: {name}={value!r}."
    )


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    try:
        return (
            isinstance(value, numbers.Real)
            and not isinstance(value, bool)
            and math.isfinite(value)
        )
    except OverflowError:  # An integer that no float holds.
        return False


def _limits(at_least: float, at_most: float) -> str:
    if at_most < math.inf:
        return f" between {at_least} and {at_most}"
    return f" of at least {at_least}" if at_least > -math.inf else ""
