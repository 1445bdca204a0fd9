"""Batch normalization that knows the neurons' threshold."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.layers.batch_normalization import BatchNormalization


@keras.saving.register_keras_serializable(package="keras_tcl")
class ThresholdDependentBatchNormalization(BatchNormalization):
    r"""Threshold-dependent batch normalization (tdBN).

    Brings the input of spiking neurons to the scale of their threshold, so
    that neither too few nor too many of them fire at the start of training:

    ```
    y = gamma * (alpha * threshold * (x - mean) / sqrt(variance + epsilon))
        + beta
    ```

    Mean and variance of a channel are taken over every other axis: over
    batch, time and space of a sequence `[B, T, H, W, C]`. Inside
    `keras_tcl.layers.EachStep`, where time is part of the batch, it
    is the same.

    The factor `alpha * threshold` is not part of `gamma`, which starts at 1
    as in the paper. SpikingJelly starts `gamma` at `alpha * threshold`
    instead: the same function with another effective learning rate.

    Args:
        alpha: Float greater than 0: 1, or `1 / sqrt(2)` where two branches
            that are normalized alike are added before the neurons. Defaults
            to `1.0`.
        threshold: Float greater than 0, threshold of the neurons that
            follow. Defaults to `1.0`.
        momentum: Float, share of the moving statistics that is kept at each
            training step. Defaults to `0.9`, as in PyTorch's reference code
            (which writes 0.1).
        epsilon: Float greater than 0. Defaults to `1e-5`.
        **kwargs: As for `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: Tensor whose last axis (or `axis`) is the channels.
        training: Boolean. If `True`, the statistics are those of the batch
            and the moving ones are updated; otherwise the moving ones are
            used.

    Raises:
        ValueError: If `alpha` or `threshold` is not finite and greater than
            0.

    Example:

    >>> layer = keras_tcl.layers.ThresholdDependentBatchNormalization(0.5**0.5)
    >>> tuple(layer(keras.ops.ones((2, 4, 8, 8, 3))).shape)
    (2, 4, 8, 8, 3)

    Reference:

    - [Zheng et al., 2021](https://arxiv.org/abs/2011.05280)
    """

    def __init__(
        self,
        alpha: float = 1.0,
        threshold: float = 1.0,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ) -> None:
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)
        self.alpha = checks.positive("alpha", alpha)
        self.threshold = checks.positive("threshold", threshold)

    @property
    def factor(self) -> float:
        """What `gamma` is multiplied with, `alpha * threshold`."""
        return self.alpha * self.threshold

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        outputs = super().call(inputs, training=training, mask=mask)
        if self.factor == 1.0:
            return outputs
        # gamma * (factor * x) + beta, from gamma * x + beta.
        outputs = self.factor * outputs
        if not self.center:
            return outputs
        shape = [1] * len(inputs.shape)
        shape[self.axis] = -1
        beta = ops.reshape(ops.cast(self.beta, outputs.dtype), shape)
        return outputs + (1.0 - self.factor) * beta

    def get_config(self) -> dict[str, Any]:
        config = {"alpha": self.alpha, "threshold": self.threshold}
        return {**super().get_config(), **config}
