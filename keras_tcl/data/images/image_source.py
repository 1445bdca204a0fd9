"""Image files, decoded on demand."""

import contextlib
import io
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.data.sources import DataInfo, Source
from keras_tcl.optional import require


class ImageSource(Source):
    """A source over encoded images (JPEG, PNG, ...), decoded by Pillow.

    With `image_size`, the largest centred area of the wanted aspect ratio is
    resized (bilinear, antialiased, `PIL.ImageOps.fit`): for a square, the
    shorter side is resized and the centre cropped. Images come as RGB, uint8.

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
        require(
            "PIL.Image",
            f"decoding the images of `{info.name}`",
            "keras_tcl[data]",
        )
        self.images = images
        self.crop_bottom = crop_bottom
        self.image_size = (
            None
            if image_size is None
            else checks.size("image_size", image_size)
        )
        height, width = self.image_size or self._common_size(info.name)
        shape = (height, width, 3)
        super().__init__(info.replace(shape=shape), labels, shape)

    def read(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        indices = np.asarray(indices)
        x = np.empty((len(indices), *self.element_shape), self.dtype)
        for row, index in enumerate(indices):
            with self._open(int(index)) as image:
                x[row] = self._pixels(image)
        return x, self.labels[indices]

    def _pixels(self, image: Any) -> np.ndarray:
        from PIL import Image, ImageOps

        height = image.size[1]
        if self.image_size:
            # A JPEG decodes faster at 1/2, 1/4 or 1/8 of its size; down to
            # twice the size wanted, the antialiased resize hides it.
            size = self.image_size[::-1]
            image.draft("RGB", (2 * size[0], 2 * size[1]))
        rows = (height - self.crop_bottom) * image.size[1] // height
        image = image.convert("RGB").crop((0, 0, image.size[0], rows))
        if self.image_size:
            image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
        return np.asarray(image)

    def _common_size(self, name: str) -> tuple[int, int]:
        """The size all images share, from their headers."""
        sizes: dict[tuple[int, int], int] = {}
        for index in range(len(self.images)):
            with self._open(index) as image:
                sizes.setdefault(image.size, index)
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

    @contextlib.contextmanager
    def _open(self, index: int) -> Iterator[Any]:
        """Open an image; name it in the error if it cannot be read."""
        from PIL import Image

        image = self.images[index]
        try:
            with Image.open(
                io.BytesIO(image) if isinstance(image, bytes) else image
            ) as opened:
                yield opened
        except Exception as error:
            # Pillow's plugins raise anything from OSError to SyntaxError.
            raise ValueError(
                f"{self._name(index)} cannot be read as an image "
                f"({type(error).__name__}: {error}). Replace or remove it."
            ) from error

    def _name(self, index: int) -> str:
        image = self.images[index]
        if isinstance(image, bytes):
            return f"The image of example {index}"
        return str(image)
