"""The rectangular surrogate."""

from typing import Any

import keras
from keras import ops

from keras_tcl.surrogates.surrogate import Surrogate, positive


@keras.saving.register_keras_serializable(package="keras_tcl")
class Rectangle(Surrogate):
    r"""Rectangular surrogate: `ds/dv = 1/width` where `|v| < width/2`, else 0.

    Peak `1 / width`, constant over its full width `width`.

    Args:
        width: Float greater than 0. Defaults to `1.0`, which gives a peak
            of 1.

    Reference:

    - [Wu et al., 2018](https://arxiv.org/abs/1706.02609)
    """

    def __init__(self, width: float = 1.0) -> None:
        self.width = positive("width", width)

    @property
    def peak(self) -> float:  # type: ignore[override]
        return 1.0 / self.width

    def __call__(self, v: Any) -> Any:
        inside = ops.abs(v) < self.width / 2
        return ops.cast(inside, v.dtype) * (1.0 / self.width)

    def get_config(self) -> dict[str, Any]:
        return {"width": self.width}
