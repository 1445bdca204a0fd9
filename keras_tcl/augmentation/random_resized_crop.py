"""Zoom into a random box."""

import math
from typing import Any

import keras
from keras import ops

from keras_tcl import checks
from keras_tcl.augmentation.pixels import gather_pixels
from keras_tcl.augmentation.random_augmentation import RandomAugmentation

TRIES = 10


@keras.saving.register_keras_serializable(package="keras_tcl")
class RandomResizedCrop(RandomAugmentation):
    """Crop a box of random area and aspect, and resize it to the image's size.

    The box is torchvision's: a try draws the area uniformly from `scale`
    (times the image's area) and the logarithm of the aspect ratio width /
    height uniformly between those of `ratio`; the first of ten tries that
    fits into the image is taken, at a uniform place; if none fits, the
    greatest central box with an accepted ratio. A loop that ends at a
    different try for each sample cannot be compiled, so all ten tries are
    drawn at once and the first that fits is selected: the same distribution,
    at the cost of twenty small numbers per sample.

    The box is resized bilinearly with half-pixel centres. It is never larger
    than the output, so antialiasing would change nothing.

    Args:
        scale: Pair of floats between 0 and 1, least and greatest share of
            the image's area. Defaults to `(0.08, 1.0)`.
        ratio: Pair of positive floats, least and greatest width / height of
            the box in pixels. Defaults to `(3 / 4, 4 / 3)`.
        seed: Integer or `None`. See `RandomAugmentation`.
        name: String, the name of the layer. Defaults to `None`.

    Raises:
        ValueError: If `scale` or `ratio` is not a pair `(low, high)` in its
            limits.

    Example:

    >>> images = np.random.randint(0, 256, (8, 64, 64, 3), "uint8")
    >>> crop = keras_tcl.augmentation.RandomResizedCrop(scale=(0.2, 1.0))
    >>> tuple(crop(images, training=True).shape)
    (8, 64, 64, 3)
    """

    def __init__(
        self,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        seed: int | None = None,
        name: str | None = None,
    ):
        super().__init__(seed=seed, name=name)
        self.scale = checks.interval("scale", scale, 0, 1)
        self.ratio = checks.interval("ratio", ratio, 0)
        if self.ratio[0] == 0:
            raise ValueError(
                f"`ratio` must be positive. Received: ratio={ratio!r}"
            )

    def draw(self, batch_size: Any, height: int, width: int) -> dict[str, Any]:
        tries = (TRIES, batch_size)
        area = height * width * self.uniform(tries, *self.scale)
        ratio = ops.exp(self.uniform(tries, *map(math.log, self.ratio)))
        heights = ops.round(ops.sqrt(area / ratio))
        widths = ops.round(ops.sqrt(area * ratio))
        fits = (
            (heights > 0)
            & (heights <= height)
            & (widths > 0)
            & (widths <= width)
        )
        first = fits & (ops.cumsum(ops.cast(fits, "int32"), axis=0) == 1)
        found = ops.any(fits, axis=0)
        central_height, central_width = self._central_box(height, width)
        box_height = ops.where(
            found, ops.sum(ops.where(first, heights, 0.0), 0), central_height
        )
        box_width = ops.where(
            found, ops.sum(ops.where(first, widths, 0.0), 0), central_width
        )
        place = self.uniform((2, batch_size))
        return {
            "top": _start(place[0], height - box_height, found),
            "left": _start(place[1], width - box_width, found),
            "height": box_height,
            "width": box_width,
        }

    def _central_box(self, height: int, width: int) -> tuple[float, float]:
        """Return the greatest box whose width / height is accepted."""
        low, high = self.ratio
        if width < low * height:
            return max(1.0, round(width / low)), float(width)
        if width > high * height:
            return float(height), max(1.0, round(height * high))
        return float(height), float(width)

    def transform(self, images: Any, parameters: dict[str, Any]) -> Any:
        height, width = images.shape[2:4]
        above, below, down = _neighbours(
            parameters["top"], parameters["height"], height
        )
        before, after, right = _neighbours(
            parameters["left"], parameters["width"], width
        )
        down = down[:, None, :, None, None]
        right = right[:, None, None, :, None]

        def blend_columns(rows: Any) -> Any:
            return (1.0 - right) * gather_pixels(
                images, rows, before
            ) + right * gather_pixels(images, rows, after)

        return (1.0 - down) * blend_columns(above) + down * blend_columns(below)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "ratio": self.ratio,
        }


def _start(place: Any, room: Any, found: Any) -> Any:
    """Return the first row of the box, given the rows left over for it."""
    # `place` is below 1, but its product can be rounded up to `room + 1`.
    random = ops.minimum(ops.floor(place * (room + 1.0)), room)
    return ops.where(found, random, ops.floor(room / 2.0))


def _neighbours(start: Any, length: Any, size: int) -> tuple[Any, Any, Any]:
    """Return the two source rows of each output row and the second's weight.

    Args:
        start: Tensor `[B]`, first row of the box.
        length: Tensor `[B]`, rows of the box.
        size: Integer, rows of the output.

    Returns:
        Two int32 tensors and a float32 tensor, `[B, size]` each.
    """
    start, last = start[:, None], length[:, None] - 1.0
    centres = ops.arange(size, dtype="float32") + 0.5
    position = centres * (length[:, None] / size) - 0.5
    position = ops.clip(position, 0.0, last)
    first = ops.floor(position)
    second = ops.minimum(first + 1.0, last)
    return (
        ops.cast(start + first, "int32"),
        ops.cast(start + second, "int32"),
        position - first,
    )
