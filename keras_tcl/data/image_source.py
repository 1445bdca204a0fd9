"""Image files, decoded on demand."""

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_tcl.data.info import DataInfo
from keras_tcl.data.source import Source
from keras_tcl.optional import require


class ImageSource(Source):
    """A source over encoded images (JPEG, PNG, ...), decoded by Pillow.

    With `image_size`, the largest centred area of the wanted aspect ratio is
    resized (bilinear, antialiased): for a square, the shorter side is resized
    and the centre cropped. Images come as RGB, uint8.

    Args:
        info: `DataInfo`.
        labels: Integers `[N]`.
        images: Sequence of `N` paths, or of encoded images as bytes.
        image_size: Int, or tuple `(height, width)`, or `None` for images
            that have one size already.
        crop_bottom: Int, rows of pixels to cut off the bottom of the
            original image first. Defaults to `0`.

    Raises:
        ValueError: for a size below 1; with `image_size=None`, where the
            images differ in size; from `read`, naming the file, where an
            image cannot be decoded.
    """

    def __init__(
        self,
        info: DataInfo,
        labels: Any,
        images: Sequence[pathlib.Path | bytes],
        image_size: int | tuple[int, int] | None,
        crop_bottom: int = 0,
    ) -> None:
        self._pillow = require(
            "PIL.Image",
            f"decoding the images of `{info.name}`",
            "keras_tcl[data]",
        )
        self.images = images
        self.crop_bottom = crop_bottom
        self.image_size = _pair(image_size)
        height, width = self.image_size or self._common_size(info.name)
        shape = (height, width, 3)
        super().__init__(info.replace(shape=shape), labels, shape)

    def read(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        indices = np.asarray(indices)
        x = np.empty((len(indices), *self.element_shape), self.dtype)
        for row, index in enumerate(indices):
            x[row] = self._decode(int(index))
        return x, self.labels[indices]

    def _decode(self, index: int) -> np.ndarray:
        try:
            with self._open(index) as image:
                return self._pixels(image)
        except Exception as error:
            # Pillow's plugins raise anything from OSError to SyntaxError.
            raise ValueError(
                f"{self._name(index)} cannot be read as an image "
                f"({type(error).__name__}: {error}). Replace or remove it."
            ) from error

    def _pixels(self, image: Any) -> np.ndarray:
        original = image.size
        if self.image_size:
            # A JPEG decodes faster at 1/2, 1/4 or 1/8 of its size; down to
            # twice the size wanted, the antialiased resize hides it.
            height, width = self.image_size
            image.draft("RGB", (2 * width, 2 * height))
        rows = (original[1] - self.crop_bottom) * image.size[1] // original[1]
        image = image.convert("RGB").crop((0, 0, image.size[0], rows))
        if self.image_size:
            bilinear = self._pillow.Resampling.BILINEAR
            scale = min(image.size[0] / width, image.size[1] / height)
            left = (image.size[0] - scale * width) / 2
            top = (image.size[1] - scale * height) / 2
            box = (left, top, left + scale * width, top + scale * height)
            image = image.resize((width, height), bilinear, box)
        return np.asarray(image)

    def _common_size(self, name: str) -> tuple[int, int]:
        """The size all images share, from their headers."""
        sizes: dict[tuple[int, int], int] = {}
        for index in range(len(self.images)):
            try:
                with self._open(index) as image:
                    sizes.setdefault(image.size, index)
            except Exception as error:
                raise ValueError(
                    f"{self._name(index)} cannot be read as an image "
                    f"({type(error).__name__}: {error})."
                ) from error
            if len(sizes) > 1:
                (one, a), (other, b) = sizes.items()
                raise ValueError(
                    f"The images of `{name}` have mixed resolutions, so they "
                    f"make no batch: {self._name(a)} is {one[0]} x {one[1]}, "
                    f"{self._name(b)} is {other[0]} x {other[1]} (width x "
                    "height). Pass `image_size`, for example image_size=224."
                )
        (width, height), _ = sizes.popitem() if sizes else ((0, 0), 0)
        return height - self.crop_bottom, width

    def _open(self, index: int) -> Any:
        image = self.images[index]
        return self._pillow.open(
            io.BytesIO(image) if isinstance(image, bytes) else image
        )

    def _name(self, index: int) -> str:
        image = self.images[index]
        if isinstance(image, bytes):
            return f"The image of example {index}"
        return str(image)


def _pair(image_size: Any) -> tuple[int, int] | None:
    if image_size is None:
        return None
    pair = (
        image_size
        if isinstance(image_size, (tuple, list))
        else (
            image_size,
            image_size,
        )
    )
    if len(pair) != 2 or not all(
        isinstance(size, (int, np.integer)) and size > 0 for size in pair
    ):
        raise ValueError(
            "`image_size` must be a positive integer, a pair of them "
            f"(height, width), or None. Received: image_size={image_size!r}."
        )
    return int(pair[0]), int(pair[1])
