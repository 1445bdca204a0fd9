"""The best step and the worst one teach each other."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.losses.divergences import (
    cross_entropy,
    distillation,
    most_likely,
)
from keras_tcl.losses.outputs import Outputs
from keras_tcl.losses.temporal_loss import TemporalLoss


@keras.saving.register_keras_serializable(package="keras_tcl")
class Strong2Weak(TemporalLoss):
    """The weakest step of a sample learns from its strongest one.

    ```
    loss   = 1/V sum_v k^2 KL(softmax(O_s / k) || softmax(O_w / k))
    s, w   = argmin_t, argmax_t CE(softmax(O_t), y), no gradient to O_s
    ```

    with k the `temperature`. The term classifies nothing: add it to a loss
    that does. With one time step it is 0.

    Args:
        temperature: Float above 0. Defaults to `3.0`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: String. Defaults to the name of the class in small letters.

    Call arguments:
        y_true: Class ids `(batch,)` or one-hot or soft labels
            `(batch, classes)`.
        y_pred: `{"logits": (batch, views, timesteps, classes)}` or logits
            `(batch, timesteps, classes)`.
        sample_weight: Optional weights `(batch,)`.

    Example:

    >>> logits = np.array([[[4.0, 0.0], [0.0, 0.0], [1.0, 0.0]]])
    >>> loss = keras_tcl.losses.Strong2Weak(temperature=1.0)
    >>> round(float(loss([0], logits)), 3)  # Step 1 teaches step 2.
    0.603
    >>> loss = keras_tcl.losses.Weak2Strong(temperature=1.0)
    >>> round(float(loss([0], logits)), 3)  # Step 2 teaches step 1.
    1.325

    Reference: [Ding et al., 2025](https://arxiv.org/abs/2510.07924), which
    ranks steps by the confidence of their output and has several variants;
    the rank by cross entropy with the label, one pair a sample, and the
    temperature are choices of this library.
    """

    term = "distillation"

    def __init__(
        self,
        temperature: float = 3.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        name = name or type(self).__name__.lower()
        super().__init__(reduction=reduction, name=name)
        self.temperature = checks.positive("temperature", temperature)

    def values(self, targets: Any, outputs: Outputs) -> Any:
        logits = outputs.logits
        quality = -cross_entropy(targets, logits)
        strong, weak = _step(quality, logits), _step(-quality, logits)
        return self._divergence(strong, weak)

    def _divergence(self, strong: Any, weak: Any) -> Any:
        """Return what is lost by a student, `(batch, views)`.

        Args:
            strong, weak: Logits `(batch, views, classes)` of the two steps.
        """
        return distillation(weak, strong, self.temperature)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}


@keras.saving.register_keras_serializable(package="keras_tcl")
class Weak2Strong(Strong2Weak):
    """The strongest step of a sample learns from its weakest one.

    `Strong2Weak` with the parts exchanged: the weakest step's doubts keep the
    strongest from being too sure. Arguments, example and source are there.
    """

    def _divergence(self, strong: Any, weak: Any) -> Any:
        return distillation(strong, weak, self.temperature)


def _step(score: Any, logits: Any) -> Any:
    """Logits `(batch, views, classes)` of the step of the greatest score."""
    chosen = ops.expand_dims(most_likely(score), -1)
    return ops.sum(chosen * logits, axis=2)
