"""The projection module of the contrastive loss."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks


@keras.saving.register_keras_serializable(package="keras_tcl")
class ProjectionHead(keras.layers.Layer):
    """Maps features to the embeddings that the contrastive loss compares.

    Global average pooling over space, then two dense layers with a ReLU
    between, applied to every time step:
    `[B, T, h, w, c] -> [B, T, c] -> [B, T, hidden] -> [B, T, dimension]`.
    The loss normalises the embeddings. Used in training only (paper
    section 4.4, "Projection Module").

    Args:
        dimension: Integer of at least 1, the size of an embedding. Defaults
            to `128`.
        hidden: Integer of at least 1 or `None`, the size of the layer
            between. `None` (the default) takes the number of features.

    Input shape:
        `[B, T, h, w, c]`, or `[B, T, c]` for features already pooled.

    Output shape:
        `[B, T, dimension]`.

    Raises:
        ValueError: If a size is not an integer of at least 1, or the input
            has another rank.

    Example:

    >>> features = keras.ops.ones((2, 4, 8, 8, 32))
    >>> tuple(keras_tcl.layers.ProjectionHead(16)(features).shape)
    (2, 4, 16)
    """

    def __init__(
        self, dimension: int = 128, hidden: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dimension = checks.integer("dimension", dimension)
        if hidden is not None:
            hidden = checks.integer("hidden", hidden)
        self.hidden = hidden

    def build(self, input_shape: Any) -> None:
        if len(input_shape) not in (3, 5):
            raise ValueError(
                "ProjectionHead expects features of shape [B, T, h, w, c] or "
                f"[B, T, c]. Received an input of shape {tuple(input_shape)}."
            )
        features = input_shape[-1]
        self.hidden_layer = keras.layers.Dense(
            self.hidden or features,
            activation="relu",
            dtype=self.dtype_policy,
            name="hidden",
        )
        self.output_layer = keras.layers.Dense(
            self.dimension, dtype=self.dtype_policy, name="output"
        )
        self.hidden_layer.build((*input_shape[:2], features))
        self.output_layer.build((*input_shape[:2], self.hidden_layer.units))

    def call(self, inputs: Any) -> Any:
        if len(inputs.shape) == 5:
            inputs = ops.mean(inputs, axis=(2, 3))
        return self.output_layer(self.hidden_layer(inputs))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:2], self.dimension)

    def get_config(self) -> dict[str, Any]:
        config = {"dimension": self.dimension, "hidden": self.hidden}
        return {**super().get_config(), **config}
