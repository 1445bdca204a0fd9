"""Settings of the layers: what becomes of them, and how a bad one is named."""

import numpy as np
import pytest

from keras_tcl.augmentation import (
    Cutout,
    RandomCrop,
    RandomFlip,
    RandomResizedCrop,
)


def test_numbers_become_python_numbers():
    # So that they can be written into a model's configuration.
    for value in (2, 2.0, np.float32(2), np.int64(2)):
        number = Cutout(fill_value=value).fill_value
        assert type(number) is float and number == 2.0
    for value in (2, np.int64(2), np.uint8(2)):
        number = Cutout(size=value).size
        assert type(number) is int and number == 2
    assert RandomResizedCrop(np.array([0, 1])).scale == (0.0, 1.0)


@pytest.mark.parametrize("value", [True, "1", None, np.nan, np.inf, 1j, [1]])
def test_no_number(value):
    with pytest.raises(ValueError, match="`fill_value` must be a finite num"):
        Cutout(fill_value=value)
    with pytest.raises(ValueError, match="`padding` must be an integer.*Rec"):
        RandomCrop(value)


def test_limits_are_named():
    with pytest.raises(ValueError, match="between 0 and 1. Received: prob.*=2"):
        RandomFlip(2)
    with pytest.raises(ValueError, match="of at least 0. Received: padding=-1"):
        RandomCrop(-1)
    with pytest.raises(ValueError, match=r"between 0 and 1. .*=\(0, 2\)"):
        RandomResizedCrop((0, 2))
