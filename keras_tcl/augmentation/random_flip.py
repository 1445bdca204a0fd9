"""Mirror left and right."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.augmentation.pixels import per_sample
from keras_tcl.augmentation.random_augmentation import RandomAugmentation


@keras.saving.register_keras_serializable(package="keras_tcl")
class RandomFlip(RandomAugmentation):
    """Mirror an image, left to right, with a given probability.

    Args:
        probability: Float between 0 and 1. Defaults to `0.5`.
        seed: Integer or `None`. See `RandomAugmentation`.
        name: String, the name of the layer. Defaults to `None`.

    Raises:
        ValueError: If `probability` is not between 0 and 1.

    Example:

    >>> images = np.random.randint(0, 256, (8, 32, 32, 3), "uint8")
    >>> flip = keras_tcl.augmentation.RandomFlip()
    >>> tuple(flip(images, training=True).shape)
    (8, 32, 32, 3)
    """

    def __init__(
        self,
        probability: float = 0.5,
        seed: int | None = None,
        name: str | None = None,
    ):
        super().__init__(seed=seed, name=name)
        self.probability = checks.number("probability", probability, 0, 1)

    def draw(self, batch_size: Any, height: int, width: int) -> dict[str, Any]:
        return {"flip": self.uniform((batch_size,)) < self.probability}

    def transform(self, images: Any, parameters: dict[str, Any]) -> Any:
        return ops.where(
            per_sample(parameters["flip"]), ops.flip(images, axis=3), images
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "probability": self.probability}
