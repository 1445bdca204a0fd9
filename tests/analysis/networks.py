"""Networks that fire enough to be measured, and their spikes one by one."""

import keras
import numpy as np

import keras_tcl
from keras_tcl import graph
from keras_tcl.layers import LIF, Neuron
from tests.models import tiny


def lively():
    """A neuron that fires at little input, as after a training."""
    return LIF(threshold=0.05)


def image_network(**kwargs):
    return tiny.network(neuron=lively(), **kwargs)


def event_network(**kwargs):
    return tiny.network(input_shape=(None, 8, 8, 2), neuron=lively(), **kwargs)


def outputs_of(model, x):
    """What every layer of the network puts out, through a plain graph."""
    network = model.network
    every = keras.Model(
        network.input, {k.name: k.output for k in network.layers[1:]}
    )
    x = keras.ops.cast(keras.ops.convert_to_tensor(x), "float32")
    return {
        name: np.asarray(keras.ops.convert_to_numpy(output))
        for name, output in every(x, training=False).items()
    }


class PairNeuron(Neuron):
    """A neuron of another class: it fires where the input is positive."""

    def step(self, x, state):
        return keras.ops.cast(x > 0, x.dtype), state


class NoNeuron(keras.layers.Layer):
    """A layer that is no neuron, whatever its name is."""

    def call(self, inputs):
        return keras.ops.cast(inputs > 0, inputs.dtype)


class Composite(keras.layers.Layer):
    """A layer with a layer of neurons inside."""

    def __init__(self, neurons="inner_spike", **kwargs):
        super().__init__(**kwargs)
        self.neurons = LIF(threshold=0.05, name=neurons)

    def call(self, inputs):
        return self.walk(inputs, graph.call)

    def walk(self, x, visit):
        return visit(self.neurons, x)


def custom_network(*layers):
    """A network of the given layers between direct encoding and classifier."""
    x = inputs = keras.Input((8, 8, 1))
    x = keras_tcl.layers.DirectEncoding(3)(x)
    for layer in layers:
        x = layer(x)
    logits = keras_tcl.layers.Classifier(tiny.CLASSES)(x)
    network = keras.Model(inputs, {"stage1": x, "logits": logits})
    return keras_tcl.TCLModel(network)


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
