"""Networks that fire enough to be measured, and their spikes one by one."""

import keras
import numpy as np

import keras_tcl
from keras_tcl.layers import LIF
from tests.models import tiny


def lively():
    """A neuron that fires at little input, as after a training."""
    return LIF(threshold=0.05)


def image_network(**kwargs):
    return tiny.network(neuron=lively(), **kwargs)


def event_network(**kwargs):
    return tiny.network(input_shape=(None, 8, 8, 2), neuron=lively(), **kwargs)


def outputs_of(model, x):
    """What every layer of the backbone puts out, through a plain graph."""
    layers = model.backbone.layers[1:]
    graph = keras.Model(
        model.backbone.input, {layer.name: layer.output for layer in layers}
    )
    x = keras.ops.cast(keras.ops.convert_to_tensor(x), "float32")
    if model.rescaling is not None:
        x = model.rescaling(x)
    return {
        name: np.asarray(keras.ops.convert_to_numpy(output))
        for name, output in graph(x, training=False).items()
    }


class PairNeuron(keras.layers.Layer):
    """A neuron of another class: it fires where the input is positive."""

    def call(self, inputs):
        return keras.ops.cast(inputs > 0, inputs.dtype)


class Composite(keras.layers.Layer):
    """A layer with a layer of neurons inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.neurons = LIF(threshold=0.05, name="inner_spike")

    def call(self, inputs, training=None):
        return self.neurons(inputs, training=training)


def custom_network(*layers):
    """A backbone of the given layers after direct encoding."""
    x = inputs = keras.Input((8, 8, 1))
    x = keras_tcl.layers.DirectEncoding(3)(x)
    for layer in layers:
        x = layer(x)
    return keras_tcl.TCLModel(keras.Model(inputs, {"stage1": x}), tiny.CLASSES)


class Batches(keras.utils.PyDataset):
    """Batches of arrays."""

    def __init__(self, x, y, batch_size):
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index):
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.x[rows], self.y[rows]
