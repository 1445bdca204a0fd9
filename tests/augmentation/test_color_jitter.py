import colorsys
import itertools

import numpy as np
import pytest

from keras_tcl.augmentation import ColorJitter
from tests.augmentation.compiled import (
    assert_rate,
    assert_uniform,
    draw,
    transform,
)

OPERATIONS = ("brightness", "contrast", "saturation", "hue")
NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
LUMA = np.array([0.299, 0.587, 0.114])


def change(image, operation, factor):
    """torchvision's definition of one operation, float64, 0 to 1."""
    if operation == "brightness":
        image = factor * image
    elif operation == "contrast":
        image = factor * image + (1 - factor) * (image @ LUMA).mean()
    elif operation == "saturation":
        image = factor * image + (1 - factor) * (image @ LUMA)[..., None]
    else:
        flat = [colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(-1, 3)]
        flat = [colorsys.hsv_to_rgb((h + factor) % 1, s, v) for h, s, v in flat]
        image = np.reshape(flat, image.shape)
    return np.clip(image, 0, 1)


def parameters(count, **values):
    values = {**NEUTRAL, **values}
    arrays = {
        name: np.full(count, value, "float32") for name, value in values.items()
    }
    arrays["places"] = np.tile(np.arange(4, dtype="int32"), (count, 1))
    arrays["apply"] = np.ones(count, bool)
    return arrays


@pytest.mark.parametrize("value_range", [(0, 255), (-1, 1)])
def test_equals_the_operations_one_by_one_in_every_order(value_range):
    low, high = value_range
    places = np.int32(list(itertools.permutations(range(4))))
    random = np.random.RandomState(0)
    images = random.rand(24, 4, 5, 3)
    given = {
        # Strong enough that clipping matters, and with it the order.
        "brightness": random.uniform(0.3, 1.9, 24).astype("float32"),
        "contrast": random.uniform(0.3, 1.9, 24).astype("float32"),
        "saturation": random.uniform(0.3, 1.9, 24).astype("float32"),
        "hue": random.uniform(-0.5, 0.5, 24).astype("float32"),
        "places": places,
        "apply": np.ones(24, bool),
    }
    actual = transform(
        ColorJitter(value_range=value_range),
        low + (high - low) * images,
        **given,
    )
    distinct = set()
    for i, image in enumerate(images):
        for index in np.argsort(places[i]):
            operation = OPERATIONS[index]
            image = change(image, operation, given[operation][i])
        distinct.add(image.tobytes())
        np.testing.assert_allclose(
            (actual[i] - low) / (high - low), image, atol=5e-6
        )
    assert len(distinct) == 24


SINGLE = [
    ("brightness", 0.6),
    ("brightness", 1.4),
    ("contrast", 0.6),
    ("contrast", 1.4),
    ("saturation", 0.0),
    ("saturation", 1.4),
    ("hue", 0.1),
    ("hue", -0.37),
    ("hue", 0.5),
]


def single_operations(count):
    """Parameters of `count` images, each changed by one of `SINGLE`."""
    given = parameters(count)
    for i, (operation, factor) in enumerate(SINGLE[:count]):
        given[operation][i] = factor
    return given


def test_one_operation_at_a_time():
    images = np.random.RandomState(0).rand(len(SINGLE), 4, 5, 3)
    actual = transform(
        ColorJitter(value_range=(0, 1)),
        images,
        **single_operations(len(SINGLE)),
    )
    for i, (operation, factor) in enumerate(SINGLE):
        expected = change(images[i], operation, factor)
        np.testing.assert_allclose(actual[i], expected, atol=2e-6)


def test_equals_pillow_up_to_its_rounding():
    image = pytest.importorskip("PIL.Image")
    enhance = pytest.importorskip("PIL.ImageEnhance")
    enhancers = {
        "brightness": enhance.Brightness,
        "contrast": enhance.Contrast,
        "saturation": enhance.Color,
    }
    arrays = np.random.RandomState(0).randint(0, 256, (6, 9, 9, 3))
    arrays = arrays.astype("uint8")
    actual = transform(ColorJitter(), arrays, **single_operations(6))
    for i, (operation, factor) in enumerate(SINGLE[:6]):
        enhancer = enhancers[operation](image.fromarray(arrays[i]))
        expected = np.asarray(enhancer.enhance(factor), "float32")
        np.testing.assert_allclose(actual[i], expected, atol=1.3)


