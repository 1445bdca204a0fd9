"""What must be the same in all processes of a training, in short."""

import json
import zlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import inputs
from keras_tcl.layers import Neuron
from keras_tcl.training.configs import without_chance

_SETTINGS = (
    "batch_size",
    "class_weight",
    "epochs",
    "initial_epoch",
    "steps_per_epoch",
    "validation_freq",
    "validation_split",
    "validation_steps",
)
_OF_ALL_LAYERS = ("name", "trainable", "dtype")
# Samples of large arrays that are looked at.
_LOOKED_AT = 64


def of_fit(model: keras.Model, given: dict[str, Any]) -> dict[str, Any]:
    """Facts about a compiled model and what its `fit` is given, by name."""
    arrays = [given["x"], given.get("y"), given.get("sample_weight")]
    is_array = inputs.is_array(keras.tree.flatten(given["x"])[0])
    facts = {**of_model(model), **of_data(arrays if is_array else given["x"])}
    facts |= {name: given[name] for name in _SETTINGS if name in given}
    validation = given.get("validation_data")
    if validation is not None:
        of_validation = of_data(validation)
        facts |= {f"validation: {k}": v for k, v in of_validation.items()}
    return facts


def of_model(model: keras.Model) -> dict[str, Any]:
    """Facts about a compiled model."""
    variables = [(v.path, tuple(v.shape), v.dtype) for v in model.variables]
    optimizer = getattr(model, "optimizer", None)
    micro_batches = getattr(model, "_micro_batches", None)
    network = getattr(model, "network", None)
    neurons = (
        {}
        if network is None
        else {
            json.dumps(_neuron(layer), sort_keys=True): None
            for layer in network._flatten_layers()
            if isinstance(layer, Neuron)
        }
    )
    return {
        # Each by itself, to be seen in a message; then all.
        "time steps": getattr(model, "timesteps", None),
        "neurons": "; ".join(neurons),
        "dtype policy": model.dtype_policy.name,
        "network": _hash_of(model.get_config),
        "compilation": _hash_of(model.get_compile_config),
        "variables": f"{len(variables)} ({_short(repr(variables))})",
        "trainable variables": len(model.trainable_variables),
        "loss": _config_of(getattr(model, "loss", None)),
        "optimizer": _config_of(optimizer),
        "micro_batch_size": getattr(micro_batches, "size", None),
    }


def _hash_of(get_config: Any) -> str:
    return _short(json.dumps(without_chance(get_config), sort_keys=True))


def _neuron(layer: Any) -> Any:
    config = without_chance(layer.get_config) or {}
    settings = {k: v for k, v in config.items() if k not in _OF_ALL_LAYERS}
    return {type(layer).__name__: settings}


def of_data(data: Any) -> dict[str, Any]:
    """Facts about a data set, of which this process has its part."""
    if isinstance(data, (list, tuple)):
        facts: dict[str, Any] = {}
    else:
        try:
            facts = {"number of batches": len(data)}
        except TypeError:
            facts = {}
    arrays = getattr(data, "arrays", data)  # Those of all, of `Parts`.
    if isinstance(arrays, (list, tuple)):
        arrays = [x for x in keras.tree.flatten(arrays) if x is not None]
        facts["data"] = _short(b"".join(map(_glance, arrays)))
        facts["data types"] = [str(x.dtype) for x in arrays]
    elif hasattr(data, "source"):
        labels = np.asarray(data.source.labels)
        facts["data"] = _short(labels.tobytes())
        facts["data type"] = str(data.source.dtype)
        for name in ("seed", "epoch", "step", "shuffle"):
            facts[f"{name} of the data"] = getattr(data, name)
    if hasattr(data, "batch_size"):
        facts["batch size"] = data.batch_size
    return facts


def _glance(x: Any) -> bytes:
    shown = x[:: max(1, len(x) // _LOOKED_AT)] if x.ndim > 1 else x
    return repr(x.shape).encode() + ops.convert_to_numpy(shown).tobytes()


def _config_of(item: Any) -> str:
    """A loss or an optimizer, in words that no process has alone."""
    if not hasattr(item, "get_config"):
        return _name_of(item)
    # An address in memory differs from process to process.
    config = json.dumps(item.get_config(), default=_name_of, sort_keys=True)
    return f"{type(item).__name__} {config}"


def _name_of(item: Any) -> str:
    named = isinstance(item, str) or hasattr(item, "__name__")
    return getattr(item, "__name__", item) if named else type(item).__name__


def _short(content: str | bytes) -> str:
    content = content.encode() if isinstance(content, str) else content
    return f"#{zlib.crc32(content):08x}"
