"""Checks that several layers share."""

from typing import Any


def positive_integer(name: str, value: Any) -> int:
    """Return `value` as an int, or raise a ValueError naming `name`."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ValueError(
            f"`{name}` must be an integer of at least 1. "
            f"Received: {name}={value!r}."
        )
    return int(value)