def test_hue_of_primary_colours():
    primaries = np.eye(3)[None, None]  # red, green, blue
    for turns, expected in ((1 / 3, [1, 2, 0]), (-1 / 3, [2, 0, 1])):
        actual = transform(
            ColorJitter(value_range=(0, 1)),
            primaries,
            **parameters(1, hue=turns),
        )
        np.testing.assert_allclose(
            actual, primaries[..., expected, :], atol=1e-6
        )


def test_grey_black_and_white_have_no_hue():
    grey = np.full((1, 1, 3, 3), 255.0) * np.array([[0], [0.4], [1]])
    actual = transform(ColorJitter(), grey, **parameters(1, hue=0.3))
    np.testing.assert_allclose(actual, grey, atol=1e-4)


def test_images_not_chosen_stay_exactly():
    images = np.random.RandomState(0).rand(2, 4, 5, 3).astype("float32") * 255
    given = parameters(2, brightness=0.5)
    given["apply"] = np.array([True, False])
    actual = transform(ColorJitter(), images, **given)
    np.testing.assert_allclose(actual[0], 0.5 * images[0], atol=1e-3)
    np.testing.assert_array_equal(actual[1], images[1])


def test_factors_are_uniform_in_their_ranges():
    layer = ColorJitter(0.4, 0.2, 1.5, 0.1, seed=0)
    drawn = draw(layer)
    limits = {
        "brightness": (0.6, 1.4),
        "contrast": (0.8, 1.2),
        "saturation": (0.0, 2.5),
        "hue": (-0.1, 0.1),
    }
    for name, (low, high) in limits.items():
        unit = (drawn[name] - low) / (high - low)
        assert -1e-6 <= unit.min() < 1e-3 and 1 - 1e-3 < unit.max() <= 1 + 1e-6
        assert_uniform(np.minimum(np.floor(10 * unit), 9), np.arange(10))
    names = list(limits)
    correlation = np.corrcoef([drawn[name] for name in names])
    assert np.abs(correlation - np.eye(4)).max() < 0.04


def test_orders_are_uniform_and_rate():
    drawn = draw(ColorJitter(probability=0.8, seed=0))
    np.testing.assert_array_equal(
        np.sort(drawn["places"], axis=1), np.tile(np.arange(4), (20000, 1))
    )
    code = drawn["places"] @ np.array([64, 16, 4, 1])
    expected = sorted(
        np.dot(places, [64, 16, 4, 1])
        for places in itertools.permutations(range(4))
    )
    assert_uniform(code, expected)
    assert_rate(drawn["apply"], 0.8)


@pytest.mark.parametrize("channels", [1, 2])
def test_brightness_and_contrast_without_colour(channels):
    image = np.random.RandomState(0).rand(1, 4, 5, channels)
    layer = ColorJitter(saturation=0, hue=0, value_range=(0, 1))
    layer.check_shape((None, 4, 5, channels))
    actual = transform(layer, image, **parameters(1, contrast=0.5))
    expected = 0.5 * image + 0.5 * image.mean()
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_recordings_keep_one_factor_and_each_frame_its_mean():
    frames = np.random.RandomState(0).rand(2, 3, 4, 5, 3)
    given = parameters(2, contrast=0.5)
    given["contrast"][1] = 1.5
    layer = ColorJitter(value_range=(0, 1))
    actual = transform(layer, frames, **given)
    for i in range(2):
        for t in range(3):
            expected = change(frames[i, t], "contrast", given["contrast"][i])
            np.testing.assert_allclose(actual[i, t], expected, atol=2e-6)


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("option", [{"saturation": 0}, {"hue": 0}])
def test_colour_operations_need_colour(channels, option):
    with pytest.raises(ValueError, match="RGB.*Received: saturation=.*shape"):
        ColorJitter(**option)(np.zeros((2, 4, 4, channels), "uint8"))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"brightness": -0.1}, "brightness"),
        ({"contrast": np.inf}, "contrast"),
        ({"saturation": "0.4"}, "saturation"),
        ({"hue": 0.6}, "hue"),
        ({"hue": -0.1}, "hue"),
        ({"probability": 1.5}, "probability"),
        ({"value_range": (255, 0)}, "value_range"),
        ({"value_range": (1, 1)}, "value_range"),
        ({"value_range": 255}, "value_range"),
        ({"value_range": (0, 1, 2)}, "value_range"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"`{message}` must be.*Received"):
        ColorJitter(**arguments)
