"""Checks of constructor arguments, each with one kind of message."""

import math
import numbers
from typing import Any


def check_number(
    name: str,
    value: Any,
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> float:
    """Return `value` as a float, or raise a ValueError that names it.

    Args:
        name: String, the argument's name.
        value: What the user gave.
        minimum: Number, the least accepted value.
        maximum: Number, the greatest accepted value.

    Raises:
        ValueError: unless `value` is a finite number between `minimum` and
            `maximum`.
    """
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and minimum <= number <= maximum:
            return number
    raise ValueError(
        f"`{name}` must be a finite number{_limits(minimum, maximum)}. "
        f"Received: {name}={value!r}"
    )


def check_integer(name: str, value: Any, minimum: int) -> int:
    """Return `value` as an int, or raise a ValueError that names it.

    Args:
        name: String, the argument's name.
        value: What the user gave.
        minimum: Integer, the least accepted value.

    Raises:
        ValueError: unless `value` is an integer of at least `minimum`.
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        if int(value) >= minimum:
            return int(value)
    raise ValueError(
        f"`{name}` must be an integer of at least {minimum}. "
        f"Received: {name}={value!r}"
    )


def check_interval(
    name: str,
    value: Any,
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> tuple[float, float]:
    """Return `value` as a pair of floats `(low, high)` with `low <= high`.

    Args:
        name: String, the argument's name.
        value: What the user gave.
        minimum: Number, the least accepted end.
        maximum: Number, the greatest accepted end.

    Raises:
        ValueError: unless `value` is such a pair within the limits.
    """
    try:
        low, high = (check_number(name, end, minimum, maximum) for end in value)
        if low > high:
            raise ValueError
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must be two finite numbers (low, high), low <= high,"
            f"{_limits(minimum, maximum)}. Received: {name}={value!r}"
        ) from None
    return low, high


def check_value_range(value: Any) -> tuple[float, float]:
    """Return the `value_range` of the pixels, `(low, high)`, `low < high`.

    Args:
        value: What the user gave.

    Raises:
        ValueError: unless `value` is a pair of finite numbers that differ.
    """
    low, high = check_interval("value_range", value)
    if low == high:
        raise ValueError(
            "`value_range` must be the least and the greatest value a pixel "
            f"can have, such as (0, 255). Received: value_range={value!r}"
        )
    return low, high


def _limits(minimum: float, maximum: float) -> str:
    if maximum < math.inf:
        return f" between {minimum} and {maximum}"
    return f" of at least {minimum}" if minimum > -math.inf else ""
