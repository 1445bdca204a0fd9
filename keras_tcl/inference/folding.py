"""One fold of time for all that stands between two neurons."""

from typing import Any

import keras
from keras import ops

from keras_tcl import graph
from keras_tcl.layers import EachStep

_in_inference = graph.called(training=False)


@keras.saving.register_keras_serializable(package="keras_tcl")
class FoldTime(keras.layers.Layer):
    """Makes every time step a sample: `[B, T, ...] -> [B * T, ...]`."""

    def __init__(self, **kwargs: Any) -> None:
        # A tensor keeps its dtype, whatever the policy.
        super().__init__(autocast=False, **kwargs)

    def call(self, inputs: Any) -> Any:
        return ops.reshape(inputs, (-1, *inputs.shape[2:]))

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor((None, *inputs.shape[2:]), inputs.dtype)


@keras.saving.register_keras_serializable(package="keras_tcl")
class UnfoldTime(keras.layers.Layer):
    """Undoes `FoldTime`: `[B * T, ...] -> [B, T, ...]`.

    Args:
        timesteps: Integer, T.
    """

    def __init__(self, timesteps: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.timesteps = timesteps

    def call(self, inputs: Any) -> Any:
        return ops.reshape(inputs, (-1, self.timesteps, *inputs.shape[1:]))

    def compute_output_spec(self, inputs: Any) -> Any:
        shape = (None, self.timesteps, *inputs.shape[1:])
        return keras.KerasTensor(shape, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "timesteps": self.timesteps}


@keras.saving.register_keras_serializable(package="keras_tcl")
class Cast(keras.layers.Layer):
    """Returns its input in this layer's dtype, whole numbers too."""

    def call(self, inputs: Any) -> Any:
        return ops.cast(inputs, self.compute_dtype)


class InferenceVisit:
    """A visit for `graph.walk` that draws a network's graph for inference.

    Each layer is called with `training=False`, and what `EachStep` folds is
    unfolded only for a layer that wants the time axis. For one walk over
    symbolic tensors: what nobody reads in the end is not part of the model.
    """

    def __init__(self) -> None:
        # The tensors are kept: an id is another's once its tensor is gone.
        self._folded: dict[int, tuple[Any, Any]] = {}

    def __call__(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(layer, EachStep):
            return _in_inference(layer, *args, **kwargs)
        (x,) = args
        return self.unfold(_in_inference(layer.layer, self.fold(x)), x.shape[1])

    def fold(self, x: Any) -> Any:
        """Return `[B, T, ...]` as `[B * T, ...]`."""
        if id(x) not in self._folded:
            self._folded[id(x)] = x, FoldTime()(x)
        return self._folded[id(x)][1]

    def unfold(self, x: Any, timesteps: int) -> Any:
        """Return `[B * T, ...]` as `[B, T, ...]`."""
        unfolded = UnfoldTime(timesteps)(x)
        self._folded[id(unfolded)] = unfolded, x
        return unfolded
