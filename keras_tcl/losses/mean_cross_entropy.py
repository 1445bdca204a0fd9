"""The baseline loss of direct training."""

from typing import Any

import keras
from keras import ops

from keras_tcl.losses.divergences import cross_entropy
from keras_tcl.losses.temporal_loss import TemporalLoss


@keras.saving.register_keras_serializable(package="keras_tcl")
class MeanCrossEntropy(TemporalLoss):
    """Cross entropy of the logits' mean over time, the paper's baseline.

    ```
    loss = 1/V sum_v CE(softmax(1/T sum_t O_t), y)
    ```

    The paper calls `O_t` a probability; its mean is taken over logits, as
    all public code of the field does and as the prediction of a spiking
    network is read. The values of V views are averaged.

    Args:
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
    >>> loss = keras_tcl.losses.MeanCrossEntropy()
    >>> round(float(loss([3, 7], logits)), 4)  # log(10)
    2.3026

    Reference: equation 4 of the temporal contrastive learning paper.
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_cross_entropy",
    ) -> None:
        super().__init__(reduction=reduction, name=name)

    def classification(self, targets: Any, logits: Any) -> Any:
        return cross_entropy(targets, ops.mean(logits, axis=2))
