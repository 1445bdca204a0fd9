import colorsys

import numpy as np
import pytest
from keras import ops

from keras_tcl.augmentation import pixels


@pytest.mark.parametrize("frames", [1, 3])
def test_gather_pixels(frames):
    random = np.random.RandomState(0)
    images = random.rand(4, frames, 5, 6, 2).astype("float32")
    rows = random.randint(0, 5, (4, 5))
    columns = random.randint(0, 6, (4, 6))
    actual = ops.convert_to_numpy(
        pixels.gather_pixels(
            ops.convert_to_tensor(images),
            ops.convert_to_tensor(rows, "int32"),
            ops.convert_to_tensor(columns, "int32"),
        )
    )
    for b in range(4):
        expected = images[b][:, rows[b]][:, :, columns[b]]
        np.testing.assert_array_equal(actual[b], expected)


def test_gray():
    x = np.random.RandomState(0).rand(2, 4, 3).astype("float32")
    luma = x.astype("float64") @ [0.299, 0.587, 0.114]
    for channels, expected in ((3, luma), (2, x[..., :2].mean(-1))):
        actual = pixels.gray(ops.convert_to_tensor(x[..., :channels]))
        assert actual.shape == (2, 4, 1)
        np.testing.assert_allclose(
            ops.convert_to_numpy(actual)[..., 0], expected, atol=1e-6
        )


def test_rotate_hue():
    # Every corner and edge of the colour cube, and every direction.
    levels = np.linspace(0, 1, 5)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    turns = np.array([-1.0, -0.5, -0.2, 0.0, 0.1, 1 / 3, 0.5])
    actual = pixels.rotate_hue(
        ops.convert_to_tensor(colours[None], "float32"),
        ops.convert_to_tensor(turns[:, None, None], "float32"),
    )
    actual = ops.convert_to_numpy(actual)
    for i, turn in enumerate(turns):
        hsv = [colorsys.rgb_to_hsv(*colour) for colour in colours]
        expected = [
            colorsys.hsv_to_rgb((h + turn) % 1, s, v) for h, s, v in hsv
        ]
        np.testing.assert_allclose(actual[i], expected, atol=2e-6)
