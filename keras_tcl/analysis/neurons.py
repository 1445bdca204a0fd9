"""The layers of neurons of a network, by name and in groups."""

import re
from collections.abc import Iterator
from typing import Any

import keras

from keras_tcl.layers import SpikeElementWise
from keras_tcl.models.blocks import NEURON_SUFFIX, is_neuron

GROUPINGS = ("layer", "block", "block_output", "stage", "model")


def neuron_layers(model: Any) -> dict[str, keras.layers.Layer]:
    """The layers of neurons of a `TCLModel`, in the order of the network.

    These are the `keras_tcl.layers.LIF` layers of backbone and classifier,
    and layers of any class whose name ends in `_spike`, as neurons made by
    the model functions do. That ending is left out of the keys.

    Raises:
        ValueError: If there is none.
    """
    neurons = {
        name.removesuffix(NEURON_SUFFIX): layer
        for name, layer in _named_layers(model).items()
        if is_neuron(layer)
    }
    if not neurons:
        raise ValueError(
            "No neurons found in the model: its backbone has no "
            "`keras_tcl.layers.LIF`, and no layer whose name ends in "
            f"{NEURON_SUFFIX!r}, which neurons of another class must have."
        )
    return neurons


def grouped_layers(
    model: Any, by: str
) -> dict[str, dict[str, keras.layers.Layer]]:
    """Layers to be measured together: `{group: {name: layer}}`.

    Args:
        by: One of `GROUPINGS`, see `keras_tcl.analysis.firing_rates`.

    Raises:
        ValueError: If `by` is unknown, or the model has no neurons.
    """
    if by not in GROUPINGS:
        raise ValueError(
            f"`by` must be one of {GROUPINGS}. Received: by={by!r}."
        )
    neurons = neuron_layers(model)
    if by == "block_output":
        joined = [
            (name, layer)
            for name, layer in _named_layers(model).items()
            if isinstance(layer, SpikeElementWise)
        ]
        # A block ends with its neurons, or else with what joins their spikes.
        last = {
            _group(name, "block"): (name, layer)
            for name, layer in [*neurons.items(), *joined]
        }
        return {group: dict([item]) for group, item in last.items()}
    groups: dict[str, dict[str, keras.layers.Layer]] = {}
    for name, layer in neurons.items():
        groups.setdefault(_group(name, by), {})[name] = layer
    return groups


def _group(name: str, by: str) -> str:
    if by == "model":
        return "model"
    pattern = {"block": r"stage\d+_block\d+", "stage": r"stage\d+"}.get(by)
    found = pattern and re.match(rf"{pattern}(?=_|$)", name)
    return found.group() if found else name


def _named_layers(model: Any) -> dict[str, keras.layers.Layer]:
    """All layers, at any depth, in the order of the network."""
    layers: dict[str, keras.layers.Layer] = {}
    for part in (model.backbone, model.classifier):
        for layer in _walk(part):
            name, number = layer.name, 2
            while layers.get(name, layer) is not layer:
                name = f"{layer.name}_{number}"
                number += 1
            layers[name] = layer
    return layers


def _walk(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    yield layer
    for inner in layer._layers:
        yield from _walk(inner)
