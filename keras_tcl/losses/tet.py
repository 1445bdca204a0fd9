"""Temporal efficient training."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.losses.divergences import cross_entropy
from keras_tcl.losses.temporal_loss import TemporalLoss


@keras.saving.register_keras_serializable(package="keras_tcl")
class TET(TemporalLoss):
    """Mean over time of each step's own cross entropy.

    ```
    loss = 1/V sum_v (1 - r) 1/T sum_t CE(softmax(O_t), y)
                     + r mean_{t,c} (O_t,c - target)^2
    ```

    with `r` the `regularization`. The TCL paper's comparison is `r = 0`; the
    TET authors add the second term to keep single logits from running away,
    with `r` between 0.0001 and 0.05.

    Args:
        regularization: Float between 0 and 1. Share of the squared term.
            Defaults to `0.0`.
        target: Float. Level the squared term pulls all logits to. Defaults
            to `1.0`, the neurons' usual threshold.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Class ids `(batch,)` or one-hot or soft labels
            `(batch, classes)`.
        y_pred: `{"logits": (batch, views, timesteps, classes)}` or logits
            `(batch, timesteps, classes)`.
        sample_weight: Optional weights `(batch,)`.

    Example:

    >>> logits = np.zeros((2, 4, 10))  # Two samples, T = 4.
    >>> loss = keras_tcl.losses.TET(regularization=0.1)
    >>> round(float(loss([3, 7], logits)), 4)  # 0.9 log(10) + 0.1
    2.1723

    Reference: equation 5 of the temporal contrastive learning paper;
    [TET](https://arxiv.org/abs/2202.11946).
    """

    def __init__(
        self,
        regularization: float = 0.0,
        target: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "tet",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.regularization = checks.number(
            "regularization", regularization, 0, 1
        )
        self.target = checks.number("target", target)

    def classification(self, targets: Any, logits: Any) -> Any:
        values = ops.mean(cross_entropy(targets, logits), axis=2)
        if self.regularization == 0:
            return values
        distance = ops.mean(ops.square(logits - self.target), axis=(2, 3))
        return (
            1.0 - self.regularization
        ) * values + self.regularization * distance

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "regularization": self.regularization,
            "target": self.target,
        }
