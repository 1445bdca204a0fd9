"""Checks of settings."""

import math
from numbers import Real
from typing import Any


def is_finite_number(value: Any) -> bool:
    """Whether a setting is a real number, neither infinite nor NaN."""
    return isinstance(value, Real) and math.isfinite(value)
