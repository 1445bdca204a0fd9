"""How often the neurons of a network fire."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl.analysis.neurons import grouped_layers
from keras_tcl.analysis.probe import Probe, check_arguments, measure


def firing_rates(
    model: Any, x: Any, by: str = "layer", batch_size: int | None = None
) -> dict[str, np.ndarray]:
    r"""Mean number of spikes of a neuron at every time step, in inference.

    ```
    rate[t] = mean over samples and neurons of s_t
    ```

    with the spikes `s_t` of 0 or 1, so a rate lies between 0 and 1. Layers
    measured together count by their numbers of neurons.

    Args:
        model: `keras_tcl.TCLModel`.
        x: Images or event frames, or a data set of them (labels in it are
            ignored). Nothing is kept of a sample but its rates.
        by: What is measured together:

            - `"layer"` (default): each layer of neurons by itself, under
              names such as `"stem"`, `"stage1_block1_1"` (first of the
              block), `"stage2_block1_0"` (in the shortcut);
            - `"block"`: the neurons of each residual block, `"stem"`,
              `"stage1_block1"`, ...; a layer outside of a block is one by
              itself;
            - `"block_output"`: what each block hands on. In a SEW-ResNet
              with `connection="ADD"`, that is the sum of the block's spikes
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

    ```python
    rates = keras_tcl.analysis.firing_rates(model, x_test, by="block")
    for block, rate in rates.items():
        print(f"{block:15} {100 * rate.mean():.2f} %")
    ```

    Reference:

    - [Qiu et al., 2023](https://arxiv.org/abs/2305.13909), table 4
    """
    check_arguments(model, x)
    groups = grouped_layers(model, by)
    results = measure(rate_probe(model, groups), x, batch_size)
    # In the order of the network: JAX sorts a dictionary by its keys.
    return {
        name: results[name].mean(axis=0, dtype="float64")
        for name in groups
        if name in results
    }


def rate_probe(
    model: Any, groups: Mapping[str, Mapping[str, keras.layers.Layer]]
) -> Probe:
    """A probe whose results are the rates `[batch, T]` of each group."""

    def rates(spikes: dict[str, Any]) -> dict[str, Any]:
        found = {
            group: [spikes[name] for name in layers if name in spikes]
            for group, layers in groups.items()
        }
        return {group: _mean(found[group]) for group in found if found[group]}

    layers = {
        name: layer
        for group in groups.values()
        for name, layer in group.items()
    }
    return Probe(model, layers, rates)


def _mean(layers: list[Any]) -> Any:
    """Mean `[batch, T]` over the neurons of layers `[batch, T, ...]`."""
    total = neurons = 0.0
    for spikes in layers:
        count = ops.cast(math.prod(ops.shape(spikes)[2:]), "float32")
        axes = tuple(range(2, len(spikes.shape)))
        # Spikes in half precision could not be summed up.
        rate = ops.mean(ops.cast(spikes, "float32"), axis=axes)
        total = total + rate * count
        neurons = neurons + count
    return total / neurons
