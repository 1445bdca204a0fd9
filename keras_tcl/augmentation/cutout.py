"""Cut a square out."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.augmentation.random_augmentation import RandomAugmentation


@keras.saving.register_keras_serializable(package="keras_tcl")
class Cutout(RandomAugmentation):
    """Overwrite a square at a random place of every image.

    The centre is uniform over the pixels of the image and the square is
    clipped at the borders, so that up to three quarters of it can fall
    outside: the published definition, which keeps part of the images almost
    whole. The square covers the rows `[y - size // 2, y - size // 2 + size)`
    of the centre's row `y`, and the columns likewise.

    Args:
        size: Integer, side of the square in pixels. Defaults to `16`.
        fill_value: Number, the value of the square, in raw pixels. Defaults
            to `0.0`.
        seed: Integer or `None`. See `RandomAugmentation`.
        name: String, the name of the layer. Defaults to `None`.

    Raises:
        ValueError: If `size` is not a positive integer, or `fill_value` is
            not a finite number.

    Example:

    >>> images = np.random.randint(0, 256, (8, 32, 32, 3), "uint8")
    >>> cutout = keras_tcl.augmentation.Cutout(size=16)
    >>> tuple(cutout(images, training=True).shape)
    (8, 32, 32, 3)

    Reference:
        DeVries and Taylor, "Improved regularization of convolutional neural
        networks with cutout", arXiv:1708.04552.
    """

    def __init__(
        self,
        size: int = 16,
        fill_value: float = 0.0,
        seed: int | None = None,
        name: str | None = None,
    ):
        super().__init__(seed=seed, name=name)
        self.size = checks.integer("size", size, 1)
        self.fill_value = checks.number("fill_value", fill_value)

    def draw(self, batch_size: Any, height: int, width: int) -> dict[str, Any]:
        return {
            "row": self.integers((batch_size,), 0, height - 1),
            "column": self.integers((batch_size,), 0, width - 1),
        }

    def transform(self, images: Any, parameters: dict[str, Any]) -> Any:
        height, width = images.shape[2:4]
        rows = self._covered(parameters["row"], height)
        columns = self._covered(parameters["column"], width)
        square = rows[:, :, None] & columns[:, None, :]
        return ops.where(square[:, None, :, :, None], self.fill_value, images)

    def _covered(self, centre: Any, length: int) -> Any:
        """Return which of `length` rows or columns the square covers."""
        distance = ops.arange(length) - centre[:, None] + self.size // 2
        return (distance >= 0) & (distance < self.size)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "fill_value": self.fill_value,
        }
