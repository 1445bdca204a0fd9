"""A layer applied to every time step at once."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_tcl")
class EachStep(keras.layers.Wrapper):
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
        **kwargs: `name`, and `dtype`, which defaults to the layer's.

    Call arguments:
        inputs: Tensor of shape `[batch, T, ...]`; at most one of batch and T
            may be unknown when the model is compiled.
        training: Boolean or `None`, handed to the layer if it takes it.

    Raises:
        ValueError: If `layer` is not a layer, or the input has no axis after
            the time axis.

    Example:

    >>> layer = keras_tcl.layers.EachStep(keras.layers.Conv2D(8, 3))
    >>> tuple(layer(keras.ops.zeros((2, 4, 32, 32, 3))).shape)
    (2, 4, 30, 30, 8)
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        # Under another policy than the layer's, its input would be rounded.
        kwargs.setdefault("dtype", getattr(layer, "dtype_policy", None))
        super().__init__(layer, **kwargs)

    def build(self, input_shape: Any) -> None:
        super().build(_step_shape(input_shape))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # Keras hands `training` on to the layers called in here.
        batch, timesteps, *_ = inputs.shape
        # -1 where the batch size or T is no number, for exporters cannot write
        # a product of them down; all else stays static.
        known = isinstance(batch, int) and isinstance(timesteps, int)
        folded = batch * timesteps if known else -1
        outputs = self.layer(ops.reshape(inputs, (folded, *inputs.shape[2:])))
        if timesteps is None:
            timesteps = ops.shape(inputs)[1]
        return ops.reshape(
            outputs,
            (
                batch if isinstance(batch, int) else -1,
                timesteps,
                *outputs.shape[1:],
            ),
        )

    def compute_output_spec(self, inputs: Any, training: Any = None) -> Any:
        # The layer knows its dtype, and may know its output shape only so.
        step = self.layer.compute_output_spec(
            keras.KerasTensor(_step_shape(inputs.shape), dtype=inputs.dtype)
        )
        return keras.KerasTensor(
            (*inputs.shape[:2], *step.shape[1:]), dtype=step.dtype
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        step = self.layer.compute_output_shape(_step_shape(input_shape))
        return (*input_shape[:2], *step[1:])


def _step_shape(shape: Any) -> tuple[int | None, ...]:
    if len(shape) < 3:
        raise ValueError(
            "EachStep expects a sequence of shape [batch, T, ...] with "
            "at least one axis after the time axis. Received an input of "
            f"shape {tuple(shape)}."
        )
    return (None, *shape[2:])
