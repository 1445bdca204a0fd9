"""Measures something of a network while it predicts."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import graph, inputs
from keras_tcl.graph import LOGITS, check_network
from keras_tcl.inference.latency import with_invalid
from keras_tcl.inference.readout import Readout

# Of a network and a batch in float32: the outputs, and tensors [batch, ...].
Function = Callable[[keras.Model, Any], tuple[dict[str, Any], dict[str, Any]]]


def network_of(model: Any) -> keras.Model:
    """The network of a `TCLModel`, or a network itself.

    Raises:
        ValueError: If `model` is neither.
    """
    return check_network(getattr(model, "network", model))


def check_data(model: Any, x: Any) -> None:
    """Raises a ValueError if the array `x` does not fit the model."""
    if hasattr(model, "check_data"):
        model.check_data(x)
    else:
        inputs.check_not_empty(x)
        inputs.check_inputs(
            x, model.inputs[0].shape[1:], inputs.pixel_range(model)
        )


def observe(
    network: keras.Model, x: Any, see: Callable[[Any, Any], None]
) -> dict[str, Any]:
    """What a network returns in inference; `see(layer, output)` on the way."""
    call = graph.called(training=False)

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = call(layer, *args, **kwargs)
        see(layer, output)
        return output

    return graph.run(network, x, training=False, visit=visit)


def reader(network: keras.Model, function: Function) -> Readout:
    """A readout of `{"logits": ..., "results": ...}` of a function."""

    def read(network: keras.Model, x: Any) -> dict[str, Any]:
        x = ops.convert_to_tensor(x)
        inputs.check_sample_shape(x.shape[1:], network.inputs[0].shape[1:])
        valid = inputs.without_invalid(x, inputs.pixel_range(network))
        outputs, results = function(network, valid)
        logits = with_invalid(outputs[LOGITS], network, x)
        return {"logits": logits, "results": results}

    return Readout(network, read)


def measure(
    network: keras.Model, function: Function, x: Any, batch_size: int | None
) -> dict[str, np.ndarray]:
    """The function's results for all samples, as arrays `[samples, ...]`.

    Raises:
        ValueError: If the data or what the network answers is not finite.
    """
    outputs = reader(network, function).predict(x, batch_size)
    check_finite(outputs["logits"])
    return outputs["results"]


def check_finite(logits: np.ndarray) -> None:
    """Raises a ValueError for logits `[samples, T, classes]` not finite."""
    invalid = ~np.isfinite(logits).all(axis=(1, 2))
    if invalid.any():
        raise ValueError(
            f"The network answers NaN or infinite values to {invalid.sum()} "
            f"of {len(invalid)} samples, the first at index "
            f"{invalid.argmax()}. Remove or mend these samples; where it is "
            "all of them, the weights have diverged."
        )
