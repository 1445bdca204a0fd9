"""What a training is made of between two steps, taken and put back."""

import random
import re
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_tcl.callbacks.checkpoint_files import State
from keras_tcl.distribution import replicas

# What callbacks of Keras 3.15 carry from one epoch or batch to the next.
_CARRIED: dict[Any, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: (
        "wait",
        "stopped_epoch",
        "best",
        "best_epoch",
        "best_weights",
    ),
    keras.callbacks.ReduceLROnPlateau: ("wait", "cooldown_counter", "best"),
    keras.callbacks.ModelCheckpoint: (
        "best",
        "epochs_since_last_save",
        "_batches_seen_since_last_saving",
        "_last_batch_seen",
        "_current_epoch",
    ),
    keras.callbacks.SwapEMAWeights: ("_ema_weights_in_model",),
}


def variables_of(model: keras.Model) -> dict[str, list[Any]]:
    """All variables of a training, by what they belong to."""
    optimizer = model.optimizer
    return {
        # Moving statistics and the states of seed generators among them.
        "network": list(model.variables),
        "optimizer": list(optimizer.variables) if optimizer else [],
        "metrics": list(model.metrics_variables),
    }


def take(
    model: keras.Model,
    callbacks: Iterable[Any],
    kinds: Sequence[str] = ("network", "optimizer", "metrics"),
) -> State:
    """The state of a training: facts for JSON, and arrays by name."""
    if keras.config.backend() == "jax":
        # Keras has the values of this epoch outside of the variables.
        model.jax_state_sync()
    arrays = {
        f"{kind}/{number}": replicas.own_value(variable)
        for kind in kinds
        for number, variable in enumerate(variables_of(model)[kind])
    }
    history = getattr(model, "history", None)
    carried = {}
    for name, callback in _stateful(callbacks):
        own, own_arrays = _pack(_carried(callback))
        carried[name] = own
        arrays.update({f"{name}/{k}": v for k, v in own_arrays.items()})
    arrays.update(_torch_random())
    facts = {
        "variables": {kind: _described(model, kind) for kind in kinds},
        "timesteps": getattr(model, "timesteps", None),
        "history": [history.epoch, history.history] if history else None,
        "callbacks": carried,
        "random": random.getstate(),
        "numpy_random": np.random.get_state(legacy=True),
    }
    return _plain(facts), arrays


def put_variables(model: keras.Model, state: State) -> None:
    """Give each variable its value; `variables_differ` comes before."""
    facts, arrays = state
    variables = variables_of(model)
    for kind in facts["variables"]:
        for number, variable in enumerate(variables[kind]):
            replicas.assign_own(variable, arrays[f"{kind}/{number}"])


def put(model: keras.Model, callbacks: Iterable[Any], state: State) -> None:
    """Put all back that `take` took."""
    facts, arrays = state
    put_variables(model, state)
    timesteps = facts["timesteps"]  # `None` where a model has none.
    if timesteps is not None and timesteps != model.timesteps:
        model.timesteps = timesteps
    if facts["history"] and model.history:
        epochs, logs = facts["history"]
        model.history.epoch = list(epochs)
        model.history.history = {k: list(v) for k, v in logs.items()}
    for name, callback in _stateful(callbacks):
        if name in facts["callbacks"]:
            own = _unpack(facts["callbacks"][name], name, arrays)
            _put_carried(callback, own)
    version, numbers, gauss = facts["random"]
    random.setstate((version, tuple(numbers), gauss))
    kind, numbers, *rest = facts["numpy_random"]
    np.random.set_state((kind, np.array(numbers, "uint32"), *rest))
    _put_torch_random(arrays)


def _torch_random() -> dict[str, np.ndarray]:
    """PyTorch's own random numbers, of which Keras' `Dropout` there draws."""
    if keras.config.backend() != "torch":
        return {}
    import torch

    states = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    return {f"torch/{i}": state.numpy() for i, state in enumerate(states)}


def _put_torch_random(arrays: dict[str, np.ndarray]) -> None:
    if "torch/0" not in arrays:
        return
    import torch

    torch.set_rng_state(torch.from_numpy(arrays["torch/0"]))
    for i in range(torch.cuda.device_count()):
        if f"torch/{i + 1}" in arrays:
            state = torch.from_numpy(arrays[f"torch/{i + 1}"])
            torch.cuda.set_rng_state(state, i)


def variables_differ(model: keras.Model, facts: dict[str, Any]) -> str | None:
    """How the variables of a state and of a model differ, in words."""
    for kind, there in facts["variables"].items():
        here = _described(model, kind)
        if len(there) != len(here):
            return (
                f"the {kind} has {len(there)} variables in it, and "
                f"{len(here)} now"
            )
        for was, now in zip(there, here, strict=True):
            if was != now:
                return (
                    f"the {kind} has the variable {_words(was)} in it, and "
                    f"{_words(now)} now"
                )
    return None


def _words(described: Sequence[Any]) -> str:
    name, shape, dtype = described
    return f"`{name}` {tuple(shape)} {dtype}"


def _described(model: keras.Model, kind: str) -> list[list[Any]]:
    # Without the layer, whose name Keras counts up in a process. A variable
    # of an optimizer has that of a layer in its own name.
    return [
        [
            re.sub(r"_\d+", "", variable.path.rsplit("/")[-1]),
            list(variable.shape),
            variable.dtype,
        ]
        for variable in variables_of(model)[kind]
    ]


def _stateful(callbacks: Iterable[Any]) -> list[tuple[str, Any]]:
    """Callbacks that carry something, each by a name of its own."""
    found: list[tuple[str, Any]] = []
    for callback in callbacks:
        is_known = isinstance(callback, tuple(_CARRIED))
        if is_known or hasattr(callback, "get_state"):
            name = type(callback).__name__
            count = sum(k.startswith(f"{name}:") for k, _ in found)
            found.append((f"{name}:{count}", callback))
    return found


def _carried(callback: Any) -> dict[str, Any]:
    if hasattr(callback, "get_state"):
        return dict(callback.get_state())
    return {
        name: getattr(callback, name)
        for kind, names in _CARRIED.items()
        if isinstance(callback, kind)
        for name in names
        if hasattr(callback, name)
    }


def _put_carried(callback: Any, values: dict[str, Any]) -> None:
    if hasattr(callback, "get_state"):
        callback.set_state(values)
        return
    for name, value in values.items():
        setattr(callback, name, value)


# --- Arrays within what a callback carries ---------------------------------


def _pack(values: dict[str, Any]) -> State:
    """Values for JSON, and a list of arrays beside, as their number."""
    plain, arrays = {}, {}
    for name, value in values.items():
        is_list = isinstance(value, list) and len(value) > 0
        if is_list and all(isinstance(v, np.ndarray) for v in value):
            plain[name] = {"arrays": len(value)}
            arrays.update({f"{name}/{i}": v for i, v in enumerate(value)})
        else:
            plain[name] = value
    return plain, arrays


def _unpack(
    plain: dict[str, Any], owner: str, arrays: dict[str, Any]
) -> dict[str, Any]:
    values = dict(plain)
    for name, value in plain.items():
        if isinstance(value, dict) and list(value) == ["arrays"]:
            numbers = range(value["arrays"])
            values[name] = [arrays[f"{owner}/{name}/{i}"] for i in numbers]
    return values


def _plain(value: Any) -> Any:
    """The same without NumPy's types, for JSON."""
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return float(value)
