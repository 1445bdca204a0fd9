"""Every check takes what it should, NumPy's numbers too, and names the rest."""

import fractions

import numpy as np
import pytest

from keras_tcl import checks

NO_NUMBERS = [None, "1", True, np.True_, [1], float("nan"), float("inf"), 1j]


def refused(check, value, *arguments, **settings):
    with pytest.raises(ValueError, match="`size` must .*Received: size="):
        check("size", value, *arguments, **settings)


@pytest.mark.parametrize("kind", [int, np.int8, np.uint64])
def test_whole_numbers(kind):
    for value in (checks.integer("size", kind(3)), *checks.size("s", kind(3))):
        assert value == 3 and type(value) is int
    assert checks.integers("size", (kind(1), kind(2))) == [1, 2]
    assert checks.size("size", [kind(1), kind(2)]) == (1, 2)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 1.0, np.float32(2), 0, -1])
def test_no_whole_numbers(value):
    refused(checks.integer, value)
    refused(checks.integers, (1, value))
    refused(checks.size, (1, value))


def test_limits_of_whole_numbers():
    assert checks.integer("size", 0, at_least=0) == 0
    refused(checks.integer, -1, at_least=0)
    for value in ([], (), 3, "12", {1, 2}, np.ones(2)):
        refused(checks.integers, value)
    for value in ([], (1, 2, 3)):
        refused(checks.size, value)


@pytest.mark.parametrize(
    "value", [1, np.int64(1), np.float16(1), fractions.Fraction(2, 2)]
)
def test_numbers(value):
    for result in (
        checks.number("size", value),
        checks.number("size", value, 1, 1),
        checks.positive("size", value),
    ):
        assert result == 1.0 and type(result) is float
    assert checks.interval("size", (value, value), 1, 1) == (1.0, 1.0)


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_no_numbers(value):
    refused(checks.number, value)
    refused(checks.positive, value)
    refused(checks.interval, (value, 2))


def test_limits_of_numbers():
    refused(checks.number, -0.1, 0)
    refused(checks.number, 1.1, 0, 1)
    refused(checks.positive, 0)
    for value in (1, (1,), (1, 2, 3), (2, 1), (-1, 1), (0, 3)):
        refused(checks.interval, value, 0, 2)


def test_value_range():
    assert checks.value_range([0, np.uint8(255)]) == (0.0, 255.0)
    for value in ((1, 1), (2, 1), (0, 1e-127), (0, 1e38), None, "01"):
        with pytest.raises(ValueError, match="`value_range` must be"):
            checks.value_range(value)


def test_choice():
    assert checks.choice("size", "hard", ("hard", "soft")) == "hard"
    assert checks.choice("size", None, (None, "block")) is None
    found = checks.choice("size", np.str_("hard"), ("hard", "soft"))
    assert type(found) is str
    for value in ("HARD", None, 1, ["hard"], np.ones(2)):
        refused(checks.choice, value, ("hard", "soft"))
    refused(checks.choice, True, (1, 2))
