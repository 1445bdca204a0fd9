r"""Surrogate derivatives of the step function, by class and by name.

A spiking neuron fires `s = spike(v)` where its potential exceeds the threshold
by `v >= 0`. The true derivative of that step is zero almost everywhere, so the
backward pass uses `ds/dv = surrogate(v)` instead.
"""

import contextlib
import contextvars
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from keras_tcl import checks

__all__ = [
    "ATan",
    "Rectangle",
    "Sigmoid",
    "Surrogate",
    "Triangle",
    "get",
    "list_surrogates",
    "register",
    "serialize",
    "spike",
]

Derivative = Callable[[Any], Any]

_HAS_GRADIENT = contextvars.ContextVar("has_gradient", default=True)


def spike(v: Any, surrogate: Any = "triangle") -> Any:
    r"""1 where `v >= 0`, else 0, with a surrogate for the derivative.

    ```
    s = 1 if v >= 0 else 0
    ds/dv = surrogate(v)       # in the backward pass
    ```

    What a neuron's `step` is made of. NaN does not fire. Inside a
    `keras_tcl.layers.Neuron` that is called with `training=False`, it is the
    plain step function, so that exporters meet no custom gradient.

    Args:
        v: Floating-point tensor of any shape, potential minus threshold.
            Call this inside a layer: JAX and TensorFlow take no symbolic
            tensor here.
        surrogate: Whatever `get` takes. Defaults to `"triangle"`.

    Returns:
        Tensor of 0 and 1 of the shape and dtype of `v`. The derivative is
        computed in float32, and the gradient has the dtype of `v`.

    Raises:
        ValueError: If the surrogate is unknown.

    Example:

    >>> v = keras.ops.convert_to_tensor([-0.5, 0.0, 0.5])
    >>> keras.ops.convert_to_numpy(keras_tcl.surrogates.spike(v)).tolist()
    [0.0, 1.0, 1.0]

    Reference:

    - [Neftci et al., 2019](https://arxiv.org/abs/1901.09948)
    """
    derivative = get(surrogate)
    v = ops.convert_to_tensor(v)
    if not _HAS_GRADIENT.get():
        return ops.cast(v >= 0, v.dtype)

    @ops.custom_gradient
    def step(v: Any) -> Any:
        def grad(*args: Any, upstream: Any = None) -> Any:
            if upstream is None:  # TensorFlow and JAX pass it by position.
                (upstream,) = args
            slope = derivative(ops.cast(v, "float32"))
            return ops.cast(ops.cast(upstream, "float32") * slope, v.dtype)

        return ops.cast(v >= 0, v.dtype), grad

    return step(v)


@contextlib.contextmanager
def without_gradient() -> Iterator[None]:
    """Makes `spike` the plain step function while the context is open."""
    token = _HAS_GRADIENT.set(False)
    try:
        yield
    finally:
        _HAS_GRADIENT.reset(token)


