"""Spiking-VGG: stages by resolution, what the classifier sees."""

import keras
import pytest

from keras_tcl import layers, models
from tests.models.tiny import classifier_of

pytestmark = pytest.mark.usefixtures("no_initialization")


def build(num_filters=((4, 4), (6,)), **kwargs):
    settings = {"input_shape": (8, 12, 3), "classes": 3, **kwargs}
    return models.spiking_vgg(num_filters, **settings)


def stage_shapes(model):
    return {k: tuple(v.shape[1:]) for k, v in model.stages.items()}


def test_flatten_pools_after_every_stage():
    model = build(pooling="flatten")
    assert stage_shapes(model) == {
        "stage1": (4, 4, 6, 4),
        "stage2": (4, 2, 3, 6),
    }
    assert classifier_of(model).dense_layers[0].kernel.shape == (2 * 3 * 6, 3)


def test_average_leaves_the_last_stage_unpooled():
    model = build()
    assert stage_shapes(model)["stage2"] == (4, 4, 6, 6)
    assert classifier_of(model).dense_layers[0].kernel.shape == (6, 3)


def test_pooling_averages_and_drops_odd_rows_as_in_pytorch():
    model = build(input_shape=(9, 13, 3), pooling="flatten")
    assert stage_shapes(model)["stage2"] == (4, 2, 3, 6)
    pool = model.network.get_layer("stage1_pool").layer
    assert isinstance(pool, keras.layers.AveragePooling2D)


def test_units():
    model = build(neuron=layers.LIF(threshold=0.5))
    convolution = model.network.get_layer("stage2_1_conv").layer
    assert convolution.use_bias
    assert convolution.kernel_size == (3, 3)
    # A still image passes the first convolution once.
    first = model.network.get_layer("stage1_1_bn")
    assert first.output.shape == (None, 8, 12, 4)
    spikes = model.network.get_layer("stage1_2_spike")
    assert spikes.threshold == 0.5
    model = build(normalization="threshold_dependent")
    normalization = model.network.get_layer("stage1_2_bn").layer
    assert isinstance(
        normalization, layers.ThresholdDependentBatchNormalization
    )
    assert normalization.factor == 1.0


def test_vggsnn_takes_event_frames_of_any_length():
    model = models.vggsnn()
    assert model.sample_shape == (4, 48, 48, 2)
    assert model.takes_events
    assert stage_shapes(model)["stage4"] == (4, 3, 3, 512)
    assert classifier_of(model).pooling == "flatten"


def test_vggsnn_takes_images():
    model = models.vggsnn((32, 32, 3), timesteps=2)
    assert stage_shapes(model)["stage4"] == (2, 2, 2, 512)
    assert model.timesteps == 2


def test_vgg11_takes_event_frames():
    model = models.spiking_vgg11((10, 48, 48, 2))
    assert stage_shapes(model)["stage4"] == (10, 6, 6, 512)


def test_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = build()
    assert model.network.output["stage2"].dtype == "bfloat16"
    assert classifier_of(model).compute_dtype == "float32"


@pytest.mark.parametrize(
    "num_filters",
    [(), ((),), (4, 4), ((4,), (0,)), ((4,), "64"), 64, None],
)
def test_refuses_wrong_stages(num_filters):
    with pytest.raises(ValueError, match="each a sequence of positive"):
        build(num_filters)


def test_refuses_inputs_that_are_too_small():
    build(input_shape=(2, 2, 3))
    with pytest.raises(ValueError, match="must be at least 4"):
        build(input_shape=(2, 12, 3), pooling="flatten")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("pooling", "max"),
        ("normalization", "tdbn"),
        ("neuron", layers.LIF),
        ("timesteps", -1),
        ("classes", None),
    ],
)
def test_refuses_wrong_arguments(argument, value):
    with pytest.raises(ValueError, match=f"Received: .*{argument}="):
        build(**{argument: value})
