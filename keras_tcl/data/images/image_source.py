"""Image files, decoded on demand."""

import contextlib
import io
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.data.sources import DataInfo, Source
from keras_tcl.optional import require
from keras_tcl.progress import shown


class ImageSource(Source):
    """A source over encoded images (JPEG, PNG, ...), decoded by Pillow.

    With `image_size`, the largest centred area of the wanted aspect ratio is
    resized (bilinear, antialiased, `PIL.ImageOps.fit`): for a square, the
    shorter side is resized and the centre cropped.

    Images come as RGB, uint8, upright: turned as their EXIF orientation says,
    and what is transparent lies on white. Greys of 16 bits are divided by 257
    (65,535 is white); 32-bit and floating-point pixels are refused, as nothing
    says what is white.

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
            images differ in size; naming the file, from `read` (or here, if
            `image_size` is `None`), where an image cannot be decoded or has
            32-bit or floating-point pixels.
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

        _check_depth(image)
        longer = max(image.size)
        if self.image_size:
            # A JPEG decodes faster at 1/2, 1/4 or 1/8 of its size; down to
            # twice the size wanted, the antialiased resize hides it. Which
            # side is which is not known before it is turned.
            least = 2 * max(self.image_size)
            image.draft("RGB", (least, least))
        image = _rgb(_upright(image))
        width, height = image.size
        cropped = math.ceil(self.crop_bottom * max(image.size) / longer)
        image = image.crop((0, 0, width, height - cropped))
        if self.image_size:
            image = ImageOps.fit(
                image, self.image_size[::-1], Image.Resampling.BILINEAR
            )
        return np.asarray(image)

    def _common_size(self, name: str) -> tuple[int, int]:
        """The size all images share, from their headers."""
        sizes: dict[tuple[int, int], int] = {}
        what = f"comparing the sizes of the images of `{name}`"
        for index in shown(range(len(self.images)), what):
            with self._open(index) as image:
                _check_depth(image)
                if _is_turned(image):
                    image = _upright(image)
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


def _check_depth(image: Any) -> None:
    """Refuse pixels that Pillow would clip at 255."""
    is_sixteen_bit = image.mode == "I" and image.format in ("PNG", "PPM")
    if image.mode in ("I", "F") and not is_sixteen_bit:
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise ValueError(
            f"{kind} pixels do not say what is white: convert it to 8 or 16 "
            "bits"
        )


def _is_turned(image: Any) -> bool:
    """Whether EXIF data say so; for a PNG file only what precedes the pixels.

    Pillow decodes the whole of a PNG image to look behind them.
    """
    if image.format == "PNG" and "exif" not in image.info:
        return False
    try:
        return image.getexif().get(0x0112, 1) != 1
    except Exception:  # Damaged EXIF data raise anything.
        return False


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    image.load()
    # Damaged EXIF data are no reason to refuse the pixels.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _rgb(image: Any) -> Any:
    """All bits, all colours, and no alpha."""
    from PIL import Image

    if image.mode.startswith("I"):
        grey = np.asarray(image, "float32") / 257
        return Image.fromarray(np.round(grey).astype("uint8")).convert("RGB")
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    if has_alpha or "transparency" in image.info:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(page, image).convert("RGB")
    return image.convert("RGB")
