"""Batch normalization, fused on PyTorch."""

from typing import Any

import keras
from keras import ops

from keras_tcl import kernels
from keras_tcl.distribution import replicas


@keras.saving.register_keras_serializable(package="keras_tcl")
class BatchNormalization(keras.layers.BatchNormalization):
    r"""`keras.layers.BatchNormalization`, with PyTorch's kernels on PyTorch.

    ```
    y = gamma * (x - mean) / sqrt(variance + epsilon) + beta
    ```

    The same layer with the same variables and, within rounding, the same
    numbers on every backend. TensorFlow and JAX compile Keras' version well;
    PyTorch runs it operation by operation, which takes several times the time
    and the memory of its own kernels.

    Mean and variance of a channel are taken over every other axis: over
    batch, time and space of a sequence `[B, T, H, W, C]`. Inside
    `keras_tcl.layers.EachStep`, where time is part of the batch, it
    is the same.

    Args:
        axis, momentum, epsilon, center, scale: As for
            `keras.layers.BatchNormalization`.
        synchronized: Boolean, whether the statistics are those of the whole
            batch where it lies in several processes or replicas, and not of
            each one's share (see `keras_tcl.distribution`). On JAX they
            always are. Defaults to `False`.
        **kwargs: As for `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: Tensor whose last axis (or `axis`) is the channels.
        training: Boolean. If `True`, the statistics are those of the batch
            and the moving ones are updated; otherwise the moving ones are
            used.

    Example:

    >>> layer = keras_tcl.layers.BatchNormalization()
    >>> tuple(layer(keras.ops.ones((2, 4, 8, 8, 3))).shape)
    (2, 4, 8, 8, 3)

    Reference:

    - [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(axis, momentum, epsilon, center, scale, **kwargs)
        self.synchronized = synchronized

    @property
    def synchronized(self) -> bool:
        """Whether Keras itself is to synchronize: on TensorFlow alone."""
        return self._synchronized and replicas.KERAS_SYNCHRONIZES

    @synchronized.setter
    def synchronized(self, value: bool) -> None:
        self._synchronized = bool(value)

    def get_config(self) -> dict[str, Any]:
        # On every backend: the file may be opened on another.
        return {**super().get_config(), "synchronized": self._synchronized}

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        fused = kernels.fused_batch_normalization(inputs)
        last_axis = self.axis in (-1, len(inputs.shape) - 1)
        if fused is None or mask is not None or self.renorm or not last_axis:
            return super().call(inputs, training=training, mask=mask)
        gamma = self._in_float32(self.gamma if self.scale else None)
        beta = self._in_float32(self.beta if self.center else None)
        if not (training and self.trainable):
            outputs = fused.normalize(
                inputs,
                self._in_float32(self.moving_mean),
                self._in_float32(self.moving_variance),
                gamma,
                beta,
                self.epsilon,
            )
            return ops.cast(outputs, self.compute_dtype)
        if self._synchronized and replicas.are_processes():
            normalize = replicas.normalize_batch
        else:
            normalize = fused.normalize_batch
        outputs, mean, variance = normalize(inputs, gamma, beta, self.epsilon)
        for moving, new in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * self.momentum + new * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        mean, variance = super()._moments(inputs, mask)
        if not replicas.are_in_step():
            return mean, variance
        # One of several replicas may have no sample of a small batch.
        is_empty = ops.equal(ops.size(inputs), 0)
        moving_mean = ops.cast(self.moving_mean, mean.dtype)
        moving_variance = ops.cast(self.moving_variance, variance.dtype)
        return (
            ops.where(is_empty, moving_mean, mean),
            ops.where(is_empty, moving_variance, variance),
        )

    @staticmethod
    def _in_float32(variable: Any) -> Any:
        return None if variable is None else ops.cast(variable, "float32")
