"""The cross entropy of what a network says at each latency."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.losses.divergences import cross_entropy
from keras_tcl.losses.temporal_loss import TemporalLoss


@keras.saving.register_keras_serializable(package="keras_tcl")
class LatencyCrossEntropy(TemporalLoss):
    """Mean over latencies t of the cross entropy of the first t steps' mean.

    ```
    loss = 1/V sum_v sum_t w_t CE(softmax(1/t sum_{s <= t} O_s), y) / sum_t w_t
    ```

    A network that is run for t steps answers with the mean logits of these,
    and `evaluate_timesteps` measures that answer's accuracy: this is its cross
    entropy. For a causal network it is, in one pass, the expected loss of a
    training that draws the number of steps of each batch at random from
    1..T. `TET` takes each step by itself instead.

    Args:
        weights: Sequence of T numbers, 0 or more, of which one is greater:
            how much each latency counts. Their sum does not matter. Defaults
            to `None`: all the same.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Class ids `(batch,)` or one-hot or soft labels
            `(batch, classes)`.
        y_pred: `{"logits": (batch, views, timesteps, classes)}` or logits
            `(batch, timesteps, classes)`.
        sample_weight: Optional weights `(batch,)`.

    Raises:
        ValueError: The weights are no such numbers, or others than steps.

    Example:

    >>> logits = np.array([[[0.0, 2.0], [8.0, 0.0]]])  # Right at t = 2 only.
    >>> loss = keras_tcl.losses.LatencyCrossEntropy()
    >>> round(float(loss([0], logits)), 3)
    1.088
    >>> loss = keras_tcl.losses.LatencyCrossEntropy(weights=[0, 1])
    >>> round(float(loss([0], logits)), 3)
    0.049

    Reference: of this library, in the sense of temporal efficient training
    ([TET](https://arxiv.org/abs/2202.11946)), whose authors train each step,
    not each latency.
    """

    def __init__(
        self,
        weights: Sequence[float] | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "latency_cross_entropy",
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        if weights is not None:
            weights = [checks.number("weights", w, 0) for w in weights]
            checks.positive("sum of `weights`", sum(weights))
        self.weights = weights

    def check_timesteps(self, timesteps: int) -> None:
        if self.weights is not None and len(self.weights) != timesteps:
            raise ValueError(
                f"`weights` of the loss {self.name!r} must hold one number for "
                "each time step trained with; leave them out under a "
                "`TimestepSchedule`, which trains with fewer. Received: "
                f"weights={self.weights} for {timesteps} time steps."
            )

    def classification(self, targets: Any, logits: Any) -> Any:
        values = cross_entropy(targets, latency_logits(logits))
        if self.weights is None:
            return ops.mean(values, axis=2)
        total = sum(self.weights)
        shares = ops.convert_to_tensor([w / total for w in self.weights])
        return ops.sum(values * shares, axis=2)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.weights}


def latency_logits(logits: Any) -> Any:
    """Logits of the first t = 1..T steps together, from those of each step.

    Args:
        logits: `(batch, views, timesteps, classes)`.

    Returns:
        Their mean over the steps 1..t at t, of the same shape.
    """
    steps = ops.arange(1, logits.shape[2] + 1, dtype=logits.dtype)
    return ops.cumsum(logits, axis=2) / ops.expand_dims(steps, 1)
