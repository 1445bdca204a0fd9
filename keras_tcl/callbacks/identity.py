"""By what a training is told from another, and how the two differ."""

import zlib
from typing import Any

import keras
import numpy as np

from keras_tcl.data import Batches
from keras_tcl.distribution import replicas
from keras_tcl.training.configs import without_chance


def identity(model: keras.Model, data: Batches | None) -> dict[str, Any]:
    """What must be the same for a training to go on, as JSON holds it."""
    return {
        "backend": keras.config.backend(),
        "data": None if data is None else _of_data(data),
        "timesteps": getattr(model, "timesteps", None),
        "replicas": replicas.of_this_process(),
        "compile": without_chance(model.get_compile_config),
        "model": without_chance(model.get_config),
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


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
