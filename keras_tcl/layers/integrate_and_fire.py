"""The integrate-and-fire neuron."""

from collections.abc import Callable
from typing import Any

import keras

from keras_tcl.layers.lif import LIF


@keras.saving.register_keras_serializable(package="keras_tcl")
class IF(LIF):
    r"""Integrate-and-fire neurons: `LIF` without a leak.

    ```
    h_t = u_{t-1} + x_t
    s_t = 1 if h_t >= threshold else 0
    u_t = h_t * (1 - s_t)              # reset="hard"
    u_t = h_t - threshold * s_t        # reset="soft"
    ```

    With a soft reset, the number of spikes is the sum of the input in units
    of the threshold, as far as T steps can fire it.

    Args:
        threshold: As of `LIF`. Defaults to `1.0`.
        reset: As of `LIF`. Defaults to `"hard"`.
        detach_reset: As of `LIF`. Defaults to `False`.
        surrogate: As of `LIF`. Defaults to `"triangle"`.
        **kwargs: `initial_potential`, as of `LIF`, and as for any layer.

    Example:

    >>> current = keras.ops.ones((1, 5)) * 0.375
    >>> spikes = keras_tcl.layers.IF(reset="soft")(current)
    >>> keras.ops.convert_to_numpy(spikes).tolist()
    [[0.0, 0.0, 1.0, 0.0, 0.0]]

    Reference:

    - [Rueckauer et al., 2017](https://doi.org/10.3389/fnins.2017.00682)
    """

    def __init__(
        self,
        threshold: float = 1.0,
        reset: str = "hard",
        detach_reset: bool = False,
        surrogate: str | dict[str, Any] | Callable[[Any], Any] = "triangle",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            1.0, threshold, reset, detach_reset, surrogate, **kwargs
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["decay"]
        return config
