"""By what a training is told from another, and how the two differ."""

import json
import re
import zlib
from typing import Any

import keras
import numpy as np

from keras_tcl.data import Batches
from keras_tcl.distribution import replicas

# They differ between two runs of one program, or are part of the state.
_LEFT_OUT = ("seed", "shared_object_id", "build_config")
# By these, a network's config names a layer, or refers to one.
_NAMES = ("name", "keras_history", "input_layers", "output_layers")


def identity(model: keras.Model, data: Batches | None) -> dict[str, Any]:
    """What must be the same for a training to go on, as JSON holds it."""
    return {
        "backend": keras.config.backend(),
        "data": None if data is None else _of_data(data),
        "timesteps": getattr(model, "timesteps", None),
        "replicas": replicas.of_this_process(),
        "compile": _of_config(model.get_compile_config),
        "model": _of_config(model.get_config),
    }


def difference(there: Any, here: Any, where: str = "") -> str | None:
    """The first difference in words, or `None`."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in {**there, **here}:
            path = f"{where}.{key}" if where else key
            found = difference(there.get(key), here.get(key), path)
            if found:
                return found
        return None
    are_lists = isinstance(there, list) and isinstance(here, list)
    if are_lists and len(there) == len(here):
        for i, pair in enumerate(zip(there, here, strict=True)):
            found = difference(*pair, f"{where}[{i}]")
            if found:
                return found
        return None
    if there == here:
        return None
    return f"{where} is {_short(there)} in it, and {_short(here)} now"


def _of_data(data: Batches) -> dict[str, Any]:
    return {
        "name": data.source.info.name,
        "examples": len(data.source),
        "element_shape": list(data.source.element_shape),
        "dtype": data.source.dtype,
        "labels_crc32": zlib.crc32(data.source.labels.tobytes()),
        # Those of other pixels are of the same labels.
        "first_crc32": zlib.crc32(data.source.read(np.arange(1))[0].tobytes()),
        "batch_size": data.batch_size,
        "shuffle": bool(data.shuffle),
        "seed": data.seed,
        "drop_remainder": bool(data.drop_remainder),
        "shard": list(data.shard),
    }


def _of_config(get_config: Any) -> Any:
    try:
        config = get_config()
    except Exception:  # A model of one's own may have none.
        return None
    return _normal(json.loads(json.dumps(config, default=_type_name)), {})


def _normal(config: Any, numbers: dict[str, int], is_name: bool = False) -> Any:
    """A config without what Keras numbers, draws or compiles by itself.

    Layers have numbers by their order in it, which `numbers` collects: they
    tell what is connected to what, however far Keras had counted before.
    """
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":
            return "lambda"
        kept = {k: v for k, v in config.items() if k not in _LEFT_OUT}
        return {k: _normal(v, numbers, k in _NAMES) for k, v in kept.items()}
    if isinstance(config, list):
        return [_normal(value, numbers, is_name) for value in config]
    if not isinstance(config, str):
        return config
    name = re.sub(r"(_\d+)+$", "", config)
    if is_name:
        return f"{name} {numbers.setdefault(config, len(numbers))}"
    return name


def _type_name(value: Any) -> str:
    return type(value).__name__


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
