"""A folder of images of one's own, one folder a class."""

import pathlib

from keras_tcl.data.catalogue import register
from keras_tcl.data.files import open_folder
from keras_tcl.data.images.image_source import ImageSource
from keras_tcl.data.sources import DataInfo, Source
from keras_tcl.optional import require

INFO = DataInfo(
    name="image_folder",
    classes=0,
    shape=(None, None, 3),
    splits={},
    value_range=(0, 255),
    size="yours",
    where=(
        "Put your images into data_dir/<class>/<image>, or into "
        "data_dir/train/<class>/<image> and data_dir/test/<class>/<image> "
        "(and any further split beside them)."
    ),
    notes={
        "split": (
            "the folders train, test, ... where data_dir has a folder train; "
            "otherwise a stratified split into 'train' and 'test', drawn "
            "with split_seed (0), the share test_fraction (0.2) of each "
            "class for the test; 'all' is everything"
        )
    },
)

_SUFFIXES = (
    ".avif .bmp .gif .jfif .jpe .jpeg .jpg .pgm .png .ppm .tif .tiff .webp"
).split()


@register(INFO)
def open_image_folder(
    split: str,
    data_dir: pathlib.Path,
    image_size: int | tuple[int, int] | None = None,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> Source:
    """Open a folder of images, see `open_folder`.

    Which of the formats AVIF and WebP are read depends on Pillow's build.
    """
    pillow = require("PIL.Image", "Reading images", "keras_tcl[data]")
    formats = pillow.registered_extensions()
    suffixes = [suffix for suffix in _SUFFIXES if suffix in formats]
    folder = open_folder(
        INFO, split, data_dir, suffixes, split_seed, test_fraction
    )
    return ImageSource(
        folder.info,
        folder.labels[folder.rows],
        [folder.files[row] for row in folder.rows],
        image_size,
    )
