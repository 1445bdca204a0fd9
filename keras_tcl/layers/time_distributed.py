"""A layer applied to every time step at once."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_tcl")
class TimeDistributed(keras.layers.Wrapper):
    """Applies a layer to every time step, with time folded into the batch.

    `[batch, T, ...]` becomes `[batch * T, ...]`, the layer runs once, and the
    result is unfolded. So a convolution is one call for all steps, and batch
    normalization takes its statistics over batch, time and space.
    (`keras.layers.TimeDistributed` calls the layer T times instead.)

    The fold is batch-major (`row = b * T + t`), which moves no data and keeps
    a batch-sharded tensor sharded.

    Args:
        layer: The `keras.layers.Layer` to apply; it must not mix samples of a
            batch in a way that depends on their order.

    Call arguments:
        inputs: Tensor of shape `[batch, T, ...]`; at most one of batch and T
            may be unknown when the model is compiled.
        training: Boolean or `None`, handed to the layer if it takes it.

    Example:

    >>> layer = keras_tcl.layers.TimeDistributed(keras.layers.Conv2D(8, 3))
    >>> layer(keras.ops.zeros((2, 4, 32, 32, 3))).shape
    (2, 4, 30, 30, 8)
    """

    def build(self, input_shape: Any) -> None:
        super().build(_step_shape(input_shape))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        batch, timesteps, *_ = inputs.shape
        kwargs = {}
        if self.layer._call_has_training_arg:
            kwargs["training"] = training
        # -1 where the batch size or T is not known: all else stays static.
        known = batch is not None and timesteps is not None
        folded = batch * timesteps if known else -1
        outputs = self.layer(
            ops.reshape(inputs, (folded, *inputs.shape[2:])), **kwargs
        )
        if timesteps is None:
            timesteps = ops.shape(inputs)[1]
        return ops.reshape(
            outputs,
            (-1 if batch is None else batch, timesteps, *outputs.shape[1:]),
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        step = self.layer.compute_output_shape(_step_shape(input_shape))
        return (*input_shape[:2], *step[1:])


def _step_shape(shape: Any) -> tuple[int | None, ...]:
    if len(shape) < 3:
        raise ValueError(
            "TimeDistributed expects a sequence of shape [batch, T, ...] with "
            "at least one axis after the time axis. Received an input of "
            f"shape {tuple(shape)}."
        )
    return (None, *shape[2:])
