import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import augmentation
from keras_tcl.augmentation import Pipeline, RandomFlip
from tests.augmentation.compiled import augment

NAMES = ["cifar", "cifar_stcl", "dvs", "fine_grained", "fine_grained_stcl"]


def steps(pipeline):
    return [type(layer).__name__ for layer in pipeline.layers]


def step(pipeline, name):
    (layer,) = (
        layer for layer in pipeline.layers if type(layer).__name__ == name
    )
    return layer


def test_names():
    assert augmentation.list_recipes() == NAMES


@pytest.mark.parametrize(
    "name, expected",
    [
        ("cifar", ["RandomCrop", "RandomFlip"]),
        (
            "cifar_stcl",
            ["RandomCrop", "RandomFlip", "ColorJitter", "RandomGray", "Cutout"],
        ),
        ("fine_grained", ["RandomCrop", "RandomFlip"]),
        (
            "fine_grained_stcl",
            ["RandomResizedCrop", "RandomFlip", "ColorJitter", "RandomGray"],
        ),
        ("dvs", ["RandomCrop", "RandomFlip", "RandomRoll"]),
    ],
)
def test_steps(name, expected):
    pipeline = augmentation.recipe(name, (32, 32, 3))
    assert steps(pipeline) == expected


@pytest.mark.parametrize(
    "shape, padding, cutout",
    [((32, 32, 3), 4, 16), ((64, 48, 3), 6, 24), ((8, 8, 1), 1, 4)],
)
def test_sizes_follow_the_image(shape, padding, cutout):
    pipeline = augmentation.recipe("cifar_stcl", shape)
    assert step(pipeline, "RandomCrop").padding == padding
    assert step(pipeline, "Cutout").size == cutout
    pipeline = augmentation.recipe("fine_grained", shape)
    assert step(pipeline, "RandomCrop").padding == padding


@pytest.mark.parametrize("time", [4, None])
def test_dvs_at_the_paper_s_size(time):
    pipeline = augmentation.recipe("dvs", (time, 48, 48, 2), (5, 255))
    assert step(pipeline, "RandomCrop").padding == 4
    assert step(pipeline, "RandomCrop").fill_value == 0.0  # no events
    assert step(pipeline, "RandomRoll").maximum == 5
    frames = np.random.RandomState(0).poisson(0.3, (3, 4, 48, 48, 2))
    frames = augment(pipeline, frames)
    assert frames.shape == (3, 4, 48, 48, 2)
    np.testing.assert_array_equal(frames, np.round(frames))  # still counts


def test_strengths_of_the_paper():
    pipeline = augmentation.recipe("cifar_stcl", (32, 32, 3), (-1, 1))
    jitter = step(pipeline, "ColorJitter")
    assert (jitter.brightness, jitter.contrast) == (0.4, 0.4)
    assert (jitter.saturation, jitter.hue) == (0.4, 0.1)
    assert jitter.probability == 0.8
    assert jitter.value_range == (-1.0, 1.0)
    assert step(pipeline, "RandomGray").probability == 0.2
    assert step(pipeline, "RandomFlip").probability == 0.5
    # Black is the lowest value.
    assert step(pipeline, "RandomCrop").fill_value == -1.0
    assert step(pipeline, "Cutout").fill_value == -1.0


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", ["cifar_stcl", "fine_grained_stcl"])
def test_colour_is_left_out_where_there_is_none(name, channels):
    pipeline = augmentation.recipe(name, (8, 8, channels), (0, 16))
    assert "RandomGray" not in steps(pipeline)
    jitter = step(pipeline, "ColorJitter")
    assert (jitter.saturation, jitter.hue) == (0.0, 0.0)
    assert jitter.brightness == jitter.contrast == 0.4


def test_grey_images_of_another_range():
    pipeline = augmentation.recipe("cifar_stcl", (8, 8, 1), (0, 16))
    x = np.random.RandomState(0).randint(0, 17, (5, 8, 8, 1))
    y = augment(pipeline, x)
    assert 0 <= y.min() and y.max() <= 16.001 and (y != x).any()


@pytest.mark.parametrize("name", NAMES)
def test_results_stay_raw_pixels(name):
    x = np.random.RandomState(0).randint(0, 256, (12, 6, 5, 3)).astype("uint8")
    y = augmentation.recipe(name, (6, 5, 3))(x, training=True)
    y = ops.convert_to_numpy(y)
    assert 0 <= y.min() and 128 < y.max() <= 255.001


def test_a_seed_gives_each_step_its_own():
    pipeline = augmentation.recipe("cifar_stcl", (8, 8, 3), seed=7)
    seeds = [layer.seed for layer in pipeline.layers]
    gaps = np.diff(sorted(seeds))
    assert gaps.min() > 1000
    twin = augmentation.recipe("cifar_stcl", (8, 8, 3), seed=7)
    assert [layer.seed for layer in twin.layers] == seeds
    other = augmentation.recipe("cifar_stcl", (8, 8, 3), seed=8)
    assert not set(seeds) & {layer.seed for layer in other.layers}


@pytest.mark.parametrize("name", ["cifar100", "", None, 3, ["cifar"]])
def test_unknown_name(name):
    with pytest.raises(ValueError, match="Known: cifar, cifar_stcl.*Received"):
        augmentation.recipe(name, (32, 32, 3))


@pytest.mark.parametrize(
    "shape",
    [
        (32, 32),
        (None, 32, 3),
        (4, None, 8, 3),
        (0, 8, 3),
        32,
        None,
        (8, 8, "a"),
    ],
)
def test_bad_input_shape(shape):
    with pytest.raises(ValueError, match="`input_shape` must be.*Received"):
        augmentation.recipe("cifar", shape)


def test_bad_value_range():
    with pytest.raises(ValueError, match="`value_range` must be.*Received"):
        augmentation.recipe("cifar", (32, 32, 3), (1, 0))


@pytest.mark.parametrize("name", ["cifar_stcl", "fine_grained_stcl"])
def test_events_have_no_colour(name):
    with pytest.raises(ValueError, match="Use 'dvs'.*Received"):
        augmentation.recipe(name, (None, 8, 8, 2))


def test_get():
    shape = (16, 16, 3)
    assert augmentation.get(None, shape) is None
    named = augmentation.get("cifar_stcl", shape, (0, 1))
    assert steps(named)[-1] == "Cutout"
    assert step(named, "ColorJitter").value_range == (0.0, 1.0)
    own = RandomFlip()
    assert augmentation.get(own, shape) is own
    assert augmentation.get(named, shape) is named


def test_get_wraps_what_is_not_ours():
    foreign = keras.layers.RandomFlip(dtype="float32")

    def function(images):
        return images * 2.0

    for given in (foreign, function):
        pipeline = augmentation.get(given, (16, 16, 3))
        assert isinstance(pipeline, Pipeline)
        assert pipeline.layers == [given]


@pytest.mark.parametrize("identifier", [3, RandomFlip, ["cifar"], {}])
def test_get_lists_what_it_takes(identifier):
    message = "None, the name of a recipe.*cifar_stcl.*layer.*Received"
    with pytest.raises(ValueError, match=message):
        augmentation.get(identifier, (16, 16, 3))


def test_get_unknown_name():
    with pytest.raises(ValueError, match="Unknown recipe.*Received: name='x'"):
        augmentation.get("x", (16, 16, 3))
