"""Take the colour away."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.augmentation.pixels import gray, per_sample
from keras_tcl.augmentation.random_augmentation import RandomAugmentation


@keras.saving.register_keras_serializable(package="keras_tcl")
class RandomGray(RandomAugmentation):
    """Turn an RGB image grey with a given probability.

    The three channels are kept, each equal to the ITU-R BT.601 luma
    `0.299 R + 0.587 G + 0.114 B`.

    Args:
        probability: Float between 0 and 1. Defaults to `0.2`.
        seed: Integer or `None`. See `RandomAugmentation`.
        name: String, the name of the layer. Defaults to `None`.

    Raises:
        ValueError: If `probability` is not between 0 and 1, or the images
            have not three channels.

    Example:

    >>> images = np.random.randint(0, 256, (8, 32, 32, 3), "uint8")
    >>> gray = keras_tcl.augmentation.RandomGray(probability=0.2)
    >>> tuple(gray(images, training=True).shape)
    (8, 32, 32, 3)
    """

    def __init__(
        self,
        probability: float = 0.2,
        seed: int | None = None,
        name: str | None = None,
    ):
        super().__init__(seed=seed, name=name)
        self.probability = checks.number("probability", probability, 0, 1)

    def check_shape(self, shape: tuple[int | None, ...]) -> None:
        super().check_shape(shape)
        if shape[-1] != 3:
            raise ValueError(
                "RandomGray takes RGB images, three channels last. Leave it "
                f"out for other images. Received: shape={tuple(shape)}"
            )

    def draw(self, batch_size: Any, height: int, width: int) -> dict[str, Any]:
        return {"gray": self.uniform((batch_size,)) < self.probability}

    def transform(self, images: Any, parameters: dict[str, Any]) -> Any:
        return ops.where(per_sample(parameters["gray"]), gray(images), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "probability": self.probability}
