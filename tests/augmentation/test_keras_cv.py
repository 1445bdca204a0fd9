"""keras-cv as an oracle, where it is installed.

It computes in TensorFlow whatever the backend is, so the comparison runs
under that backend only.
"""

import keras
import numpy as np
import pytest

from keras_tcl.augmentation import ColorJitter, Cutout, RandomCrop, RandomGray
from tests.augmentation.compiled import draw, transform

if keras.config.backend() != "tensorflow":
    pytest.skip("keras-cv computes in TensorFlow", allow_module_level=True)
keras_cv = pytest.importorskip("keras_cv")


def images(count=4, channels=3):
    random = np.random.RandomState(0)
    return random.randint(0, 256, (count, 6, 6, channels)).astype("float32")


def test_gray():
    x = images()
    expected = keras_cv.layers.Grayscale(output_channels=3)(x)
    actual = transform(RandomGray(), x, gray=np.ones(4, bool))
    # TensorFlow writes 0.2989 for the weight of red.
    np.testing.assert_allclose(actual, expected, atol=0.03)


@pytest.mark.parametrize("turns", [0.1, 0.35, 0.5])
def test_hue(turns):
    x = images()
    # keras-cv turns by half its factor, in a random direction per image.
    layer = keras_cv.layers.RandomHue((2 * turns,) * 2, (0, 255), seed=0)
    expected = np.asarray(layer(x, training=True))
    neutral = np.ones(4, "float32")
    candidates = [
        transform(
            ColorJitter(),
            x,
            brightness=neutral,
            contrast=neutral,
            saturation=neutral,
            hue=sign * turns * neutral,
            places=np.tile(np.arange(4, dtype="int32"), (4, 1)),
            apply=np.ones(4, bool),
        )
        for sign in (1, -1)
    ]
    error = np.min(
        [np.abs(c - expected).max(axis=(1, 2, 3)) for c in candidates], axis=0
    )
    assert error.max() < 0.01


def compare_counts(actual, expected):
    """Check that two samples take each value equally often."""
    values = np.concatenate([actual, expected])
    _, index = np.unique(values, return_inverse=True)
    first, second = np.split(index, [len(actual)])
    first = np.bincount(first, minlength=index.max() + 1)
    second = np.bincount(second, minlength=index.max() + 1)
    assert (np.abs(first - second) <= 5 * np.sqrt(first + second)).all()


def test_area_of_the_cutout():
    x = np.ones((8000, 6, 6, 1), "float32")
    layer = keras_cv.layers.RandomCutout((0.5, 0.5), (0.5, 0.5), seed=0)
    expected = np.asarray(layer(x, training=True)).sum((1, 2, 3))
    cutout = Cutout(3, seed=0)
    actual = transform(cutout, x, **draw(cutout, 8000, 6, 6)).sum((1, 2, 3))
    compare_counts(actual, expected)


def test_offsets_of_the_crop():
    # Every padded pixel is its own number: the first one tells the offset.
    padded = np.arange(1.0, 101.0, dtype="float32").reshape(1, 10, 10, 1)
    padded = np.repeat(padded, 8000, axis=0)
    layer = keras_cv.layers.RandomCrop(6, 6, seed=0)
    expected = np.asarray(layer(padded, training=True))[:, 0, 0, 0]
    drawn = draw(RandomCrop(2, seed=0), 8000)
    actual = 1 + 10 * drawn["top"] + drawn["left"]
    # keras-cv rounds its offsets, which halves the share of both ends: the
    # same crops, but only ours (and torchvision's) come equally often.
    np.testing.assert_array_equal(np.unique(actual), np.unique(expected))
