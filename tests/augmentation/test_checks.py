import numpy as np
import pytest

from keras_tcl.augmentation import checks


def test_numbers_become_python_numbers():
    # So that they can be written into a model's configuration.
    for value in (2, 2.0, np.float32(2), np.int64(2)):
        number = checks.check_number("x", value, 0, 2)
        assert type(number) is float and number == 2.0
    for value in (2, np.int64(2), np.uint8(2)):
        number = checks.check_integer("x", value, 2)
        assert type(number) is int and number == 2
    assert checks.check_interval("x", np.array([0, 1])) == (0.0, 1.0)


@pytest.mark.parametrize("value", [True, "1", None, np.nan, np.inf, 1j, [1]])
def test_no_number(value):
    with pytest.raises(ValueError, match="`x` must be a finite number. Rec"):
        checks.check_number("x", value)
    with pytest.raises(ValueError, match="`x` must be an integer.*Received"):
        checks.check_integer("x", value, 0)


def test_limits_are_named():
    with pytest.raises(ValueError, match="between 0 and 1. Received: x=2"):
        checks.check_number("x", 2, 0, 1)
    with pytest.raises(ValueError, match="of at least 0. Received: x=-1"):
        checks.check_number("x", -1, 0)
    with pytest.raises(ValueError, match=r"between 0 and 1. .*x=\(0, 2\)"):
        checks.check_interval("x", (0, 2), 0, 1)
