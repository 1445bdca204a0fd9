"""The arctangent surrogate."""

import math
from typing import Any

import keras

from keras_tcl.surrogates.surrogate import Surrogate, positive


@keras.saving.register_keras_serializable(package="keras_tcl")
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

    def __init__(self, alpha: float = 2.0) -> None:
        self.alpha = positive("alpha", alpha)

    @property
    def peak(self) -> float:  # type: ignore[override]
        return self.alpha / 2

    @property
    def width(self) -> float:  # type: ignore[override]
        return 4 / (math.pi * self.alpha)

    def __call__(self, v: Any) -> Any:
        scaled = v * (math.pi * self.alpha / 2)
        return (self.alpha / 2) / (1.0 + scaled * scaled)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha}
