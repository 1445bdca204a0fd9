"""All steps are to say the same."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.losses.divergences import distillation
from keras_tcl.losses.outputs import Outputs
from keras_tcl.losses.temporal_loss import TemporalLoss

TEACHERS = ("steps", "mean")


@keras.saving.register_keras_serializable(package="keras_tcl")
class TemporalConsistency(TemporalLoss):
    """Every step learns from every other one, right or wrong.

    ```
    loss = 1/V sum_v 1/(T (T - 1)) sum_{t != s} KD(O_t, O_s)    # "steps"
    loss = 1/V sum_v 1/T sum_t KD(O_t, 1/T sum_s O_s)           # "mean"
    KD(a, b) = k^2 KL(softmax(b / k) || softmax(a / k)), no gradient to b
    ```

    with k the `temperature`. Labels play no part. The term classifies
    nothing: add it to a loss that does. With one time step it is 0.

    Args:
        temperature: Float above 0. Defaults to `4.0`.
        teacher: `"steps"`: each step is compared with each other one, in
            memory that grows with T squared times the classes; or `"mean"`:
            with the mean of all. Defaults to `"steps"`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Labels as of any loss; their values do not count.
        y_pred: `{"logits": (batch, views, timesteps, classes)}` or logits
            `(batch, timesteps, classes)`.
        sample_weight: Optional weights `(batch,)`.

    Example:

    >>> logits = np.array([[[4.0, 0.0], [0.0, 4.0]]])  # Two steps.
    >>> loss = keras_tcl.losses.TemporalConsistency()
    >>> round(float(loss([0], logits)), 3)
    7.394
    >>> loss = keras_tcl.losses.TemporalConsistency(teacher="mean")
    >>> round(float(loss([0], logits)), 3)
    1.922

    Reference: ["Enhancing temporal consistency", Zhao et al.,
    2023](https://arxiv.org/abs/2305.14174), formula and temperature from its
    public code; `teacher="mean"` is of this library.
    """

    term = "consistency"

    def __init__(
        self,
        temperature: float = 4.0,
        teacher: str = "steps",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "temporal_consistency",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.temperature = checks.positive("temperature", temperature)
        self.teacher = checks.choice("teacher", teacher, TEACHERS)

    def values(self, targets: Any, outputs: Outputs) -> Any:
        logits = outputs.logits
        timesteps = logits.shape[2]
        if self.teacher == "mean":
            mean = ops.mean(logits, axis=2, keepdims=True)
            values = distillation(logits, mean, self.temperature)
            return ops.mean(values, axis=2)
        students, teachers = (
            ops.expand_dims(logits, 3),
            ops.expand_dims(logits, 2),
        )
        values = distillation(students, teachers, self.temperature)
        # A step differs from itself by 0.
        pairs = max(timesteps * (timesteps - 1), 1)
        return ops.sum(values, axis=(2, 3)) / pairs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "teacher": self.teacher,
        }
