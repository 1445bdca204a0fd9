"""Surrogates by name: look up, register, serialize."""

from collections.abc import Callable
from typing import Any

import keras

from keras_tcl.surrogates.atan import ATan
from keras_tcl.surrogates.rectangle import Rectangle
from keras_tcl.surrogates.sigmoid import Sigmoid
from keras_tcl.surrogates.surrogate import Surrogate
from keras_tcl.surrogates.triangle import Triangle

Derivative = Callable[[Any], Any]

_BY_NAME: dict[str, Derivative] = {
    "atan": ATan(),
    "rectangle": Rectangle(),
    "sigmoid": Sigmoid(),
    "triangle": Triangle(),
}
_BUILT_IN = frozenset(_BY_NAME)


def names() -> list[str]:
    """Return the names that `get` accepts, sorted."""
    return sorted(_BY_NAME)


def register(name: str, derivative: Derivative | None = None) -> Any:
    """Register a surrogate derivative under `name`.

    A registered name works wherever a built-in one does
    (`LIF(surrogate=name)`) and is what a saved model stores, so a program
    that opens the model registers the same name first. Registering the name
    again replaces the earlier derivative.

    Args:
        name: String, not the name of a built-in surrogate.
        derivative: Callable that maps the float32 tensor
            `v = h - threshold` to `ds/dv` of the same shape. Left out,
            `register(name)` is a decorator.

    Returns:
        `derivative`, or the decorator.

    Raises:
        ValueError: If `name` is not a string or belongs to a built-in
            surrogate, or `derivative` is not callable.

    Example:

    ```python
    @keras_tcl.surrogates.register("gaussian")
    def gaussian(v):
        return keras.ops.exp(-math.pi * v * v)  # peak 1, area 1

    keras_tcl.layers.LIF(surrogate="gaussian")
    ```
    """
    if not isinstance(name, str) or not name or name in _BUILT_IN:
        raise ValueError(
            "`name` must be a non-empty string other than the built-in "
            f"{sorted(_BUILT_IN)}. Received: name={name!r}."
        )
    if derivative is None:
        return lambda function: register(name, function)
    if not callable(derivative):
        raise ValueError(
            "`derivative` must be a callable that maps a tensor to a tensor. "
            f"Received: derivative={derivative!r}."
        )
    _BY_NAME[name] = derivative
    return derivative


def get(identifier: Any) -> Derivative:
    """Return the surrogate that `identifier` stands for.

    Args:
        identifier: A name (see `names()`), a `Surrogate`, the config dict of
            one, or any callable that maps `v` to `ds/dv`.

    Raises:
        ValueError: If nothing is known by that identifier.
    """
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _BY_NAME[identifier]
    if isinstance(identifier, dict):
        surrogate = keras.saving.deserialize_keras_object(identifier)
        if isinstance(surrogate, Surrogate):
            return surrogate
    elif callable(identifier) and not isinstance(identifier, type):
        return identifier
    raise ValueError(
        f"Unknown surrogate. Expected one of {names()}, a "
        "`keras_tcl.surrogates.Surrogate` instance or a callable; new names "
        "are added with `keras_tcl.surrogates.register(name, derivative)`. "
        f"Received: surrogate={identifier!r}."
    )


def serialize(surrogate: Derivative) -> Any:
    """Return what `get` needs to find `surrogate` again.

    Raises:
        ValueError: If `surrogate` is a callable that was never registered,
            for then no saved model could name it.
    """
    for name, registered in _BY_NAME.items():
        if registered is surrogate or (
            isinstance(surrogate, Surrogate) and registered == surrogate
        ):
            return name
    if isinstance(surrogate, Surrogate):
        return keras.saving.serialize_keras_object(surrogate)
    raise ValueError(
        "This surrogate cannot be saved, because it has no name. Register it "
        "with `keras_tcl.surrogates.register(name, derivative)`. "
        f"Received: surrogate={surrogate!r}."
    )
