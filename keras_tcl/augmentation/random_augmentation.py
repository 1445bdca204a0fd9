"""The base class of the augmentations."""

from typing import Any

import keras
from keras import ops


class RandomAugmentation(keras.layers.Layer):
    """A random change of images, drawn anew for each sample and each call.

    With `training=True` the layer draws one set of parameters per sample and
    applies it; otherwise it returns the images unchanged. Images may be
    `uint8` or float, in raw pixels; the result is float32 whatever the dtype
    policy is, because half precision cannot hold 256 grey levels through
    arithmetic.

    A subclass writes two methods:

    - `draw(batch_size, height, width)`: the random part. It returns a
      dictionary of tensors whose first axis is the sample.
    - `transform(images, parameters)`: the deterministic part, on float32
      images `[batch, time, height, width, channels]`. A still image has one
      time step. The parameters carry no time axis: every frame of a
      recording gets the same draw.

    The state of the random generator is saved with the model, so that a
    resumed training continues the same sequence.

    Args:
        seed: Integer, or `None` to take a seed from Keras' global one (so
            that `keras.utils.set_random_seed` makes runs reproducible). As
            in Keras, two layers of one seed draw the same numbers: only the
            flipped images would turn grey, say. Give each a seed of its own.
            Defaults to `None`.
        name: String, the name of the layer. Defaults to `None`.

    Call arguments:
        images: Tensor `[batch, height, width, channels]`, or event frames
            `[batch, time, height, width, channels]`. Only the batch size may
            be unknown.
        training: Boolean, whether to augment. Defaults to `False`.

    Raises:
        ValueError: If `seed` is not an integer or the images have another
            rank or an unknown size.

    Example:

    >>> class Darken(keras_tcl.augmentation.RandomAugmentation):
    ...     def draw(self, batch_size, height, width):
    ...         return {"factor": self.uniform((batch_size,), 0.5, 1.0)}
    ...
    ...     def transform(self, images, parameters):
    ...         factor = parameters["factor"]
    ...         return images * keras.ops.reshape(factor, (-1, 1, 1, 1, 1))
    >>> images = np.random.randint(0, 256, (8, 32, 32, 3), "uint8")
    >>> tuple(Darken()(images, training=True).shape)
    (8, 32, 32, 3)
    """

    def __init__(self, seed: int | None = None, name: str | None = None):
        super().__init__(name=name, dtype="float32")
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def draw(self, batch_size: Any, height: int, width: int) -> dict[str, Any]:
        """Draw the parameters of `batch_size` samples.

        Args:
            batch_size: Integer, or an integer tensor where the batch size is
                unknown.
            height: Integer, rows of an image.
            width: Integer, columns of an image.

        Returns:
            Dictionary of tensors whose first axis is `batch_size`.
        """
        raise NotImplementedError

    def transform(self, images: Any, parameters: dict[str, Any]) -> Any:
        """Apply drawn parameters to images.

        Args:
            images: Float32 tensor `[batch, time, height, width, channels]`.
            parameters: Dictionary as `draw` returns it.

        Returns:
            Float32 tensor of the same shape.
        """
        raise NotImplementedError

    def uniform(
        self, shape: Any, minimum: float = 0.0, maximum: float = 1.0
    ) -> Any:
        """Draw float32 numbers between `minimum` and `maximum`."""
        return keras.random.uniform(
            shape, minimum, maximum, dtype="float32", seed=self.seed_generator
        )

    def integers(self, shape: Any, minimum: int, maximum: int) -> Any:
        """Draw int32 numbers from `minimum` to `maximum`, both included."""
        return keras.random.randint(
            shape, minimum, maximum + 1, dtype="int32", seed=self.seed_generator
        )

    def check_shape(self, shape: tuple[int | None, ...]) -> None:
        """Raise a ValueError if the layer cannot take images of `shape`."""
        if len(shape) not in (4, 5) or None in shape[1:]:
            raise ValueError(
                f"{type(self).__name__} takes images [batch, height, width, "
                "channels] or event frames [batch, time, height, width, "
                "channels] of which only the batch size may be unknown. "
                f"Received: shape={tuple(shape)}"
            )

    def call(self, images: Any, training: bool | None = False) -> Any:
        self.check_shape(tuple(images.shape))
        batch, shape = ops.shape(images)[0], tuple(images.shape)[1:]
        images = ops.cast(images, "float32")
        if not training:
            return images
        height, width, channels = shape[-3:]
        frames = shape[0] if len(shape) == 4 else 1
        images = ops.reshape(images, (batch, frames, height, width, channels))
        images = self.transform(images, self.draw(batch, height, width))
        return ops.reshape(images, (batch, *shape))

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        self.check_shape(input_shape)
        return tuple(input_shape)

    def save_own_variables(self, store: Any) -> None:
        # Keras itself does not save the state of a seed generator.
        state = self.seed_generator.state
        store["seed_generator_state"] = ops.convert_to_numpy(state)

    def load_own_variables(self, store: Any) -> None:
        # Weights may be those of a model with another augmenter, or none.
        if "seed_generator_state" in store.keys():
            self.seed_generator.state.assign(store["seed_generator_state"][...])

    def get_config(self) -> dict[str, Any]:
        # Without `dtype`: it is float32 by definition.
        return {"name": self.name, "seed": self.seed}
