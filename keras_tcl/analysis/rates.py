"""How often the neurons of a network fire, and when."""

import math
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import checks, graph
from keras_tcl.analysis.measurement import (
    Function,
    check_data,
    measure,
    network_of,
    observe,
)
from keras_tcl.layers import Neuron, SpikeElementWise

GROUPINGS = ("layer", "block", "block_output", "stage", "model")

Group = dict[str, keras.layers.Layer]


def firing_rates(
    model: Any, x: Any, by: str = "layer", batch_size: int | None = None
) -> dict[str, np.ndarray]:
    r"""Mean number of spikes of a neuron at every time step, in inference.

    ```
    rate[t] = mean over samples and neurons of s_t
    ```

    with the spikes `s_t` of 0 or 1, so a rate lies between 0 and 1. Layers
    measured together count by their numbers of neurons. A neuron is what a
    `keras_tcl.layers.Neuron` makes.

    Args:
        model: `keras_tcl.TCLModel`, or a network such as its `network`.
        x: Images or event frames, or a data set of them (labels in it are
            ignored). Nothing is kept of a sample but its rates.
        by: What is measured together:

            - `"layer"` (default): each layer of neurons by itself, under
              names such as `"stem"`, `"stage1_block1_1"` (first of the
              block), `"stage2_block1_0"` (in the shortcut): that of the
              layer, without an ending `_spike`;
            - `"block"`: the neurons of each residual block, `"stem"`,
              `"stage1_block1"`, ...; a layer outside of a block is one by
              itself;
            - `"block_output"`: what each block hands on. In a SEW-ResNet
              with `connection="add"`, that is the sum of the block's spikes
              and its shortcut, which can exceed 1;
            - `"stage"`: `"stem"`, `"stage1"`, ...;
            - `"model"`: all neurons, under the name `"model"`.
        batch_size: Integer, as for `predict`.

    Returns:
        Dictionary of arrays `[T]`, in the order of the network. The mean over
        T is the rate of paper table 4, which does not say whether it is that
        of a block's neurons or of its output.

    Raises:
        ValueError: If an argument or the data does not fit.

    Example:

    >>> model = keras_tcl.models.sew_resnet([1, 1], [4, 8], (8, 8, 1), 10)
    >>> images = np.random.randint(0, 256, (16, 8, 8, 1), "uint8")
    >>> rates = keras_tcl.analysis.firing_rates(model, images, by="block")
    >>> {name: rate.shape for name, rate in rates.items()}
    {'stem': (4,), 'stage1_block1': (4,), 'stage2_block1': (4,)}

    Reference:

    - [Qiu et al., 2023](https://arxiv.org/abs/2305.13909), table 4
    """
    network = network_of(model)
    check_data(model, x)
    groups = grouped_layers(network, by)
    results = measure(network, rates_of(groups), x, batch_size)
    # In the order of the network: JAX sorts a dictionary by its keys.
    return {k: results[k].mean(axis=0, dtype="float64") for k in groups}


def spikes(
    model: Any, x: Any, layer: str, batch_size: int | None = None
) -> np.ndarray:
    """The spikes of one layer of neurons, in inference.

    All of them are kept, so give it a few samples, not a data set.

    Args:
        model: `keras_tcl.TCLModel`, or a network such as its `network`.
        x: Images or event frames, or a data set of them.
        layer: String, a name from `keras_tcl.analysis.firing_rates`, such as
            `"stage1_block1_1"`.
        batch_size: Integer, as for `predict`.

    Returns:
        Array of 0 and 1, `[samples, T, ...]`, as a rule
        `[samples, T, h, w, c]`.

    Raises:
        ValueError: If there is no such layer, or the data does not fit.

    Example:

    >>> model = keras_tcl.models.sew_resnet([1, 1], [4, 8], (8, 8, 1), 10)
    >>> image = np.random.randint(0, 256, (1, 8, 8, 1), "uint8")
    >>> keras_tcl.analysis.spikes(model, image, "stage2_block1_1").shape
    (1, 4, 4, 4, 8)
    """
    network = network_of(model)
    check_data(model, x)
    neurons = named_layers(network)
    wanted = neurons[checks.choice("layer", layer, neurons)]

    def function(network: keras.Model, x: Any) -> Any:
        found: dict[str, Any] = {}

        def see(visited: Any, output: Any) -> None:
            if visited is wanted:
                found["spikes"] = ops.cast(output, "float32")

        return observe(network, x, see), found

    return measure(network, function, x, batch_size)["spikes"]


def named_layers(network: keras.Model, kinds: Any = Neuron) -> Group:
    """Layers in the order of the network, by name without `_spike`.

    Raises:
        ValueError: If there are no neurons.
    """
    found: Group = {}
    for layer in graph.layers(network, kinds):
        name = given = layer.name.removesuffix("_spike")
        number = 2
        while name in found:
            name, number = f"{given}_{number}", number + 1
        found[name] = layer
    if not any(isinstance(layer, Neuron) for layer in found.values()):
        raise ValueError(
            "No neurons found in the network: none of its layers is a "
            "`keras_tcl.layers.Neuron`, and a layer of your own with neurons "
            "inside shows them by a method `walk(x, visit)`, see "
            "`keras_tcl.layers.Classifier`."
        )
    return found


def grouped_layers(network: keras.Model, by: str) -> dict[str, Group]:
    """Layers to be measured together: `{group: {name: layer}}`.

    Args:
        by: One of `GROUPINGS`, see `firing_rates`.

    Raises:
        ValueError: If `by` is unknown, or the network has no neurons.
    """
    checks.choice("by", by, GROUPINGS)
    is_output = by == "block_output"
    groups: dict[str, Group] = {}
    for name, layer in named_layers(
        network, (Neuron, SpikeElementWise) if is_output else Neuron
    ).items():
        group = groups.setdefault(_group(name, by), {})
        if is_output:  # The last of a block is what it hands on.
            group.clear()
        group[name] = layer
    return groups


def _group(name: str, by: str) -> str:
    if by in ("layer", "model"):
        return name if by == "layer" else "model"
    pattern = r"stage\d+" if by == "stage" else r"stage\d+_block\d+"
    found = re.match(rf"{pattern}(?=_|$)", name)
    return found.group() if found else name


def rates_of(groups: Mapping[str, Group]) -> Function:
    """A function to measure: the rates `[batch, T]` of each group."""
    wanted = {
        id(layer) for group in groups.values() for layer in group.values()
    }

    def function(network: keras.Model, x: Any) -> Any:
        sums: dict[int, Any] = {}
        sizes: dict[int, Any] = {}

        def see(layer: Any, output: Any) -> None:
            if id(layer) in wanted:
                axes = tuple(range(2, len(output.shape)))
                neurons = math.prod(ops.shape(output)[2:])
                neurons = ops.cast(neurons, "float32")
                # Spikes in half precision could not be summed up.
                output = ops.cast(output, "float32")
                fired = neurons * ops.mean(output, axis=axes)
                # A layer may be called more than once.
                sums[id(layer)] = sums.get(id(layer), 0.0) + fired
                sizes[id(layer)] = sizes.get(id(layer), 0.0) + neurons

        outputs = observe(network, x, see)
        results = {}
        for name, group in groups.items():
            keys = [id(layer) for layer in group.values()]
            total = sum(sizes[k] for k in keys)
            results[name] = sum(sums[k] for k in keys) / total
        return outputs, results

    return function
