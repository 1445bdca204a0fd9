"""The leaky integrate-and-fire neuron."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_tcl import checks, kernels, surrogates
from keras_tcl.layers.neuron import Neuron

RESETS = ("hard", "soft")


@keras.saving.register_keras_serializable(package="keras_tcl")
class LIF(Neuron):
    r"""Leaky integrate-and-fire neurons over a whole sequence.

    Each element of the input beyond the time axis is one neuron. Its membrane
    potential charges, fires and resets at every step `t = 1..T` (paper
    eq. 1-3), starting from `u_0 = 0` at every call:

    ```
    h_t = decay * u_{t-1} + x_t
    s_t = 1 if h_t >= threshold else 0
    u_t = h_t * (1 - s_t)              # reset="hard"
    u_t = h_t - threshold * s_t        # reset="soft"
    ```

    A potential that has become NaN never fires again. The layer keeps no
    state between calls, so there is nothing to reset and nothing to save.

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
    """

    def __init__(
        self,
        decay: float = 0.5,
        threshold: float = 1.0,
        reset: str = "hard",
        detach_reset: bool = False,
        surrogate: str | dict[str, Any] | Callable[[Any], Any] = "triangle",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decay = checks.number("decay", decay, 0, 1)
        self.threshold = checks.positive("threshold", threshold)
        self.reset = checks.choice("reset", reset, RESETS)
        self.detach_reset = bool(detach_reset)
        self.surrogate = surrogates.get(surrogate)

    @property
    def current_decay(self) -> Any:
        """The decay in use; a scalar tensor where it is learned."""
        return self.decay

    def step(self, x: Any, u: Any) -> tuple[Any, Any]:
        h = self.current_decay * u + x
        s = surrogates.spike(h - self.threshold, self.surrogate)
        reset = ops.stop_gradient(s) if self.detach_reset else s
        if self.reset == "hard":
            return s, h * (1.0 - reset)
        return s, h - self.threshold * reset

    def sequence(self, x: Any, training: bool | None = None) -> Any:
        settings = self.current_decay, self.threshold, self.reset
        if training is False:
            # No custom gradient in an inference graph: ONNX has no word for it.
            return kernels.lif_forward(x, *settings)
        return kernels.lif(x, *settings, self.detach_reset, self.surrogate)

    def get_config(self) -> dict[str, Any]:
        config = {
            "decay": self.decay,
            "threshold": self.threshold,
            "reset": self.reset,
            "detach_reset": self.detach_reset,
            "surrogate": surrogates.serialize(self.surrogate),
        }
        return {**super().get_config(), **config}
