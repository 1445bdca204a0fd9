"""Several augmentations, one after the other."""

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_tcl import graph


@keras.saving.register_keras_serializable(package="keras_tcl")
class Pipeline(keras.layers.Layer):
    """Apply augmentations in order, at training only.

    Takes the layers of this package, Keras' own preprocessing layers (give
    them `dtype="float32"`, else they follow the global dtype policy) and any
    function of one tensor. At inference nothing is called and the images
    pass unchanged: a step that inference needs too, such as rescaling or
    normalisation, belongs into the model, not here. For the same reason a
    step must keep the shape of the images.

    Keras compiles no model with a layer whose `supports_jit` is `False`:
    `RandomRotation`, `RandomTranslation`, `RandomZoom`, `RandomShear`,
    `RandomPerspective`, `RandomCrop`, and with them `RandAugment` and
    `AugMix`. That is TensorFlow's limit, whose XLA lacks an operation, so on
    JAX the pipeline lifts it and the model stays compiled. On TensorFlow, and
    for a layer of your own on JAX, it warns: such a layer is better mapped
    over the input data, as `examples/augmentation.py` does. PyTorch compiles
    no model by default.

    Args:
        layers: List of `keras.layers.Layer` and functions. A function
            receives the float32 images and returns images; register it with
            `keras.saving.register_keras_serializable` to save the model.
        name: String, the name of the layer. Defaults to `None`.

    Call arguments:
        images: Tensor `[batch, height, width, channels]`, or event frames
            `[batch, time, height, width, channels]`.
        training: Boolean, whether to augment. Defaults to `False`.

    Raises:
        ValueError: If `layers` is not a list of layers and functions, or one
            of them changes the shape of the images.

    Example:

    >>> from keras_tcl import augmentation
    >>> augmenter = augmentation.Pipeline(
    ...     [augmentation.RandomCrop(4), augmentation.RandomFlip()]
    ... )
    >>> images = np.random.randint(0, 256, (8, 32, 32, 3), "uint8")
    >>> tuple(augmenter(images, training=True).shape)
    (8, 32, 32, 3)
    """

    def __init__(
        self,
        layers: Sequence[keras.layers.Layer | Callable[[Any], Any]],
        name: str | None = None,
    ):
        super().__init__(name=name, dtype="float32")
        if not isinstance(layers, (list, tuple)):
            raise ValueError(
                "`layers` must be a list of layers and functions. "
                f"Received: layers={layers!r}"
            )
        for layer in layers:
            # A class is callable too: `RandomFlip` for `RandomFlip()`.
            if not callable(layer) or isinstance(layer, type):
                raise ValueError(
                    "Each of `layers` must be a layer (an instance, such as "
                    "RandomFlip()) or a function of one tensor. "
                    f"Received: {layer!r}"
                )
        self.layers = list(layers)
        self._see_to_compilation()

    def _see_to_compilation(self) -> None:
        """Keep models with these layers compiled, or say who prevents it."""
        backend = keras.config.backend()
        if backend == "torch":  # Runs eagerly anyway.
            return
        uncompiled = {}
        for layer in self.layers:
            if not isinstance(layer, keras.layers.Layer):
                continue
            within = [layer, *graph.inner_layers(layer)]
            within = [k for k in within if not k.supports_jit]
            if backend == "jax":
                # Keras 3.15 says so of its own for TensorFlow's sake.
                for k in filter(_is_of_keras, within):
                    k.supports_jit = True
                within = [k for k in within if not k.supports_jit]
            if within:
                names = sorted({type(k).__name__ for k in within})
                uncompiled[type(layer).__name__] = names
        for name, names in uncompiled.items():
            through = f" (through {', '.join(names)})" * (names != [name])
            cost = (
                "runs every training step op by op, ten times slower or more"
                if backend == "jax"
                else "does without XLA on a GPU, which costs time and memory"
            )
            warnings.warn(
                f"{name}{through}: `supports_jit` is False, so Keras will not "
                f"compile any model with it, and {cost}. Use the augmentations "
                "of keras_tcl.augmentation, or map this layer over the input "
                "data, as examples/augmentation.py does.",
                stacklevel=3,
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for layer in self.layers:
            if isinstance(layer, keras.layers.Layer) and not layer.built:
                layer.build(input_shape)

    def call(self, images: Any, training: bool | None = False) -> Any:
        images = ops.cast(images, "float32")
        if not training:
            return images
        for layer in self.layers:
            # Keras alone would not hand `training` on in `stateless_call`.
            options = {"training": True} if _takes_training(layer) else {}
            result = layer(images, **options)
            if tuple(result.shape[1:]) != tuple(images.shape[1:]):
                raise ValueError(
                    "An augmentation must keep the shape of the images, as "
                    f"they pass unchanged at inference. Received: {layer!r} "
                    f"turns {tuple(images.shape)} into {tuple(result.shape)}"
                )
            images = result
        return ops.cast(images, "float32")

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        # Without `dtype`: it is float32 by definition.
        return {
            "name": self.name,
            "layers": [
                keras.saving.serialize_keras_object(layer)
                for layer in self.layers
            ],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Pipeline":
        layers = [
            keras.saving.deserialize_keras_object(layer)
            for layer in config["layers"]
        ]
        return cls(**{**config, "layers": layers})


def _takes_training(layer: Any) -> bool:
    return (
        isinstance(layer, keras.layers.Layer)
        and "training" in inspect.signature(layer.call).parameters
    )


def _is_of_keras(layer: Any) -> bool:
    package = "keras.src.layers.preprocessing.image_preprocessing"
    return type(layer).__module__.startswith(package)
