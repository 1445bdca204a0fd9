"""The leaky integrate-and-fire neuron."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_tcl import checks, kernels, surrogates
from keras_tcl.layers.neuron import Neuron

RESETS = ("hard", "soft")
INITIAL_POTENTIALS = ("zero", "running_mean")
# Share of the running mean that a training step keeps, as in the source.
MOMENTUM = 0.9


@keras.saving.register_keras_serializable(package="keras_tcl")
class LIF(Neuron):
    r"""Leaky integrate-and-fire neurons over a whole sequence.

    Each element of the input beyond the time axis is one neuron. Its membrane
    potential charges, fires and resets at every step `t = 1..T` (paper
    eq. 1-3), starting from `u_0 = 0` (or `initial_potential`) at every call:

    ```
    h_t = decay * u_{t-1} + x_t
    s_t = 1 if h_t >= threshold else 0
    u_t = h_t * (1 - s_t)              # reset="hard"
    u_t = h_t - threshold * s_t        # reset="soft"
    ```

    A potential that has become NaN never fires again. The layer keeps no
    state between calls, so there is nothing to reset and nothing to save but
    the mean of MP-Init.

    The gradient is backpropagation through time, with
    `ds_t/dh_t = surrogate(h_t - threshold)`. The potential is float32
    arithmetic under every dtype policy; the spikes have the compute dtype.

    With `training=False`, as in `predict` and `evaluate`, the layer is the
    plain recurrence and passes no gradient.

    Args:
        decay: Float between 0 and 1, the factor the potential keeps from one
            step to the next (the paper's alpha; `beta` or `1 - 1/tau` of
            other libraries). Defaults to `0.5`.
        threshold: Float greater than 0, the potential that makes a neuron
            fire. Defaults to `1.0`.
        reset: `"hard"` (to 0) or `"soft"` (by the threshold). Defaults to
            `"hard"`.
        detach_reset: Boolean, whether the gradient ignores the path through
            the reset. Defaults to `False`.
        surrogate: Derivative used for the step function in the backward
            pass: a name (`"triangle"`, `"atan"`, `"sigmoid"`, `"rectangle"`,
            or one you registered), a `keras_tcl.surrogates.Surrogate`, or a
            callable. Defaults to `"triangle"`.
        initial_potential: `u_0` of every neuron: `"zero"`, or
            `"running_mean"` for MP-Init: the mean that training has found of
            `u_T`, over the neurons of the layer that fired at least once
            (one number, kept to 0.9 at each training step). The first step is
            then more like the ones that follow. A training step takes a
            further pass over the potentials. Defaults to `"zero"`.

    Call arguments:
        inputs: Tensor of shape `[batch, T, ...]`; T must be static.
        training: Boolean or `None`. Only `False` drops the surrogate
            gradient: a training loop that leaves the argument out trains.

    Input shape:
        `[batch, T, ...]`, rank 2 or more.

    Output shape:
        The same. Values are 0 and 1.

    Raises:
        ValueError: If an argument is out of range, the input has no time
            axis, or T is `None` or 0.

    Example:

    >>> current = keras.ops.ones((1, 4)) * 0.6
    >>> spikes = keras_tcl.layers.LIF()(current)
    >>> keras.ops.convert_to_numpy(spikes).tolist()
    [[0.0, 0.0, 1.0, 0.0]]

    Reference:

    - [Qiu et al., 2023](https://arxiv.org/abs/2305.13909), section 3.1
    - [Kook et al., 2026](https://arxiv.org/abs/2511.08708) for MP-Init
    """

    def __init__(
        self,
        decay: float = 0.5,
        threshold: float = 1.0,
        reset: str = "hard",
        detach_reset: bool = False,
        surrogate: str | dict[str, Any] | Callable[[Any], Any] = "triangle",
        initial_potential: str = "zero",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decay = checks.number("decay", decay, 0, 1)
        self.threshold = checks.positive("threshold", threshold)
        self.reset = checks.choice("reset", reset, RESETS)
        self.detach_reset = bool(detach_reset)
        self.surrogate = surrogates.get(surrogate)
        self.initial_potential = checks.choice(
            "initial_potential", initial_potential, INITIAL_POTENTIALS
        )

    def build(self, input_shape: Any) -> None:
        if self.initial_potential == "running_mean":
            if type(self).sequence is not LIF.sequence:
                raise ValueError(
                    "A neuron with a step of its own has no running mean of "
                    "its potential: write `initial_state` in place of "
                    '`initial_potential="running_mean"`. '
                    f"Received: {type(self).__name__}."
                )
            self.mean_potential = self.add_weight(
                shape=(),
                initializer="zeros",
                trainable=False,
                name="mean_potential",
            )

    @property
    def current_decay(self) -> Any:
        """The decay in use; a scalar tensor where it is learned."""
        return self.decay

    def initial_state(self, shape: tuple) -> Any:
        u = super().initial_state(shape)
        if self.initial_potential == "running_mean":
            u = u + self.mean_potential
        return u

    def step(self, x: Any, u: Any) -> tuple[Any, Any]:
        h = self.current_decay * u + x
        s = surrogates.spike(h - self.threshold, self.surrogate)
        reset = ops.stop_gradient(s) if self.detach_reset else s
        if self.reset == "hard":
            return s, h * (1.0 - reset)
        return s, h - self.threshold * reset

    def sequence(self, x: Any, training: bool | None = None) -> Any:
        if self.initial_potential == "zero":
            return self._spikes(x, training)
        # The kernels begin with 0: what u_0 adds to h_1 comes with x_1. In
        # half precision, their sum would be rounded.
        x = ops.cast(x, "float32")
        is_first = ops.one_hot(0, x.shape[1], dtype="float32")
        is_first = ops.reshape(is_first, (1, -1, *[1] * (len(x.shape) - 2)))
        # A copy: PyTorch keeps it for the gradient of a learned decay.
        u = self.mean_potential + 0.0
        x = x + self.current_decay * u * is_first
        spikes = self._spikes(x, training)
        if training:
            self._update_mean_potential(x, spikes)
        return ops.cast(spikes, self.compute_dtype)

    def _spikes(self, x: Any, training: bool | None) -> Any:
        settings = self.current_decay, self.threshold, self.reset
        if training is False:
            # No custom gradient in an inference graph: ONNX has no word for it.
            return kernels.lif_forward(x, *settings)
        return kernels.lif(x, *settings, self.detach_reset, self.surrogate)

    def _update_mean_potential(self, x: Any, spikes: Any) -> None:
        """Move the running mean to that of `u_T` after the input `x`."""
        x, fired = ops.stop_gradient(x), ops.any(spikes > 0, axis=1)
        with surrogates.without_gradient(), kernels.no_autograd():
            _, u = kernels.over_time(
                self.step, x, ops.zeros_like(x[:, 0]), return_state=True
            )
            u = ops.stop_gradient(u)
            count = ops.sum(ops.cast(fired, "float32"))
            mean = ops.sum(ops.where(fired, u, 0.0)) / ops.maximum(count, 1.0)
            self.mean_potential.assign(
                MOMENTUM * self.mean_potential + (1 - MOMENTUM) * mean
            )

    def get_config(self) -> dict[str, Any]:
        config = {
            "decay": self.decay,
            "threshold": self.threshold,
            "reset": self.reset,
            "detach_reset": self.detach_reset,
            "surrogate": surrogates.serialize(self.surrogate),
            "initial_potential": self.initial_potential,
        }
        return {**super().get_config(), **config}
