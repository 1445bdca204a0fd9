"""The triangular surrogate."""

from typing import Any

import keras
from keras import ops

from keras_tcl.surrogates.surrogate import Surrogate, positive


@keras.saving.register_keras_serializable(package="keras_tcl")
class Triangle(Surrogate):
    r"""Triangular surrogate: `ds/dv = max(0, gamma - |v|) / gamma**2`.

    Peak `1 / gamma`, full width at half maximum `gamma`, zero outside
    `|v| < gamma`. The choice of TET and of the work that follows it.

    Args:
        gamma: Float greater than 0, half of the support. Defaults to `1.0`,
            which gives a peak of 1.

    Example:

    >>> surrogate = keras_tcl.surrogates.Triangle()
    >>> surrogate(keras.ops.convert_to_tensor([-1.0, 0.0, 0.5]))
    array([0. , 1. , 0.5], dtype=float32)

    Reference:

    - [Deng et al., 2022](https://arxiv.org/abs/2202.11946)
    """

    def __init__(self, gamma: float = 1.0) -> None:
        self.gamma = positive("gamma", gamma)

    @property
    def peak(self) -> float:  # type: ignore[override]
        return 1.0 / self.gamma

    @property
    def width(self) -> float:  # type: ignore[override]
        return self.gamma

    def __call__(self, v: Any) -> Any:
        return ops.relu(self.gamma - ops.abs(v)) * (1.0 / self.gamma**2)

    def get_config(self) -> dict[str, Any]:
        return {"gamma": self.gamma}
