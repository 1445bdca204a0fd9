"""Spiking-ResNet: neurons after the addition, scales of its normalizations."""

import keras
import pytest

from keras_tcl import layers, models
from tests.models.tiny import classifier_of

pytestmark = pytest.mark.usefixtures("no_initialization")


def build(num_blocks=(2, 1), num_filters=(4, 6), **kwargs):
    settings = {"input_shape": (8, 8, 3), "classes": 3, **kwargs}
    return models.spiking_resnet(num_blocks, num_filters, **settings)


def normalizations(model):
    """By name, the normalization layers."""
    inner = [getattr(a, "layer", a) for a in model.network.layers]
    return {
        a.name: a
        for a in inner
        if isinstance(a, layers.ThresholdDependentBatchNormalization)
    }


def test_added_branches_are_scaled_down():
    found = normalizations(build())
    assert len(found) == 1 + 3 * 2 + 1
    for name, layer in found.items():
        added = name.endswith(("_2_bn", "_0_bn"))
        assert layer.alpha == pytest.approx(0.5**0.5 if added else 1.0)


def test_scale_follows_the_threshold_of_the_neurons():
    found = normalizations(build(neuron=layers.LIF(threshold=0.5)))
    assert {layer.threshold for layer in found.values()} == {0.5}
    assert found["stage2_block1_0_bn"].factor == pytest.approx(0.5**1.5)


def test_plain_batch_normalization():
    model = build(normalization="batch")
    assert not normalizations(model)
    layer = model.network.get_layer("stage1_block1_1_bn").layer
    assert isinstance(layer, keras.layers.BatchNormalization)
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)


def test_refuses_an_unknown_normalization():
    with pytest.raises(ValueError, match="`normalization` must be one of"):
        build(normalization="layer")


def test_neurons_follow_the_addition():
    backbone = build().network
    joint = backbone.get_layer("stage2_block1_out")
    neurons = backbone.get_layer("stage2_block1_2_spike")
    assert isinstance(joint, keras.layers.Add)
    assert neurons.input is joint.output


def test_imagenet_stem():
    model = build(input_shape=(32, 32, 3), stem="imagenet")
    assert model.network.output["stage2"].shape == (None, 4, 4, 4, 6)


def test_half_precision_keeps_logits_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = build()
    assert model.network.output["stage2"].dtype == "bfloat16"
    assert classifier_of(model).compute_dtype == "float32"
    normalization = model.network.get_layer("stem_bn")
    assert normalization.gamma.dtype == "float32"


@pytest.mark.parametrize("num_blocks", [(1,), (1, True), None])
def test_refuses_wrong_stages(num_blocks):
    with pytest.raises(ValueError, match="sequences of positive integers"):
        build(num_blocks=num_blocks)
