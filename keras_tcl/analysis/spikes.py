"""The spikes of one layer."""

from typing import Any

import numpy as np
from keras import ops

from keras_tcl.analysis.neurons import neuron_layers
from keras_tcl.analysis.probe import Probe, check_arguments, measure


def spikes(
    model: Any, x: Any, layer: str, batch_size: int | None = None
) -> np.ndarray:
    """The spikes of one layer of neurons, in inference.

    All of them are kept, so give it a few samples, not a data set.

    Args:
        model: `keras_tcl.TCLModel`.
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

    ```python
    of_stem = keras_tcl.analysis.spikes(model, x_test[:1], "stem")
    keras_tcl.analysis.plot_spike_raster(of_stem[0])
    ```
    """
    check_arguments(model, x)
    layers = neuron_layers(model)
    if layer not in layers:
        raise ValueError(
            f"`layer` must be one of {list(layers)}. Received: layer={layer!r}."
        )
    probe = Probe(
        model,
        {layer: layers[layer]},
        lambda outputs: {layer: ops.cast(outputs[layer], "float32")},
    )
    return measure(probe, x, batch_size)[layer]
