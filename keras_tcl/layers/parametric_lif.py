"""The leaky integrate-and-fire neuron with a learned decay."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_tcl.layers.lif import LIF


@keras.saving.register_keras_serializable(package="keras_tcl")
class PLIF(LIF):
    r"""Parametric LIF neurons: `LIF` whose decay is learned.

    ```
    decay = sigmoid(w)
    h_t = decay * u_{t-1} + x_t
    ```

    and fire and reset as in `LIF`. All neurons of the layer share one weight
    `w`, so the decay stays between 0 and 1. It is float32 under every dtype
    policy. Its gradient is `sum_t dL/dh_t * u_{t-1} * decay * (1 - decay)`.

    Fang et al. write `1 - 1/tau = 1 - sigmoid(a)` for the decay, thus
    `w = -a`, and multiply the input by `1/tau`. Here, as in `LIF` and in
    SpikingJelly's `ParametricLIFNode(decay_input=False)`, the input is left
    as it is: the normalization before the neurons has a scale.

    Args:
        decay: Float between 0 and 1, both excluded, the decay before
            training. Defaults to `0.5`.
        threshold: As of `LIF`. Defaults to `1.0`.
        reset: As of `LIF`. Defaults to `"hard"`.
        detach_reset: As of `LIF`. Defaults to `False`.
        surrogate: As of `LIF`. Defaults to `"triangle"`.
        **kwargs: `initial_potential`, as of `LIF`, and as for any layer.

    Attributes:
        decay_logit: Weight `w`, a scalar.
        current_decay: The decay as trained so far, `sigmoid(w)`.

    Raises:
        ValueError: As `LIF`, and if `decay` is 0 or 1.

    Example:

    >>> layer = keras_tcl.layers.PLIF(decay=0.5)
    >>> tuple(layer(keras.ops.ones((2, 4, 8, 8, 3))).shape)
    (2, 4, 8, 8, 3)
    >>> len(layer.trainable_weights)
    1

    Reference:

    - [Fang et al., 2021](https://arxiv.org/abs/2007.05785)
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
        super().__init__(
            decay, threshold, reset, detach_reset, surrogate, **kwargs
        )
        if self.decay in (0.0, 1.0):
            raise ValueError(
                "`decay` must be greater than 0 and less than 1, where its "
                "logarithm of odds is finite. "
                f"Received: decay={decay!r}."
            )

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        logit = math.log(self.decay / (1 - self.decay))
        self.decay_logit = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(logit),
            name="decay_logit",
        )

    @property
    def current_decay(self) -> Any:
        return ops.sigmoid(self.decay_logit)
