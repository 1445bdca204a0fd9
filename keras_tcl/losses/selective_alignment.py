"""Each step learns from those others that are sure and alike (SeAl-KD)."""

import math
from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.losses.contrastive import unit_length
from keras_tcl.losses.divergences import distillation
from keras_tcl.losses.outputs import Outputs
from keras_tcl.losses.temporal_loss import TemporalLoss

# Stands for minus infinity, and leaves numbers where there is one step.
_EXCLUDED = -1e30


@keras.saving.register_keras_serializable(package="keras_tcl")
class SelectiveTemporalAlignment(TemporalLoss):
    """Each step learns from the other steps, the surer and more alike the more.

    ```
    loss   = 1/V sum_v 1/T sum_t k^2 KL(softmax(O*_t / k) || softmax(O_t / k))
    O*_t   = sum_{s != t} w_ts O_s, without gradient
    w_ts   = softmax over s != t of c_s cos(O_t, O_s)
    c_s    = 1 - entropy(softmax(O_s)) / log(classes), the confidence of s
    ```

    with k the `temperature`. Labels play no part. The term classifies
    nothing: add it to a loss that does. With one time step it is 0. With a
    teacher network, selective alignment distillation (SeAl-KD) is

    ```python
    from keras_tcl.losses import TET, Distillation, SelectiveTemporalAlignment

    def seal_kd(teacher, alpha, beta):
        of_teacher = Distillation(teacher, error_aware=True)
        return TET() + alpha * of_teacher + beta * SelectiveTemporalAlignment()
    ```

    Args:
        temperature: Float above 0. Defaults to `3.0`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Labels as of any loss; their values do not count.
        y_pred: `{"logits": (batch, views, timesteps, classes)}` or logits
            `(batch, timesteps, classes)`.
        sample_weight: Optional weights `(batch,)`.

    Example:

    >>> logits = np.array([[[4.0, 0.0], [0.0, 4.0]]])  # Each has the other.
    >>> loss = keras_tcl.losses.SelectiveTemporalAlignment(temperature=4.0)
    >>> round(float(loss([0], logits)), 3)
    7.394

    Reference: [SeAl-KD, Sun et al., 2026](https://arxiv.org/abs/2605.14252),
    the temporal alignment, formula and temperature from its public code.
    """

    term = "distillation"

    def __init__(
        self,
        temperature: float = 3.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "selective_temporal_alignment",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.temperature = checks.positive("temperature", temperature)

    def values(self, targets: Any, outputs: Outputs) -> Any:
        logits = outputs.logits
        *_, timesteps, classes = logits.shape
        log_p = ops.log_softmax(logits)
        entropy = -ops.sum(ops.exp(log_p) * log_p, axis=-1)
        confidence = 1.0 - entropy / math.log(max(classes, 2))
        z = unit_length(logits)
        similarity = ops.matmul(z, ops.swapaxes(z, 2, 3))
        scores = ops.expand_dims(confidence, 2) * similarity
        itself = ops.eye(timesteps, dtype="bool")
        weights = ops.log_softmax(ops.where(itself, _EXCLUDED, scores))
        teacher = ops.matmul(ops.exp(weights), logits)
        values = distillation(logits, teacher, self.temperature)
        return ops.mean(values, axis=2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
