import numpy as np
import pytest

from keras_tcl.augmentation import RandomGray
from tests.augmentation.compiled import assert_rate, draw, transform


@pytest.mark.parametrize("time", [(), (2,)])
def test_luma_in_three_channels(time):
    images = 255 * np.random.RandomState(0).rand(4, *time, 3, 5, 3)
    gray = np.array([True, False, True, False])
    actual = transform(RandomGray(), images, gray=gray)
    luma = images[gray] @ np.array([0.299, 0.587, 0.114])
    for channel in range(3):
        np.testing.assert_allclose(actual[gray][..., channel], luma, rtol=1e-6)
    np.testing.assert_array_equal(actual[~gray], np.float32(images[~gray]))


def test_equals_pillow():
    image = pytest.importorskip("PIL.Image")
    array = np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype("uint8")
    expected = np.asarray(image.fromarray(array).convert("L"))
    actual = transform(RandomGray(), array[None], gray=np.array([True]))[0]
    np.testing.assert_allclose(actual[..., 0], expected, atol=0.501)


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_rate(probability):
    flags = draw(RandomGray(probability, seed=0))["gray"]
    if probability in (0.0, 1.0):
        assert (flags == probability).all()
    else:
        assert_rate(flags, probability)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_without_colour(channels):
    with pytest.raises(ValueError, match="RGB.*Received: shape"):
        RandomGray()(np.zeros((2, 4, 4, channels), "uint8"))


def test_bad_probability():
    with pytest.raises(ValueError, match="`probability` must be.*Received"):
        RandomGray(2)
