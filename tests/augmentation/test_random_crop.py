import numpy as np
import pytest

from keras_tcl.augmentation import RandomCrop
from tests.augmentation.compiled import assert_uniform, draw, transform


@pytest.mark.parametrize("fill_value", [0.0, -3.5])
def test_equals_padding_and_slicing(fill_value):
    padding, height, width = 3, 7, 5
    offsets = np.arange(2 * padding + 1, dtype="int32")
    top, left = (grid.ravel() for grid in np.meshgrid(offsets, offsets))
    images = np.random.RandomState(0).rand(top.size, height, width, 2)
    padded = np.pad(
        images,
        ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)),
        constant_values=fill_value,
    )
    expected = [
        padded[i, t : t + height, s : s + width]
        for i, (t, s) in enumerate(zip(top, left, strict=True))
    ]
    actual = transform(
        RandomCrop(padding, fill_value), images, top=top, left=left
    )
    np.testing.assert_array_equal(actual, np.float32(expected))


def test_padding_may_exceed_the_image():
    images = np.ones((2, 2, 3, 1))
    actual = transform(
        RandomCrop(4), images, top=np.int32([0, 4]), left=np.int32([4, 4])
    )
    np.testing.assert_array_equal(actual[0], 0)
    np.testing.assert_array_equal(actual[1], 1)


def test_every_frame_moves_alike():
    frames = np.random.RandomState(0).rand(2, 3, 4, 5, 2)
    place = {"top": np.int32([1, 3]), "left": np.int32([2, 4])}
    layer = RandomCrop(2)
    actual = transform(layer, frames, **place)
    for t in range(3):
        expected = transform(layer, frames[:, t], **place)
        np.testing.assert_array_equal(actual[:, t], expected)


def test_offsets_are_uniform_with_both_ends():
    parameters = draw(RandomCrop(4, seed=0))
    assert_uniform(parameters["top"], np.arange(9))
    assert_uniform(parameters["left"], np.arange(9))
    pairs = 9 * parameters["top"] + parameters["left"]
    assert_uniform(pairs, np.arange(81))  # independent axes


@pytest.mark.parametrize("padding", [-1, 1.5, "4", None, True])
def test_bad_padding(padding):
    with pytest.raises(ValueError, match="`padding` must be an integer.*Rec"):
        RandomCrop(padding)


@pytest.mark.parametrize("fill_value", [np.nan, np.inf, "black", None])
def test_bad_fill_value(fill_value):
    with pytest.raises(ValueError, match="`fill_value` must be a fin.*Rec"):
        RandomCrop(fill_value=fill_value)
