"""The leaky integrate-and-fire neuron."""

from collections.abc import Callable
from typing import Any, SupportsFloat

import keras
from keras import ops

from keras_tcl import kernels, surrogates
from keras_tcl.surrogates.surrogate import positive

RESETS = ("hard", "soft")


@keras.saving.register_keras_serializable(package="keras_tcl")
class LIF(keras.layers.Layer):
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
            step to the next (the paper's alpha). 1 is the integrate-and-fire
            neuron. Defaults to `0.5`.
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

    >>> current = keras.ops.ones((1, 4, 1)) * 0.6
    >>> keras.ops.ravel(keras_tcl.layers.LIF()(current))
    array([0., 0., 1., 0.], dtype=float32)

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
        if not isinstance(decay, SupportsFloat) or not 0 <= decay <= 1:
            raise ValueError(
                "`decay` must be between 0 and 1: the fraction of the "
                "membrane potential that is left after one step. "
                f"Received: decay={decay!r}."
            )
        if reset not in RESETS:
            raise ValueError(
                f"`reset` must be one of {RESETS}. Received: reset={reset!r}."
            )
        self.decay = float(decay)
        self.threshold = positive("threshold", threshold)
        self.reset = reset
        self.detach_reset = bool(detach_reset)
        self.surrogate = surrogates.get(surrogate)
        self._build_at_init()

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        _check_time_axis(inputs.shape)
        x = ops.cast(inputs, self.compute_dtype)
        if training is False:
            # No custom gradient in an inference graph: ONNX has no word for it.
            return kernels.lif_forward(
                x, self.decay, self.threshold, self.reset
            )
        return kernels.lif(
            x,
            self.decay,
            self.threshold,
            self.reset,
            self.detach_reset,
            self.surrogate,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        _check_time_axis(input_shape)
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = {
            "decay": self.decay,
            "threshold": self.threshold,
            "reset": self.reset,
            "detach_reset": self.detach_reset,
            "surrogate": surrogates.serialize(self.surrogate),
        }
        return {**super().get_config(), **config}


def _check_time_axis(shape: Any) -> None:
    if len(shape) < 2:
        raise ValueError(
            "LIF expects a sequence of shape [batch, T, ...]. "
            f"Received an input of shape {tuple(shape)}. For a still input, "
            "add the time axis with `keras_tcl.layers.DirectEncoding`."
        )
    if not shape[1]:
        raise ValueError(
            "LIF needs to know the number of time steps T, axis 1 of its "
            "input, and at least one. "
            f"Received an input of shape {tuple(shape)}. Give T in the "
            "input's shape, for example `keras.Input((4, ...))`; in a tf.data "
            "pipeline, fix it with `tf.ensure_shape`."
        )
