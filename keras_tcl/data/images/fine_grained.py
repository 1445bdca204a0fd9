"""What the five fine-grained data sets have in common."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_tcl.data.dataset import Dataset
from keras_tcl.data.image_source import ImageSource
from keras_tcl.data.images.counts import check_count
from keras_tcl.data.images.prepared import Remote, prepared_images
from keras_tcl.data.info import DataInfo
from keras_tcl.data.local import find_files
from keras_tcl.data.source import Source

# Of ImageNet, as is usual for photographs at this size.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# The paper does not state its image size; this is the common one.
IMAGE_SIZE = 224

# Paths of the images, labels, names of the classes.
Local = tuple[Sequence[pathlib.Path], Any, Sequence[str]]


def fine_grained(
    info: DataInfo,
    required: Sequence[str],
    archives: Mapping[str, str],
    read: Callable[[pathlib.Path, str], Local],
    remote: Remote,
    crop_bottom: int = 0,
) -> Dataset:
    """A data set of photographs, from official files or through TFDS.

    Args:
        info: `DataInfo`.
        required: Strings, the official files and folders.
        archives: Dict of the names of the official archives to the folders
            to unpack them in.
        read: Function of the place of the official files and the split that
            returns the paths of the images, the labels from 0 (a label out
            of range is refused later) and the names of the classes (or none).
        remote: `Remote`.
        crop_bottom: Int, rows to cut off the bottom of every image.

    Returns:
        A `Dataset` whose `open` takes `image_size`, an integer (the shorter
        side is resized to it and the centre cropped), a pair `(height,
        width)`, or `None` for the original sizes, which do not make batches
        unless they agree. Defaults to `224`.
    """

    def open(
        split: str,
        data_dir: pathlib.Path,
        image_size: int | tuple[int, int] | None = IMAGE_SIZE,
    ) -> Source:
        place = find_files(data_dir, info.name, required, archives)
        images: Sequence[Any]
        names: Sequence[str]
        if place is None:
            images, labels, names = prepared_images(
                remote, info, split, data_dir
            )
        else:
            images, labels, names = read(place, split)
            check_count(info, split, len(labels), place)
            _check_files(info, images)
        opened = info.replace(class_names=tuple(names) or info.class_names)
        return ImageSource(opened, labels, images, image_size, crop_bottom)

    return Dataset(info, open)


def folder_names(
    paths: Sequence[pathlib.Path], labels: Any, classes: int
) -> tuple[str, ...]:
    """Class names from the folders of the images; none where one is missing."""
    names = {
        int(label): path.parent.name
        for label, path in zip(labels, paths, strict=True)
    }
    if set(names) != set(range(classes)):
        return ()
    return tuple(names[label] for label in range(classes))


def _check_files(info: DataInfo, images: Sequence[pathlib.Path]) -> None:
    missing = [image for image in images if not image.is_file()]
    if missing:
        raise ValueError(
            f"`{info.name}` is incomplete: {len(missing)} of {len(images)} "
            f"images are missing, first {missing[0]}. Unpack the archive "
            "again."
        )
