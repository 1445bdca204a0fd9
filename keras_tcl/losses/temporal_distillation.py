"""A network's good steps teach all of them."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.losses.divergences import distillation, most_likely, spread
from keras_tcl.losses.latency_cross_entropy import latency_logits
from keras_tcl.losses.outputs import Outputs
from keras_tcl.losses.temporal_loss import TemporalLoss

STUDENTS = ("step", "latency")


@keras.saving.register_keras_serializable(package="keras_tcl")
class TemporalDistillation(TemporalLoss):
    """Each step learns from the mean of the steps that are right.

    ```
    loss  = 1/V sum_v 1/T sum_t k^2 KL(softmax(O* / k) || softmax(O_t / k))
    O*    = mean of O_s over the steps s with argmax O_s = y, without gradient
    ```

    with k the `temperature`. Where no step is right, O* is 0: a teacher that
    holds all classes equally likely. The term classifies nothing: add it to a
    loss that does. The authors train `TET() + 0.5 * TemporalDistillation()`,
    with a teacher network `+ 0.2 * Distillation(teacher)`.

    Args:
        temperature: Float above 0. Defaults to `3.0`.
        student: `"step"`: the student is each step by itself, as in the paper;
            or `"latency"`: the mean of the first t steps, at each t, as a
            network is read that is run for t steps. Defaults to `"step"`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Class ids `(batch,)` or one-hot or soft labels
            `(batch, classes)`, of which the likeliest class is right.
        y_pred: `{"logits": (batch, views, timesteps, classes)}` or logits
            `(batch, timesteps, classes)`.
        sample_weight: Optional weights `(batch,)`.

    Example:

    >>> logits = np.array([[[4.0, 0.0], [0.0, 4.0]]])  # Right at t = 1 only.
    >>> loss = keras_tcl.losses.TemporalDistillation()
    >>> round(float(loss([0], logits)), 3)
    3.497
    >>> float(loss([0], logits[:, :1]))  # It has nobody to learn from.
    0.0

    Reference: [Yu et al., 2025](https://arxiv.org/abs/2501.15925), the
    temporal decoupling, formula and temperature from its public code;
    `student="latency"` is of this library.
    """

    term = "distillation"

    def __init__(
        self,
        temperature: float = 3.0,
        student: str = "step",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "temporal_distillation",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.temperature = checks.positive("temperature", temperature)
        self.student = checks.choice("student", student, STUDENTS)

    def values(self, targets: Any, outputs: Outputs) -> Any:
        logits = outputs.logits
        right = spread(most_likely(targets), logits) * most_likely(logits)
        right = ops.sum(right, axis=-1, keepdims=True)
        count = ops.sum(right, axis=2, keepdims=True)
        teacher = ops.sum(right * logits, axis=2, keepdims=True)
        teacher = teacher / ops.maximum(count, 1.0)
        if self.student == "latency":
            logits = latency_logits(logits)
        values = distillation(logits, teacher, self.temperature)
        return ops.mean(values, axis=2)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "student": self.student,
        }
