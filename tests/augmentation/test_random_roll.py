import numpy as np
import pytest

from keras_tcl.augmentation import RandomRoll
from tests.augmentation.compiled import assert_uniform, draw, transform


@pytest.mark.parametrize("time", [(), (3,)])
def test_equals_numpy_roll(time):
    # Shifts of more than the size, too.
    shifts = np.arange(-6, 7, dtype="int32")
    down, right = (grid.ravel() for grid in np.meshgrid(shifts, shifts))
    images = np.random.RandomState(0).rand(down.size, *time, 5, 4, 2)
    actual = transform(RandomRoll(6), images, down=down, right=right)
    for i in range(down.size):
        expected = np.roll(images[i], (down[i], right[i]), axis=(-3, -2))
        np.testing.assert_array_equal(actual[i], np.float32(expected))


def test_shifts_are_uniform_with_both_ends():
    parameters = draw(RandomRoll(3, seed=0))
    assert_uniform(parameters["down"], np.arange(-3, 4))
    assert_uniform(parameters["right"], np.arange(-3, 4))
    pairs = 7 * (parameters["down"] + 3) + parameters["right"] + 3
    assert_uniform(pairs, np.arange(49))  # independent axes


@pytest.mark.parametrize("maximum", [-1, 0.5, None])
def test_bad_maximum(maximum):
    with pytest.raises(ValueError, match="`maximum` must be an int.*Received"):
        RandomRoll(maximum)
