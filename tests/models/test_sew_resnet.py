"""SEW-ResNet: its graph, its arguments, what it refuses."""

import keras
import numpy as np
import pytest

from keras_tcl import layers, models

pytestmark = pytest.mark.usefixtures("no_initialization")


def build(num_blocks=(2, 1), num_filters=(4, 6), **kwargs):
    settings = {"input_shape": (8, 8, 3), "classes": 3, **kwargs}
    return models.sew_resnet(num_blocks, num_filters, **settings)


def stage_shapes(model):
    return {k: tuple(v.shape[1:]) for k, v in model.stages.items()}


def test_stages_halve_the_resolution():
    model = build((1, 1, 1), (4, 6, 8), timesteps=3)
    assert stage_shapes(model) == {
        "stage1": (3, 8, 8, 4),
        "stage2": (3, 4, 4, 6),
        "stage3": (3, 2, 2, 8),
    }
    assert model.embedding_stages == ["stage2", "stage3"]
    model = build((1, 1, 1), (4, 6, 8), embedding_stages="all")
    assert model.embedding_stages == ["stage1", "stage2", "stage3"]


def test_odd_sizes_are_rounded_up_as_in_pytorch():
    assert stage_shapes(build(input_shape=(9, 7, 3)))["stage2"] == (4, 5, 4, 6)


def test_imagenet_stem_divides_by_four():
    model = build(input_shape=(32, 34, 3), stem="imagenet")
    assert stage_shapes(model)["stage1"] == (4, 8, 9, 4)
    assert stage_shapes(model)["stage2"] == (4, 4, 5, 6)


def test_stem_of_another_width_gives_the_first_block_a_shortcut():
    names = [layer.name for layer in build().network.layers]
    assert "stage1_block1_0_conv" not in names
    assert "stage2_block1_0_conv" in names
    names = [layer.name for layer in build(stem_filters=5).network.layers]
    assert "stage1_block1_0_conv" in names


def test_a_still_image_passes_the_stem_once():
    backbone = build().network
    assert backbone.get_layer("stem_bn").output.shape == (None, 8, 8, 4)
    assert backbone.get_layer("stem_spike").output.shape == (None, 4, 8, 8, 4)


def test_the_last_of_ten_stages_is_classified():
    """Not the one whose name sorts last."""
    filters = (2, 2, 2, 2, 2, 2, 2, 2, 2, 3)
    model = build((1,) * 10, filters, input_shape=(512, 512, 1), timesteps=1)
    assert model.embedding_stages[-1] == "stage10"
    (dense,) = model.network.get_layer("classifier").dense_layers
    assert dense.kernel.shape == (3, 3)


@pytest.mark.parametrize("connection", ["add", "and", "iand"])
def test_connection_ends_every_block(connection):
    joints = [
        layer
        for layer in build(connection=connection).network.layers
        if isinstance(layer, layers.SpikeElementWise)
    ]
    assert [joint.connection for joint in joints] == [connection] * 3


def test_every_neuron_is_a_copy_of_the_template():
    neuron = layers.LIF(decay=0.25, threshold=0.5, surrogate="atan")
    neurons = [
        layer
        for layer in build(neuron=neuron).network.layers
        if isinstance(layer, layers.LIF)
    ]
    assert len(neurons) == 1 + 3 * 2 + 1
    for copy in neurons:
        assert (copy.decay, copy.threshold) == (0.25, 0.5)
        assert copy.surrogate == neuron.surrogate


def test_padding_never_wins_the_pooling_of_the_stem():
    # Of equal values, the first gets the gradient. At the border that must
    # be a neuron, though the padding comes first.
    from tests.gradients import value_and_gradient

    model = build((1,), (1,), input_shape=(8, 8, 1), stem="imagenet")
    backbone = model.network
    spikes = backbone.get_layer("stem_spike").output
    pool = keras.Model(spikes, backbone.get_layer("stem_pool").output)
    x = np.zeros((1, 4, 4, 4, 1), "float32")
    _, gradient = value_and_gradient(lambda x: keras.ops.sum(pool(x)), x)
    assert gradient.sum() == 4 * 2 * 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_blocks": (1,)},
        {"num_blocks": (1, 0)},
        {"num_filters": (4, -6)},
        {"num_filters": (4, 6.0)},
        {"num_filters": 4},
        {"num_blocks": (), "num_filters": ()},
        {"stem_filters": 0},
        {"stem_filters": "4"},
    ],
)
def test_refuses_wrong_stages(arguments):
    with pytest.raises(ValueError, match="sequences of positive integers"):
        build(**arguments)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("connection", "or"),
        ("stem", "cifar10"),
        ("normalization", "group"),
        ("neuron", "lif"),
        ("timesteps", 0),
        ("timesteps", 2.5),
        ("timesteps", None),
        ("classes", 0),
        ("classes", "ten"),
        ("embedding_stages", ["stage3"]),
    ],
)
def test_refuses_wrong_arguments(argument, value):
    with pytest.raises(ValueError, match=f"Received: .*{argument}="):
        build(**{argument: value})


@pytest.mark.parametrize(
    "shape",
    [
        (8, 8),
        (8, 8, 0),
        (8, None, 3),
        (None, None, 8, 8, 2),
        (8, 8, 3.0),
        None,
        32,
    ],
)
def test_refuses_wrong_input_shapes(shape):
    with pytest.raises(ValueError, match="`input_shape` must be"):
        build(input_shape=shape)


def test_refuses_inputs_that_are_too_small():
    with pytest.raises(ValueError, match="must be at least 2"):
        build(input_shape=(1, 8, 3))
    with pytest.raises(ValueError, match="must be at least 8"):
        build(input_shape=(8, 7, 3), stem="imagenet")


def test_refuses_weights_of_another_network(tmp_path):
    path = str(tmp_path / "weights.weights.h5")
    build().save_weights(path)
    build(weights=path)
    with pytest.raises(ValueError, match="do not fit this model"):
        build(num_filters=(4, 8), weights=path)
