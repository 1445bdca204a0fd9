"""The statistics of batch normalizations, estimated anew."""

import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import checks, graph, inputs
from keras_tcl.inference.readout import Readout
from keras_tcl.layers import EachStep

Moments = dict[str, list[tuple[Any, Any, Any]]]


def calibrate(
    network: keras.Model,
    x: Any,
    check: Callable[[Any], None],
    batch_size: int | None = None,
    batches: int | None = None,
) -> None:
    """What `NetworkModel.calibrate` does to a network.

    Args:
        network: Functional `keras.Model`.
        x: Images or event frames, or a data set of them.
        check: Function that raises an error for a batch that does not fit.
        batch_size: Integer, as for `predict`.
        batches: Integer, how many of them.
    """
    if batches is not None:
        batches = checks.integer("batches", batches)
    layers = {
        str(i): layer
        for i, layer in enumerate(graph.inner_layers(network))
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    if not layers:
        raise ValueError(
            "There is nothing to calibrate: the network has no batch "
            "normalization, of which mean and variance could be estimated."
        )
    keys = {id(layer): key for key, layer in layers.items()}
    readout = Readout(network, lambda network, x: _moments(network, x, keys))
    seen: dict[str, list[Any]] = {key: [] for key in layers}
    for batch in itertools.islice(
        inputs.batches_of_inputs(x, batch_size), batches
    ):
        check(batch)
        for key, moments in readout.predict_on_batch(batch).items():
            seen[key] += moments
    pooled = {key: _pooled(layers[key], seen[key]) for key in layers}
    # Only now, so that data that fail midway change nothing.
    for key, (mean, variance) in pooled.items():
        layers[key].moving_mean.assign(mean)
        layers[key].moving_variance.assign(variance)


def _moments(network: keras.Model, x: Any, keys: dict[int, str]) -> Moments:
    """Mean, variance and number of what each normalization is given.

    The rest of the network is in inference.
    """
    found: Moments = {}
    call = graph.called(training=False)

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, EachStep):
            (x,) = args
            y = ops.reshape(x, (-1, *x.shape[2:]))
            y = graph.visit_within(layer.layer, visit, y)
            return ops.reshape(y, (-1, x.shape[1], *y.shape[1:]))
        if id(layer) not in keys:
            return call(layer, *args, **kwargs)
        x = ops.cast(args[0], "float32")
        rank = len(x.shape)
        axes = [i for i in range(rank) if i != layer.axis % rank]
        # Not `ops.moments`, the difference of two numbers that may be large.
        mean = ops.mean(x, axes, keepdims=True)
        variance = ops.mean(ops.square(x - mean), axes)
        mean = ops.reshape(mean, (-1,))
        count = ops.cast(ops.size(x) / mean.shape[0], "float32")
        found.setdefault(keys[id(layer)], []).append((mean, variance, count))
        # As in training, for what follows to be given normalized values.
        values = {
            id(v): ops.convert_to_tensor(v.value) for v in layer.variables
        }
        values[id(layer.moving_mean)] = mean
        values[id(layer.moving_variance)] = variance
        mapping = [(v, values[id(v)]) for v in layer.variables]
        with keras.StatelessScope(state_mapping=mapping):
            return call(layer, *args, **kwargs)

    x = inputs.without_invalid(x, inputs.pixel_range(network))
    graph.run(network, x, training=False, visit=visit)
    return found


def _pooled(layer: Any, seen: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance over all batches of `(mean, variance, count)`."""
    if not seen:
        raise ValueError(
            f"Nothing was seen of the normalization {layer.name!r}: the data "
            "set is empty, or the layer is within one of your own that does "
            "not show it by a method `walk(x, visit)`, see "
            "`keras_tcl.layers.Classifier`. Nothing has changed."
        )
    means, variances, counts = (
        np.asarray(values, "float64") for values in zip(*seen, strict=True)
    )
    mean = np.average(means, axis=0, weights=counts)
    spread = variances + np.square(means - mean)
    variance = np.average(spread, axis=0, weights=counts)
    if not np.isfinite(mean + variance).all():
        raise ValueError(
            f"The normalization {layer.name!r} is given NaN or infinite "
            "values: the weights have diverged. Nothing has changed."
        )
    return mean, variance
