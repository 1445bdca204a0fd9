import numpy as np
import pytest

from keras_tcl.augmentation import RandomFlip
from tests.augmentation.compiled import assert_rate, draw, transform


@pytest.mark.parametrize("time", [(), (3,)])
def test_mirrors_the_columns(time):
    images = np.random.RandomState(0).rand(4, *time, 3, 5, 2).astype("float32")
    flip = np.array([True, False, True, False])
    actual = transform(RandomFlip(), images, flip=flip)
    np.testing.assert_array_equal(actual[flip], images[flip][..., ::-1, :])
    np.testing.assert_array_equal(actual[~flip], images[~flip])


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_rate(probability):
    flags = draw(RandomFlip(probability, seed=0))["flip"]
    if probability in (0.0, 1.0):
        assert (flags == probability).all()
    else:
        assert_rate(flags, probability)


@pytest.mark.parametrize("probability", [-0.1, 1.1, np.nan, "half", None])
def test_bad_probability(probability):
    with pytest.raises(ValueError, match="`probability` must be.*Received"):
        RandomFlip(probability)
