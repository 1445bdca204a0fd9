"""Pad and crop."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.augmentation.pixels import gather_pixels
from keras_tcl.augmentation.random_augmentation import RandomAugmentation


@keras.saving.register_keras_serializable(package="keras_tcl")
class RandomCrop(RandomAugmentation):
    """Pad each border, then crop back to size at a random place.

    The offset of the crop is uniform over `0, 1, ..., 2 * padding` in each
    axis, so the image moves by at most `padding` pixels, as by torchvision's
    `RandomCrop(size, padding)`. Keras' own `RandomCrop` draws one offset for
    a whole batch.

    Args:
        padding: Integer, pixels added at each border. Defaults to `4`.
        fill_value: Number, the value of the added pixels, in raw pixels.
            Defaults to `0.0`.
        seed: Integer or `None`. See `RandomAugmentation`.
        name: String, the name of the layer. Defaults to `None`.

    Raises:
        ValueError: If `padding` is negative or not an integer, or
            `fill_value` is not a finite number.

    Example:

    >>> images = np.random.randint(0, 256, (8, 32, 32, 3), "uint8")
    >>> crop = keras_tcl.augmentation.RandomCrop(padding=4)
    >>> tuple(crop(images, training=True).shape)
    (8, 32, 32, 3)
    """

    def __init__(
        self,
        padding: int = 4,
        fill_value: float = 0.0,
        seed: int | None = None,
        name: str | None = None,
    ):
        super().__init__(seed=seed, name=name)
        self.padding = checks.integer("padding", padding, 0)
        self.fill_value = checks.number("fill_value", fill_value)

    def draw(self, batch_size: Any, height: int, width: int) -> dict[str, Any]:
        offsets = self.integers((2, batch_size), 0, 2 * self.padding)
        return {"top": offsets[0], "left": offsets[1]}

    def transform(self, images: Any, parameters: dict[str, Any]) -> Any:
        height, width = images.shape[2:4]
        # The padding is never built: a pixel that would come from it is
        # fetched from the border, then overwritten.
        rows = parameters["top"][:, None] - self.padding + ops.arange(height)
        columns = parameters["left"][:, None] - self.padding + ops.arange(width)
        inside_rows = (rows >= 0) & (rows < height)
        inside_columns = (columns >= 0) & (columns < width)
        inside = inside_rows[:, :, None] & inside_columns[:, None, :]
        moved = gather_pixels(
            images,
            ops.clip(rows, 0, height - 1),
            ops.clip(columns, 0, width - 1),
        )
        return ops.where(inside[:, None, :, :, None], moved, self.fill_value)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "padding": self.padding,
            "fill_value": self.fill_value,
        }
