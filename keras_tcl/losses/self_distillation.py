"""Temporal-spatial self-distillation (TSSD): its two terms."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.losses.divergences import distillation
from keras_tcl.losses.outputs import Outputs
from keras_tcl.losses.temporal_loss import TemporalLoss


@keras.saving.register_keras_serializable(package="keras_tcl")
class TemporalSelfDistillation(TemporalLoss):
    """The first steps learn from what all steps say together.

    ```
    loss = 1/V sum_v k^2 KL(softmax(O_T / k) || softmax(O_S / k))
    O_S  = mean of the first S steps' logits; O_T that of all, no gradient
    ```

    with S the `steps` and k the `temperature`. Train with more `timesteps`
    than the network is to be run for, and set `model.timesteps = S` after.
    The term classifies nothing: add it to a loss that does.

    Args:
        steps: Integer of at least 1: how many steps the student has.
        temperature: Float above 0. Defaults to `3.0`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Labels as of any loss; their values do not count.
        y_pred: `{"logits": (batch, views, timesteps, classes)}` or logits
            `(batch, timesteps, classes)`.
        sample_weight: Optional weights `(batch,)`.

    Raises:
        ValueError: The logits have fewer time steps than the student.

    Example:

    >>> logits = np.array([[[0.0, 0.0], [8.0, 0.0]]])
    >>> loss = keras_tcl.losses.TemporalSelfDistillation(1, temperature=1.0)
    >>> round(float(loss([0], logits)), 3)
    0.603

    Reference: [TSSD, Zuo et al., 2024](https://arxiv.org/abs/2406.07862), the
    temporal term; the temperature is a choice of this library.
    """

    term = "distillation"

    def __init__(
        self,
        steps: int,
        temperature: float = 3.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "temporal_self_distillation",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.steps = checks.integer("steps", steps)
        self.temperature = checks.positive("temperature", temperature)

    def check_timesteps(self, timesteps: int) -> None:
        if timesteps < self.steps:
            raise ValueError(
                f"`steps` of the loss {self.name!r} must be no more than the "
                "time steps that the network is trained with, by a "
                "`TimestepSchedule` too. Received: "
                f"steps={self.steps}, and logits of {timesteps} time steps."
            )

    def values(self, targets: Any, outputs: Outputs) -> Any:
        logits = outputs.logits
        student = ops.mean(logits[:, :, : self.steps], axis=2)
        teacher = ops.mean(logits, axis=2)
        return distillation(student, teacher, self.temperature)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "steps": self.steps,
            "temperature": self.temperature,
        }


@keras.saving.register_keras_serializable(package="keras_tcl")
class SpatialSelfDistillation(TemporalLoss):
    """Weak classifiers of inner stages learn from the network's answer.

    ```
    loss = mean_stages 1/V sum_v k^2 KL(softmax(O / k) || softmax(W / k))
    W, O = mean logits over time of the stage's classifier, and the network's
    ```

    with k the `temperature`, and no gradient to O. Through the classifier, the
    stages up to it learn features that tell the classes apart. A model gets
    the classifiers when it is compiled with this loss; they serve training
    alone. The term classifies nothing by itself: add it to a loss that does.

    Args:
        stages: Sequence of names of the network's stages, each of which gets
            a weak classifier. Defaults to `None`, the last stage but one.
        temperature: Float above 0. Defaults to `3.0`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Labels as of any loss; their values do not count.
        y_pred: `{"logits": (batch, views, timesteps, classes),
            "stage_logits": {stage name: the same shape}}`.
        sample_weight: Optional weights `(batch,)`.

    Example:

    >>> y_pred = {
    ...     "logits": np.array([[[8.0, 0.0], [0.0, 0.0]]]),
    ...     "stage_logits": {"stage1": np.zeros((1, 2, 2))},
    ... }
    >>> loss = keras_tcl.losses.SpatialSelfDistillation(temperature=1.0)
    >>> round(float(loss([0], y_pred)), 3)
    0.603

    Reference: [TSSD, Zuo et al., 2024](https://arxiv.org/abs/2406.07862), the
    spatial term; temperature, the mean over time, and the last stage but one
    are choices of this library.
    """

    term = "distillation"
    needs = ("stage_logits",)

    def __init__(
        self,
        stages: Sequence[str] | None = None,
        temperature: float = 3.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "spatial_self_distillation",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        is_list = isinstance(stages, (list, tuple)) and len(stages) > 0
        if stages is not None and not is_list:
            raise ValueError(
                "`stages` must be a sequence of names of stages, or `None`. "
                f"Received: stages={stages!r}."
            )
        self.stages = stages if stages is None else list(stages)
        self.temperature = checks.positive("temperature", temperature)

    def classified_stages(self, stages: list[str]) -> list[str]:
        wanted = self.stages or stages[-2:-1]
        if not wanted or any(stage not in stages for stage in wanted):
            raise ValueError(
                f"The loss {self.name!r} needs weak classifiers of inner "
                f"stages of the network. Received: stages={self.stages}, and "
                f"a network of the stages {stages}."
            )
        return wanted

    def values(self, targets: Any, outputs: Outputs) -> Any:
        teacher = ops.mean(outputs.logits, axis=2)
        of_stages = outputs.stage_logits
        missing = [s for s in self.stages or [] if s not in of_stages]
        if missing:
            raise ValueError(
                f'`y_pred["stage_logits"]` has no stage {missing}. Received: '
                f"the stages {list(of_stages)}."
            )
        values = [
            distillation(ops.mean(x, axis=2), teacher, self.temperature)
            for stage, x in of_stages.items()
            if stage in (self.stages or of_stages)
        ]
        return sum(values) / len(values)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "stages": self.stages,
            "temperature": self.temperature,
        }
