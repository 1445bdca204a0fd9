"""What a network costs: parameters and operations."""

import math
from typing import Any

import keras

from keras_tcl import graph


def count_parameters(model: Any) -> int:
    """Number of trained parameters, as papers count them.

    Those of the network: without moving statistics, and without projection
    heads, which inference does not need.

    Args:
        model: `keras_tcl.TCLModel` or network.

    Example:

    >>> model = keras_tcl.sew_resnet([1], [4], input_shape=(8, 8, 3))
    >>> keras_tcl.models.count_parameters(model)
    470
    """
    network = getattr(model, "network", model)
    return sum(math.prod(v.shape) for v in network.trainable_variables)


def count_macs(model: Any) -> int:
    """Number of multiply-accumulate operations for one time step.

    Those of convolutions and dense layers, each counted once. (Of still
    images, the first convolution runs once for all T steps. Most other
    inputs are spikes, whose products are additions.)

    Args:
        model: `keras_tcl.TCLModel` or network.

    Example:

    >>> model = keras_tcl.sew_resnet([1], [4], input_shape=(8, 8, 3))
    >>> keras_tcl.models.count_macs(model)
    25384
    """
    network = getattr(model, "network", model)
    macs = 0

    def count(outer: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal macs
        output = outer.compute_output_spec(*args, **kwargs)
        layer = getattr(outer, "layer", outer)
        if isinstance(layer, keras.layers.Conv2D):
            macs += math.prod((*layer.kernel.shape, *output.shape[-3:-1]))
        elif isinstance(layer, keras.layers.Dense):
            macs += math.prod(layer.kernel.shape)
        return output

    x = network.inputs[0]
    graph.walk(network, keras.KerasTensor(x.shape, dtype=x.dtype), count)
    return macs
