import math

import numpy as np
import pytest

from keras_tcl.augmentation import RandomResizedCrop
from tests.augmentation.compiled import assert_uniform, draw, transform


def resize_box(image, top, left, height, width):
    """Bilinear resize of a box to the image's size, pixel by pixel."""
    box = image[top : top + height, left : left + width].astype("float64")
    rows, columns = image.shape[:2]
    result = np.zeros(image.shape)
    for i in range(rows):
        for j in range(columns):
            y = min(max((i + 0.5) * height / rows - 0.5, 0), height - 1)
            x = min(max((j + 0.5) * width / columns - 0.5, 0), width - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            upper = (x0 + 1 - x) * box[y0, x0] + (x - x0) * box[y0, x1]
            lower = (x0 + 1 - x) * box[y1, x0] + (x - x0) * box[y1, x1]
            result[i, j] = (y0 + 1 - y) * upper + (y - y0) * lower
    return result


def torchvision_box(generator, height, width, scale, ratio):
    """The retry loop as torchvision documents it."""
    for _ in range(10):
        area = height * width * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(*np.log(ratio)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top = generator.randint(0, height - h + 1)
            left = generator.randint(0, width - w + 1)
            return top, left, h, w
    w, h = width, height
    if width / height < ratio[0]:
        h = round(width / ratio[0])
    elif width / height > ratio[1]:
        w = round(height * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


def boxes(layer, height, width):
    parameters = draw(layer, height=height, width=width)
    names = ("top", "left", "height", "width")
    return np.stack([parameters[name] for name in names], axis=1)


BOXES = [(0, 0, 7, 6), (1, 2, 3, 2), (6, 5, 1, 1), (0, 3, 7, 1), (2, 0, 2, 6)]


@pytest.mark.parametrize("time", [(), (2,)])
def test_equals_bilinear_resize(time):
    images = np.random.RandomState(0).rand(len(BOXES), *time, 7, 6, 2)
    top, left, height, width = np.float32(BOXES).T
    actual = transform(
        RandomResizedCrop(),
        images,
        top=top,
        left=left,
        height=height,
        width=width,
    )
    for i, box in enumerate(BOXES):
        for t in np.ndindex(time):
            np.testing.assert_allclose(
                actual[i][t], resize_box(images[i][t], *box), atol=1e-6
            )


def test_equals_pillow():
    image = pytest.importorskip("PIL.Image")
    array = np.random.RandomState(0).rand(7, 6).astype("float32")
    for top, left, height, width in BOXES:
        box = array[top : top + height, left : left + width]
        expected = image.fromarray(box).resize((6, 7), image.BILINEAR)
        actual = transform(
            RandomResizedCrop(),
            array[None, :, :, None],
            top=np.float32([top]),
            left=np.float32([left]),
            height=np.float32([height]),
            width=np.float32([width]),
        )
        np.testing.assert_allclose(actual[0, :, :, 0], expected, atol=1e-6)


@pytest.mark.parametrize(
    "height, width, scale, ratio",
    [
        (6, 8, (0.08, 1.0), (3 / 4, 4 / 3)),
        # Most tries do not fit, a tenth of the boxes are the central one.
        (4, 12, (0.5, 1.0), (3 / 4, 4 / 3)),
    ],
)
def test_boxes_are_distributed_as_torchvision_s(height, width, scale, ratio):
    count = 20000
    layer = RandomResizedCrop(scale, ratio, seed=0)
    actual = boxes(layer, height, width).astype(int)
    generator = np.random.RandomState(0)
    expected = np.array(
        [
            torchvision_box(generator, height, width, scale, ratio)
            for _ in range(count)
        ]
    )
    # Two-sample comparison of how often each box comes.
    both, index = np.unique(
        np.concatenate([actual, expected]), axis=0, return_inverse=True
    )
    index = index.ravel()
    counts = [
        np.bincount(part, minlength=len(both))
        for part in (index[:count], index[count:])
    ]
    difference = np.abs(counts[0] - counts[1])
    assert (difference <= 5 * np.sqrt(np.add(*counts)) + 1).all()
    chi_square = (difference**2 / np.add(*counts)).sum()
    freedom = len(both) - 1
    assert chi_square < freedom + 5 * math.sqrt(2 * freedom)


def test_places_of_a_fixed_box_are_uniform_with_both_ends():
    layer = RandomResizedCrop((0.25, 0.25), (1, 1), seed=0)
    top, left, height, width = boxes(layer, 8, 8).T
    assert (height == 4).all() and (width == 4).all()
    assert_uniform(top, np.arange(5))
    assert_uniform(left, np.arange(5))


@pytest.mark.parametrize(
    "size, ratio, expected",
    [
        ((4, 40), (1, 1), (0, 18, 4, 4)),  # too wide
        ((40, 4), (1, 2), (18, 0, 4, 4)),  # too high
        ((8, 8), (3, 4), (2, 0, 3, 8)),
        ((8, 8), (0.01, 0.02), (0, 3, 8, 1)),  # never without a pixel
        ((8, 8), (1 / 4, 1 / 3), (0, 2, 8, 3)),
    ],
)
def test_central_box_when_no_try_fits(size, ratio, expected):
    layer = RandomResizedCrop((1.0, 1.0), ratio, seed=0)
    actual = boxes(layer, *size)
    np.testing.assert_array_equal(actual, np.tile(expected, (len(actual), 1)))


def test_whole_image():
    layer = RandomResizedCrop((1.0, 1.0), (1, 1))
    images = np.random.RandomState(0).rand(3, 5, 5, 2).astype("float32")
    drawn = {
        name: value[:3]
        for name, value in draw(layer, height=5, width=5).items()
    }
    actual = transform(layer, images, **drawn)
    np.testing.assert_allclose(actual, images, atol=1e-6)


@pytest.mark.parametrize(
    "scale", [(0.5, 0.2), (-0.1, 1.0), (0.1, 1.1), 0.5, (0.1, 0.2, 0.3), None]
)
def test_bad_scale(scale):
    with pytest.raises(ValueError, match="`scale` must be two.*Received"):
        RandomResizedCrop(scale=scale)


@pytest.mark.parametrize("ratio", [(2.0, 1.0), (0.0, 1.0), (-1, 1), "ab"])
def test_bad_ratio(ratio):
    with pytest.raises(ValueError, match="`ratio` must be .*Received"):
        RandomResizedCrop(ratio=ratio)