@dataclasses.dataclass(frozen=True)
class Surrogate:
    r"""Base of the built-in derivatives, each with one positive parameter.

    Each is the derivative of a function that climbs from 0 to 1, so its area
    is 1: a wider one has a lower peak. The peak lies at `v = 0`; well below 1,
    it makes the gradient vanish with depth. At the default parameters it is 1.

    A subclass is a frozen dataclass, registered with
    `keras.saving.register_keras_serializable`; for a function without
    parameters, `register` is simpler.
    """

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            object.__setattr__(self, name, checks.positive(name, value))

    def __call__(self, v: Any) -> Any:
        """Return `ds/dv` at the float32 tensor `v = h - threshold`."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Surrogate":
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_tcl")
@dataclasses.dataclass(frozen=True)
class ATan(Surrogate):
    r"""Arctangent surrogate: `ds/dv = (alpha/2) / (1 + (pi*alpha*v/2)**2)`.

    Peak `alpha / 2`, full width at half maximum `4 / (pi * alpha)`, never
    exactly zero. The choice of SEW-ResNet.

    Args:
        alpha: Float greater than 0, the steepness. Defaults to `2.0`, which
            gives a peak of 1.

    Reference:

    - [Fang et al., 2021](https://arxiv.org/abs/2007.05785)
    """

    alpha: float = 2.0

    def __call__(self, v: Any) -> Any:
        scaled = v * (math.pi * self.alpha / 2)
        return (self.alpha / 2) / (1.0 + scaled * scaled)


@keras.saving.register_keras_serializable(package="keras_tcl")
@dataclasses.dataclass(frozen=True)
class Rectangle(Surrogate):
    r"""Rectangular surrogate: `ds/dv = 1/width` where `|v| < width/2`, else 0.

    Peak `1 / width`, constant over its full width `width`.

    Args:
        width: Float greater than 0. Defaults to `1.0`, which gives a peak
            of 1.

    Reference:

    - [Wu et al., 2018](https://arxiv.org/abs/1706.02609)
    """

    width: float = 1.0

    def __call__(self, v: Any) -> Any:
        inside = ops.abs(v) < self.width / 2
        return ops.cast(inside, v.dtype) * (1.0 / self.width)


@keras.saving.register_keras_serializable(package="keras_tcl")
@dataclasses.dataclass(frozen=True)
class Sigmoid(Surrogate):
    r"""Logistic surrogate: `ds/dv = alpha*p*(1 - p)`, `p = sigmoid(alpha*v)`.

    Peak `alpha / 4`, full width at half maximum `4*log(1 + sqrt(2)) / alpha`,
    never exactly zero.

    Args:
        alpha: Float greater than 0, the steepness. Defaults to `4.0`, which
            gives a peak of 1; with `alpha=1` (peak 0.25) deep networks do not
            train.

    Reference:

    - [Neftci et al., 2019](https://arxiv.org/abs/1901.09948)
    """

    alpha: float = 4.0

    def __call__(self, v: Any) -> Any:
        p = ops.sigmoid(self.alpha * v)
        return self.alpha * p * (1.0 - p)


@keras.saving.register_keras_serializable(package="keras_tcl")
@dataclasses.dataclass(frozen=True)
class Triangle(Surrogate):
    r"""Triangular surrogate: `ds/dv = max(0, gamma - |v|) / gamma**2`.

    Peak `1 / gamma`, full width at half maximum `gamma`, zero outside
    `|v| < gamma`. The choice of TET and of the work that follows it.

    Args:
        gamma: Float greater than 0, half of the support. Defaults to `1.0`,
            which gives a peak of 1.

    Example:

    >>> triangle = keras_tcl.surrogates.Triangle()
    >>> slope = triangle(keras.ops.convert_to_tensor([-1.0, 0.0, 0.5]))
    >>> keras.ops.convert_to_numpy(slope).tolist()
    [0.0, 1.0, 0.5]

    Reference:

    - [Deng et al., 2022](https://arxiv.org/abs/2202.11946)
    """

    gamma: float = 1.0

    def __call__(self, v: Any) -> Any:
        return ops.relu(self.gamma - ops.abs(v)) * (1.0 / self.gamma**2)


_BY_NAME: dict[str, Derivative] = {
    "atan": ATan(),
    "rectangle": Rectangle(),
    "sigmoid": Sigmoid(),
    "triangle": Triangle(),
}
_BUILT_IN = frozenset(_BY_NAME)


def list_surrogates() -> list[str]:
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
        identifier: A name (see `list_surrogates()`), a `Surrogate`, the
            config dict of one, or any callable that maps `v` to `ds/dv`.

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
        f"Unknown surrogate. Expected one of {list_surrogates()}, a "
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
        "This surrogate has no name, so it cannot be saved, nor copied for a "
        "network. Register it with "
        "`keras_tcl.surrogates.register(name, derivative)`. "
        f"Received: surrogate={surrogate!r}."
    )
