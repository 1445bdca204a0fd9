"""Another network teaches every step."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.losses.divergences import distillation, most_likely, spread
from keras_tcl.losses.latency_cross_entropy import latency_logits
from keras_tcl.losses.outputs import Outputs
from keras_tcl.losses.temporal_distillation import STUDENTS
from keras_tcl.losses.temporal_loss import TemporalLoss


@keras.saving.register_keras_serializable(package="keras_tcl")
class Distillation(TemporalLoss):
    """Each step learns from a teacher, a network that is trained already.

    ```
    loss = 1/V sum_v 1/T sum_t k^2 KL(softmax(A / k) || softmax(O_t / k))
    ```

    with A the teacher's logits and k the `temperature`. `TCLModel` shows the
    teacher each augmented view that it shows its own network:

    ```
    model.compile("sgd", loss=TET() + 0.2 * Distillation(teacher))
    ```

    The teacher runs in inference: nothing of it is trained or changed, its
    moving statistics included. It is not saved with the model either: a file
    holds the loss without its teacher. A loaded model predicts, and is
    compiled again before it is trained or evaluated, with its own optimizer
    if the training is to go on:
    `model.compile(model.optimizer, TET() + 0.2 * Distillation(teacher))`.

    With `error_aware`, a wrong step is corrected by the label where it
    differs from it, and by the teacher in all else: the logit of the class
    that it chose is replaced by that of the right class, and the teacher's
    logits of the two by the lesser of both.

    Args:
        teacher: `keras.Model` from raw pixels or event frames, as the model
            has them, to logits `(batch, classes)`: an artificial network, or a
            spiking one. `None` where somebody else puts its logits into
            `y_pred`.
        temperature: Float above 0. Defaults to `3.0`.
        student: `"step"`: the student is each step by itself; or `"latency"`:
            the mean of the first t steps, at each t. Defaults to `"step"`.
        error_aware: Boolean, see above. Defaults to `False`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Class ids `(batch,)` or one-hot or soft labels
            `(batch, classes)`; they count where `error_aware`.
        y_pred: `{"logits": (batch, views, timesteps, classes), "teacher":
            (batch, views, classes)}`.
        sample_weight: Optional weights `(batch,)`.

    Raises:
        ValueError: The teacher is no `keras.Model`, or a setting unknown; and
            when a model is compiled, if it has other inputs or classes.

    Example:

    >>> y_pred = {
    ...     "logits": np.array([[[4.0, 0.0], [0.0, 4.0]]]),
    ...     "teacher": np.array([[4.0, 0.0]]),
    ... }
    >>> loss = keras_tcl.losses.Distillation(None)
    >>> round(float(loss([0], y_pred)), 3)
    3.497

    Reference: [Hinton et al., 2015](https://arxiv.org/abs/1503.02531);
    [Yu et al., 2025](https://arxiv.org/abs/2501.15925), who have it at every
    step with a weight of 0.2; `error_aware` is the error-aware logit
    alignment of [SeAl-KD, Sun et al.,
    2026](https://arxiv.org/abs/2605.14252), from its public code.
    """

    term = "distillation"
    needs = ("teacher",)

    def __init__(
        self,
        teacher: keras.Model | None = None,
        temperature: float = 3.0,
        student: str = "step",
        error_aware: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "distillation",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        if teacher is not None and not isinstance(teacher, keras.Model):
            raise ValueError(
                "`teacher` must be a `keras.Model` that returns logits. "
                f"Received: teacher={teacher!r}."
            )
        # In a function, Keras does not find it, and saves it with no model.
        self._teacher = lambda: teacher
        self.temperature = checks.positive("temperature", temperature)
        self.student = checks.choice("student", student, STUDENTS)
        self.error_aware = bool(error_aware)

    def teachers(self) -> list[keras.Model]:
        teacher = self._teacher()
        return [] if teacher is None else [teacher]

    def values(self, targets: Any, outputs: Outputs) -> Any:
        student = outputs.logits
        if self.student == "latency":
            student = latency_logits(student)
        teacher = ops.expand_dims(outputs.teacher, 2)
        if self.error_aware:
            student, teacher = _error_aware(targets, student, teacher)
        values = distillation(student, teacher, self.temperature)
        return ops.mean(values, axis=2)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "student": self.student,
            "error_aware": self.error_aware,
        }


def _error_aware(targets: Any, student: Any, teacher: Any) -> tuple[Any, Any]:
    """Logits of which a wrong step's choice, and the right class, are even.

    Args:
        targets: Labels `(batch, classes)`.
        student: Logits `(batch, views, timesteps, classes)`.
        teacher: Logits `(batch, views, 1, classes)`.

    Returns:
        Both, `(batch, views, timesteps, classes)`.
    """
    right = spread(most_likely(targets), student)
    chosen = most_likely(student)
    # Where the step is right, both are one class, and nothing changes.
    either = ops.maximum(right, chosen) > 0.0

    def of(classes: Any, logits: Any) -> Any:
        return ops.sum(classes * logits, axis=-1, keepdims=True)

    least = ops.minimum(of(right, teacher), of(chosen, teacher))
    student = ops.where(chosen > 0.0, of(right, student), student)
    return student, ops.where(either, least, teacher)
