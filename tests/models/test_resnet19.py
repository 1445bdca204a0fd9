"""ResNet-19: its three stages, its classifier, its public versions."""

import pytest

from keras_tcl import layers, models
from tests.models.tiny import classifier_of

pytestmark = pytest.mark.usefixtures("no_initialization")


def test_stages_and_classifier():
    model = models.resnet19((32, 32, 3), 7, 2, neuron=layers.LIF(decay=0.25))
    shapes = {k: v.shape[1:] for k, v in model.stages.items()}
    assert shapes == {
        "stage1": (2, 32, 32, 128),
        "stage2": (2, 16, 16, 256),
        "stage3": (2, 8, 8, 512),
    }
    assert classifier_of(model).hidden_units == [256]
    assert classifier_of(model).neurons[0].decay == 0.25
    convolutions = [
        layer.name
        for layer in model.network.layers
        if layer.name.endswith("_conv") and "_0_" not in layer.name
    ]
    # 17 convolutions and 2 dense layers.
    assert len(convolutions) == 17


def test_the_version_of_zheng_et_al():
    model = models.resnet19(
        stem_filters=128, normalization="threshold_dependent"
    )
    assert models.count_parameters(model) == 12_697_994
    names = [layer.name for layer in model.network.layers]
    assert "stage1_block1_0_conv" not in names


def test_hundred_classes():
    # The 12.65 M that papers report for CIFAR-100.
    model = models.resnet19(classes=100)
    assert models.count_parameters(model) == 12_653_988


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("input_shape", (3, 32, 3), "must be at least 4"),
        ("stem_filters", 0, "`stem_filters` a positive integer"),
        ("normalization", None, "`normalization` must be one of"),
        ("neuron", 3, "`neuron` must be a layer"),
        ("classes", 1.5, "`classes` must be"),
    ],
)
def test_refuses_wrong_arguments(argument, value, message):
    with pytest.raises(ValueError, match=message):
        models.resnet19(**{argument: value})
