import numpy as np
import pytest

from keras_tcl.augmentation import Cutout
from tests.augmentation.compiled import assert_uniform, draw, transform


def published_mask(height, width, row, column, size):
    """The square of DeVries and Taylor's code, for even `size`."""
    mask = np.ones((height, width))
    y1, y2 = np.clip([row - size // 2, row + size // 2], 0, height)
    x1, x2 = np.clip([column - size // 2, column + size // 2], 0, width)
    mask[y1:y2, x1:x2] = 0
    return mask


@pytest.mark.parametrize("size", [2, 4, 10, 30])
def test_equals_the_published_square(size):
    height, width = 7, 5
    row, column = (
        grid.ravel().astype("int32")
        for grid in np.meshgrid(np.arange(height), np.arange(width))
    )
    images = np.random.RandomState(0).rand(row.size, height, width, 2)
    actual = transform(Cutout(size, -2.0), images, row=row, column=column)
    for i in range(row.size):
        mask = published_mask(height, width, row[i], column[i], size)
        expected = np.where(mask[..., None] == 1, images[i], -2.0)
        np.testing.assert_array_equal(actual[i], expected.astype("float32"))


def test_an_odd_square_is_centred():
    images = np.ones((1, 7, 7, 1))
    centre = {"row": np.int32([3]), "column": np.int32([2])}
    actual = transform(Cutout(3), images, **centre)[0, :, :, 0]
    expected = np.ones((7, 7))
    expected[2:5, 1:4] = 0
    np.testing.assert_array_equal(actual, expected)


def test_centres_are_uniform_over_the_pixels():
    parameters = draw(Cutout(4, seed=0), height=6, width=9)
    assert_uniform(parameters["row"], np.arange(6))
    assert_uniform(parameters["column"], np.arange(9))
    pixels = 9 * parameters["row"] + parameters["column"]
    assert_uniform(pixels, np.arange(54))  # independent axes


def test_area_has_the_exact_distribution():
    height, width, size, count = 6, 5, 4, 20000
    images = np.ones((count, height, width, 1))
    layer = Cutout(size, seed=0)
    covered = 1 - transform(layer, images, **draw(layer, count, height, width))
    areas = covered.sum((1, 2, 3)).astype(int)
    # Every centre is equally likely: list them all.
    exact = np.bincount(
        [
            int((1 - published_mask(height, width, row, column, size)).sum())
            for row in range(height)
            for column in range(width)
        ],
        minlength=size**2 + 1,
    ) / (height * width)
    assert areas.max() == size**2
    assert areas.min() == (size // 2) ** 2
    spread = np.sqrt(exact * (1 - exact) / count)
    found = np.bincount(areas, minlength=size**2 + 1) / count
    assert (np.abs(found - exact) <= 5 * spread).all()


@pytest.mark.parametrize("size", [0, -1, 2.0, None])
def test_bad_size(size):
    with pytest.raises(ValueError, match="`size` must be an integer.*Received"):
        Cutout(size)


def test_bad_fill_value():
    with pytest.raises(ValueError, match="`fill_value` must be a fin.*Rec"):
        Cutout(fill_value=np.nan)
