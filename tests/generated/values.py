"""What users pass by mistake, and which of it is a number after all."""

import decimal
import fractions
import math

import numpy as np
from hypothesis import strategies as st

ODD_VALUES = [
    None,
    True,
    False,
    np.bool_(True),
    "",
    "hard",
    "1",
    b"1",
    0,
    -1,
    2**63,
    10**400,
    -0.0,
    1e-320,
    1e39,
    1e308,
    math.nan,
    math.inf,
    -math.inf,
    1 + 0j,
    fractions.Fraction(1, 3),
    decimal.Decimal("0.5"),
    np.float16(0.5),
    np.float32(np.nan),
    np.int8(3),
    np.uint64(2**63),
    np.array(1),
    np.array(0.5),
    np.array([0.25, 0.75]),
    np.array([[1, 2]]),
    [],
    (),
    {},
    [1],
    (1, 2),
    [0.5, 0.25],
    (0.25, 0.5, 1.0),
    (None, 1),
    ("a", "b"),
    int,
    object(),
]

odd = st.sampled_from(ODD_VALUES)
anything = st.one_of(
    odd,
    st.integers(-3, 40),
    st.floats(-0.5, 2.0),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=3),
)
pairs = st.one_of(
    anything,
    st.tuples(anything, anything),
    st.lists(st.floats(-1, 300), min_size=1, max_size=3),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)


def float_of(value):
    """A float, infinite for an integer that none holds."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def is_whole(value, at_least=1):
    """Whether a value is an integer (no boolean) of at least `at_least`."""
    is_integer = type(value) is int or isinstance(value, np.integer)
    return is_integer and value >= at_least


def is_number(value, low=-math.inf, high=math.inf, above=-math.inf):
    """Whether a value is a real number within limits that a float holds."""
    kinds = (int, float, np.integer, np.floating, fractions.Fraction)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return False
    value = float_of(value)
    if not math.isfinite(value):
        return False
    return low <= value <= high and value > above


def is_interval(value, low=-math.inf, high=math.inf, above=-math.inf):
    """Whether a value is two numbers within limits, in order."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return False
    if np.ndim(value) != 1 if isinstance(value, np.ndarray) else False:
        return False
    return (
        len(value) == 2
        and all(is_number(end, low, high, above) for end in value)
        and float_of(value[0]) <= float_of(value[1])
    )


def is_value_range(value):
    """Whether pixels can have it: float32 holds what they are scaled by."""
    if not is_interval(value):
        return False
    low, high = map(float, value)  # Half precision would not hold the limits.
    return high - low >= 1e-30 and max(abs(low), abs(high)) <= 1e30
