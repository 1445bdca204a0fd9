"""The logistic surrogate."""

import math
from typing import Any

import keras
from keras import ops

from keras_tcl.surrogates.surrogate import Surrogate, positive


@keras.saving.register_keras_serializable(package="keras_tcl")
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

    def __init__(self, alpha: float = 4.0) -> None:
        self.alpha = positive("alpha", alpha)

    @property
    def peak(self) -> float:  # type: ignore[override]
        return self.alpha / 4

    @property
    def width(self) -> float:  # type: ignore[override]
        return 4 * math.log(1 + math.sqrt(2)) / self.alpha

    def __call__(self, v: Any) -> Any:
        p = ops.sigmoid(self.alpha * v)
        return self.alpha * p * (1.0 - p)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha}
