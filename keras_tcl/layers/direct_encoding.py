"""A still input, shown at every time step."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks


@keras.saving.register_keras_serializable(package="keras_tcl")
class DirectEncoding(keras.layers.Layer):
    """Repeats its input along a new time axis: `[B, ...] -> [B, T, ...]`.

    A still image is "directly encoded" by feeding it, or what the first
    convolution makes of it, to the first spiking layer at every step: that
    layer turns the constant current into spikes.

    Args:
        timesteps: Integer of at least 1, the number of steps T. The attribute
            may be changed at any time; `TCLModel.timesteps` does so and
            rebuilds the compiled functions.

    Raises:
        ValueError: If `timesteps` is not an integer of at least 1.

    Example:

    >>> images = keras.ops.zeros((2, 8, 8, 3))
    >>> tuple(keras_tcl.layers.DirectEncoding(4)(images).shape)
    (2, 4, 8, 8, 3)
    """

    def __init__(self, timesteps: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.timesteps = timesteps

    @property
    def timesteps(self) -> int:
        """Number of time steps T."""
        return self._timesteps

    @timesteps.setter
    def timesteps(self, value: int) -> None:
        self._timesteps = checks.integer("timesteps", value)

    def call(self, inputs: Any) -> Any:
        # A broadcast, not a repeat: no copy is made where none is needed.
        shape = ops.shape(inputs)
        return ops.broadcast_to(
            ops.expand_dims(inputs, 1), (shape[0], self.timesteps, *shape[1:])
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.timesteps, *input_shape[1:])

    def compute_output_spec(self, inputs: Any) -> Any:
        # Integer pixels stay integers; Keras would assume the compute dtype.
        return keras.KerasTensor(
            self.compute_output_shape(inputs.shape), dtype=inputs.dtype
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "timesteps": self.timesteps}
