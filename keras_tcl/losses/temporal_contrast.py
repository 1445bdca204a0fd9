"""The contrastive term over time steps, as a loss of its own."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.losses.contrastive import NORMALIZATIONS, temporal_contrastive
from keras_tcl.losses.outputs import Outputs
from keras_tcl.losses.temporal_loss import TemporalLoss


@keras.saving.register_keras_serializable(package="keras_tcl")
class TemporalContrast(TemporalLoss):
    """Makes the embeddings of a class, or an image, alike at all time steps.

    ```
    loss = mean_stages temporal_contrastive(embeddings, y)
    ```

    See `keras_tcl.losses.temporal_contrastive` for the formula. It classifies
    nothing: add it to a loss that does. `TCL` is such a sum.

    Args:
        temperature: Float above 0. Temperature of the similarities. Defaults
            to `0.07`.
        normalization: `"mean"` over the positives, or `"paper"` as printed.
            Defaults to `"mean"`.
        supervised: Boolean. Whether samples of one class are positives
            (eq. 10) or only the same sample (eq. 7). Defaults to `True`.
        views: Integer. How many augmented views of each sample the loss asks
            a model for. Defaults to `1`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Class ids `(batch,)` or one-hot labels `(batch, classes)`;
            soft labels only with `supervised=False`.
        y_pred: `{"logits": (batch, views, timesteps, classes), "embeddings":
            {stage name: (batch, views, timesteps, features)}}`.
        sample_weight: Optional weights `(batch,)`. They scale a sample's
            value; as a candidate for the others it always counts in full.

    Example:

    >>> y_pred = {
    ...     "logits": np.zeros((3, 1, 4, 10)),
    ...     "embeddings": {"stage4": np.ones((3, 1, 4, 16))},
    ... }
    >>> loss = keras_tcl.losses.TemporalContrast()
    >>> round(float(loss([0, 1, 1], y_pred)), 2)  # log 11
    2.4

    Reference: equations 6, 7 and 10 of the temporal contrastive learning
    paper.
    """

    term = "contrastive"
    needs = ("embeddings",)

    def __init__(
        self,
        temperature: float = 0.07,
        normalization: str = "mean",
        supervised: bool = True,
        views: int = 1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "temporal_contrast",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        self.temperature = checks.positive("temperature", temperature)
        self.normalization = checks.choice(
            "normalization", normalization, NORMALIZATIONS
        )
        self.supervised = bool(supervised)
        self.views = checks.integer("views", views)

    @property
    def needs_hard_labels(self) -> bool:
        return self.supervised

    def values(self, targets: Any, outputs: Outputs) -> Any:
        labels = ops.argmax(targets, axis=-1) if self.supervised else None
        values = [
            temporal_contrastive(
                stage, labels, self.temperature, self.normalization
            )
            for stage in outputs.embeddings.values()
        ]
        return sum(values) / len(values)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "normalization": self.normalization,
            "supervised": self.supervised,
            "views": self.views,
        }
