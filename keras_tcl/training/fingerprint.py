"""What must be the same in all processes of a training, in short."""

import json
import zlib
from typing import Any

import keras
import numpy as np
from keras import ops

# Samples of large arrays that are looked at.
_LOOKED_AT = 64


def of_fit(model: keras.Model, given: dict[str, Any]) -> dict[str, Any]:
    """Facts about a compiled model and what its `fit` is given, by name."""
    facts = {**of_model(model), **of_data(given["x"])}
    facts["epochs"] = given.get("epochs", 1)
    validation = given.get("validation_data")
    if validation is not None:
        of_validation = of_data(validation)
        facts |= {f"validation: {k}": v for k, v in of_validation.items()}
    return facts


def of_model(model: keras.Model) -> dict[str, Any]:
    """Facts about a compiled model."""
    variables = [(v.path, tuple(v.shape), v.dtype) for v in model.variables]
    optimizer = getattr(model, "optimizer", None)
    settings = optimizer.get_config() if optimizer else {}
    return {
        "variables": f"{len(variables)} ({_short(repr(variables))})",
        "trainable variables": len(model.trainable_variables),
        "loss": repr(_named(getattr(model, "loss", None))),
        "optimizer": f"{type(optimizer).__name__} "
        f"{json.dumps(settings, default=str, sort_keys=True)}",
    }


def of_data(data: Any) -> dict[str, Any]:
    """Facts about a data set, of which this process has its part."""
    try:
        facts: dict[str, Any] = {"number of batches": len(data)}
    except TypeError:
        facts = {}
    if hasattr(data, "arrays"):  # Those of all, of `Parts`.
        arrays = keras.tree.flatten(data.arrays)
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


def _named(loss: Any) -> Any:
    # A function's address differs from process to process.
    return getattr(loss, "__name__", loss)


def _short(content: str | bytes) -> str:
    content = content.encode() if isinstance(content, str) else content
    return f"#{zlib.crc32(content):08x}"
