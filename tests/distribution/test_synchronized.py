"""`synchronized=True` reaches every batch normalization of a network."""

import keras
import numpy as np
import pytest

import keras_tcl
from keras_tcl import graph
from keras_tcl.layers import BatchNormalization

SMALL = {"input_shape": (8, 8, 1), "classes": 4, "timesteps": 2}


def flags(model):
    layers = graph.inner_layers(model.network)
    layers = [x for x in layers if isinstance(x, BatchNormalization)]
    assert layers
    return {layer.get_config()["synchronized"] for layer in layers}


@pytest.mark.parametrize("normalization", ["batch", "threshold_dependent"])
def test_every_normalization_is_synchronized(normalization):
    model = keras_tcl.sew_resnet(
        [1], [2], normalization=normalization, synchronized=True, **SMALL
    )
    assert flags(model) == {True}
    again = keras_tcl.TCLModel.from_config(model.get_config())
    assert flags(again) == {True}


def test_by_default_none_is():
    assert flags(keras_tcl.spiking_vgg([[2]], **SMALL)) == {False}


def test_one_device_needs_no_other():
    layer = BatchNormalization(synchronized=True)
    plain = BatchNormalization()
    x = keras.random.normal((4, 3, 2), seed=1)
    difference = layer(x, training=True) - plain(x, training=True)
    assert np.abs(keras.ops.convert_to_numpy(difference)).max() < 1e-6
