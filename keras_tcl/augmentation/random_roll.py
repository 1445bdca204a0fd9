"""Shift with wrap-around."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.augmentation.pixels import gather_pixels
from keras_tcl.augmentation.random_augmentation import RandomAugmentation


@keras.saving.register_keras_serializable(package="keras_tcl")
class RandomRoll(RandomAugmentation):
    """Shift rows and columns; what leaves on one side enters on the other.

    The two shifts are independent and uniform over the integers
    `-maximum, ..., maximum`, as in TET's augmentation of DVS-CIFAR10.

    Args:
        maximum: Integer, the greatest shift in pixels. Defaults to `5`.
        seed: Integer or `None`. See `RandomAugmentation`.
        name: String, the name of the layer. Defaults to `None`.

    Raises:
        ValueError: If `maximum` is negative or not an integer.

    Example:

    >>> frames = np.random.poisson(0.2, (4, 10, 48, 48, 2))  # T = 10
    >>> roll = keras_tcl.augmentation.RandomRoll(maximum=5)
    >>> tuple(roll(frames, training=True).shape)
    (4, 10, 48, 48, 2)

    Reference:
        Deng et al., "Temporal efficient training of spiking neural network
        via gradient re-weighting", ICLR 2022.
    """

    def __init__(
        self,
        maximum: int = 5,
        seed: int | None = None,
        name: str | None = None,
    ):
        super().__init__(seed=seed, name=name)
        self.maximum = checks.integer("maximum", maximum, 0)

    def draw(self, batch_size: Any, height: int, width: int) -> dict[str, Any]:
        shifts = self.integers((2, batch_size), -self.maximum, self.maximum)
        return {"down": shifts[0], "right": shifts[1]}

    def transform(self, images: Any, parameters: dict[str, Any]) -> Any:
        height, width = images.shape[2:4]
        rows = ops.arange(height) - parameters["down"][:, None]
        columns = ops.arange(width) - parameters["right"][:, None]
        return gather_pixels(
            images, ops.mod(rows, height), ops.mod(columns, width)
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "maximum": self.maximum}
