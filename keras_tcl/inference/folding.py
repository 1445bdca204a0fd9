"""One fold of time for all that stands between two neurons."""

from typing import Any

import keras
from keras import ops

from keras_tcl import graph
from keras_tcl.layers import DirectEncoding, EachStep

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


@keras.saving.register_keras_serializable(package="keras_tcl")
class Renamed(keras.layers.Wrapper):
    """A layer under another name, in inference.

    Args:
        layer: The layer, of one input; its weights are shared.
    """

    def call(self, inputs: Any) -> Any:
        return _in_inference(self.layer, inputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        return self.layer.compute_output_spec(inputs)


class InferenceVisit:
    """A visit for `graph.walk` that draws a network's graph for inference.

    Each layer is called with `training=False`, and what `EachStep` folds is
    unfolded only for a layer that wants the time axis. For one walk over
    symbolic tensors: what nobody reads in the end is not part of the model.
    """

    def __init__(self) -> None:
        # The tensors are kept: an id is another's once its tensor is gone.
        self._folded: dict[int, tuple[Any, Any]] = {}
        self._by_name: dict[str, Any] = {}
        self._encodings: dict[int, Any] = {}

    def __call__(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, DirectEncoding):
            # Another one, whose T stays as it is now.
            layer = self._encodings.setdefault(
                id(layer), DirectEncoding.from_config(layer.get_config())
            )
        if not isinstance(layer, EachStep):
            return self._drawn(layer, *args, **kwargs)
        (x,) = args
        folded = graph.visit_within(layer.layer, self._drawn, self.fold(x))
        return self.unfold(folded, x.shape[1])

    def _drawn(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """A layer's output, under a name that no other layer has.

        In one flat graph, layers of `EachStep` and of models within meet,
        whose names need not differ.
        """
        name, number = layer.name, 2
        while self._by_name.setdefault(name, layer) is not layer:
            name, number = f"{layer.name}_{number}", number + 1
        if name != layer.name and isinstance(layer, keras.layers.Layer):
            layer = Renamed(layer, name=name, dtype=layer.dtype_policy)
        return _in_inference(layer, *args, **kwargs)

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
