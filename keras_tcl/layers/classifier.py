"""From the features of the last stage to logits."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_tcl import checks, graph
from keras_tcl.layers.lif import LIF
from keras_tcl.layers.neuron import copy_of

POOLINGS = ("average", "flatten")


@keras.saving.register_keras_serializable(package="keras_tcl")
class Classifier(keras.layers.Layer):
    """Logits of every time step from the feature maps of the last stage.

    Pooling over space, any number of hidden dense layers with spiking
    neurons, and a dense layer:
    `[B, T, h, w, c] -> [B, T, features] -> [B, T, classes]`.

    Args:
        classes: Integer of at least 1, number of classes.
        pooling: `"average"` (the mean over h and w) or `"flatten"` (h * w * c
            features). Defaults to `"average"`.
        hidden_units: List or tuple of integers, sizes of the hidden layers.
            Defaults to none.
        neuron: Layer whose copies, in this layer's dtype policy, serve as
            neurons of the hidden layers. Defaults to `LIF()`.

    Input shape:
        `[B, T, h, w, c]`.

    Output shape:
        `[B, T, classes]`.

    Raises:
        ValueError: If an argument is out of range, the input is not a
            sequence of feature maps, or their size is unknown and
            `pooling="flatten"`.

    Example:

    >>> features = keras.ops.ones((2, 4, 8, 8, 32))
    >>> tuple(keras_tcl.layers.Classifier(10)(features).shape)
    (2, 4, 10)
    """

    def __init__(
        self,
        classes: int,
        pooling: str = "average",
        hidden_units: Sequence[int] = (),
        neuron: keras.layers.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        neuron = copy_of(LIF() if neuron is None else neuron)
        self.classes = checks.integer("classes", classes)
        self.pooling = checks.choice("pooling", pooling, POOLINGS)
        self.hidden_units = (
            []
            if isinstance(hidden_units, (list, tuple)) and not hidden_units
            else checks.integers("hidden_units", hidden_units)
        )
        self._neuron_config = keras.saving.serialize_keras_object(neuron)
        self.dense_layers = [
            keras.layers.Dense(
                units,
                # As PyTorch initialises a linear layer.
                kernel_initializer=keras.initializers.VarianceScaling(
                    1 / 3, "fan_in", "uniform"
                ),
                dtype=self.dtype_policy,
                name=f"dense_{i}",
            )
            for i, units in enumerate(
                (*self.hidden_units, self.classes), start=1
            )
        ]
        self.neurons = [
            copy_of(neuron, name=f"dense_{i}_spike", dtype=self.dtype_policy)
            for i in range(1, len(self.dense_layers))
        ]

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 5:
            raise ValueError(
                "Classifier expects feature maps of shape [B, T, h, w, c]. "
                f"Received an input of shape {tuple(input_shape)}."
            )
        batch, timesteps, height, width, features = input_shape
        if self.pooling == "flatten":
            if height is None or width is None:
                raise ValueError(
                    'Classifier(pooling="flatten") needs to know the size of '
                    "the feature maps. Received an input of shape "
                    f'{tuple(input_shape)}. Use pooling="average" for images '
                    "of any size."
                )
            features = height * width * features
        for dense in self.dense_layers:
            dense.build((batch, timesteps, features))
            features = dense.units
        for neuron, units in zip(self.neurons, self.hidden_units, strict=True):
            neuron.build((batch, timesteps, units))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # Keras hands `training` on to the layers called in here.
        return self.walk(inputs, graph.call)

    def walk(self, x: Any, visit: graph.Visit) -> Any:
        """Run the layers within as `visit` says, like `keras_tcl.graph.walk`.

        Args:
            x: Feature maps.
            visit: Function `visit(layer, x)`, called for each dense layer and
                each layer of neurons.
        """
        # Visited, the layer is not called, which would cast its input.
        if keras.backend.standardize_dtype(x.dtype) != self.compute_dtype:
            x = ops.cast(x, self.compute_dtype)
        if self.pooling == "average":
            x = ops.mean(x, axis=(2, 3))
        else:
            _, timesteps, *size = x.shape
            if timesteps is None:
                timesteps = ops.shape(x)[1]
            x = ops.reshape(x, (-1, timesteps, math.prod(size)))
        *hidden, output = self.dense_layers
        for dense, neuron in zip(hidden, self.neurons, strict=True):
            x = visit(neuron, visit(dense, x))
        return visit(output, x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:2], self.classes)

    def get_config(self) -> dict[str, Any]:
        config = {
            "classes": self.classes,
            "pooling": self.pooling,
            "hidden_units": self.hidden_units,
            "neuron": self._neuron_config,
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Classifier":
        neuron = keras.saving.deserialize_keras_object(config["neuron"])
        return cls(**{**config, "neuron": neuron})
