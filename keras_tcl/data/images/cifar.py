"""CIFAR-10 and CIFAR-100.

The binary version is read here: tensorflow-datasets (TFDS) unpacks its archive
only where TensorFlow is installed, and `keras.datasets` reads another version.
What TFDS prepared is read too, and it downloads.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.data.catalogue import register
from keras_tcl.data.files import find_files, warn_if_incomplete
from keras_tcl.data.images.image_source import ImageSource
from keras_tcl.data.images.prepared import Remote, prepared_images
from keras_tcl.data.sources import ArraySource, DataInfo, Source

_PIXELS = 3 * 32 * 32
_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"


def _cifar(number: int, folder: str, **facts: Any) -> DataInfo:
    return DataInfo(
        name=f"cifar{number}",
        classes=number,
        shape=(32, 32, 3),
        splits={"train": 50000, "test": 10000},
        value_range=(0, 255),
        licence="none stated; cite the technical report",
        citation=(
            "A. Krizhevsky, Learning Multiple Layers of Features from Tiny "
            "Images, technical report, University of Toronto, 2009"
        ),
        where=(
            f"the binary version from {_PAGE}: put cifar-{number}-binary."
            f"tar.gz, or the folder {folder} it unpacks to, under data_dir"
        ),
        **facts,
    )


INFO10 = _cifar(
    10,
    "cifar-10-batches-bin",
    class_names=tuple(
        "airplane automobile bird cat deer dog frog horse ship truck".split()
    ),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    size="162 MiB",
    notes={
        "std": (
            "std is the published one, the mean over images of each image's "
            "standard deviation; that of all pixels together is "
            "(0.2470, 0.2435, 0.2616)"
        )
    },
)
INFO100 = _cifar(
    100,
    "cifar-100-binary",
    class_names=tuple(
        """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle
        bowl boy bridge bus butterfly camel can castle caterpillar cattle
        chair chimpanzee clock cloud cockroach couch crab crocodile cup
        dinosaur dolphin elephant flatfish forest fox girl hamster house
        kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man
        maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid
        otter palm_tree pear pickup_truck pine_tree plain plate poppy
        porcupine possum rabbit raccoon ray road rocket rose sea seal shark
        shrew skunk skyscraper snail snake spider squirrel streetcar
        sunflower sweet_pepper table tank telephone television tiger tractor
        train trout tulip turtle wardrobe whale willow_tree wolf woman
        worm""".split()
    ),
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
    size="161 MiB",
    notes={"labels": "labels='fine' (100 classes) or 'coarse' (20)"},
)

_COARSE = tuple(
    """aquatic_mammals fish flowers food_containers fruit_and_vegetables
    household_electrical_devices household_furniture insects large_carnivores
    large_man-made_outdoor_things large_natural_outdoor_scenes
    large_omnivores_and_herbivores medium_mammals non-insect_invertebrates
    people reptiles small_mammals trees vehicles_1 vehicles_2""".split()
)

_FILES10 = {
    "train": [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)],
    "test": ["cifar-10-batches-bin/test_batch.bin"],
}
_FILES100 = {
    "train": ["cifar-100-binary/train.bin"],
    "test": ["cifar-100-binary/test.bin"],
}


@register(INFO10)
def open_cifar10(split: str, data_dir: pathlib.Path) -> Source:
    """Open CIFAR-10."""
    return _open(
        INFO10, split, data_dir, _FILES10, "cifar-10-binary.tar.gz", 1, 0
    )


@register(INFO100)
def open_cifar100(
    split: str, data_dir: pathlib.Path, labels: str = "fine"
) -> Source:
    """Open CIFAR-100 with its 100 fine or its 20 coarse labels."""
    checks.choice("labels", labels, ("fine", "coarse"))
    archive = "cifar-100-binary.tar.gz"
    if labels == "fine":
        return _open(INFO100, split, data_dir, _FILES100, archive, 2, 1)
    info = INFO100.replace(classes=20, class_names=_COARSE)
    return _open(
        info, split, data_dir, _FILES100, archive, 2, 0, "coarse_label"
    )


def _open(
    info: DataInfo,
    split: str,
    data_dir: pathlib.Path,
    files: dict[str, list[str]],
    archive: str,
    label_bytes: int,
    label_byte: int,
    label_key: str = "label",
) -> Source:
    required = files["train"] + files["test"]
    place = find_files(data_dir, info.name, required, {archive: ""})
    if place is None:
        images, labels, _ = prepared_images(
            Remote(info.name, _PAGE), info, split, data_dir, label_key
        )
        # They are small: decoded once, into memory.
        decoded = ImageSource(info, labels, images, image_size=32)
        x, labels = decoded.read(range(len(decoded)))
    else:
        paths = [place / file for file in files[split]]
        x, labels = _read_binary(paths, label_bytes, label_byte)
        warn_if_incomplete(info, split, len(labels), place)
    return ArraySource(info, x, labels)


def _read_binary(
    paths: Sequence[pathlib.Path], label_bytes: int, label_byte: int
) -> tuple[np.ndarray, np.ndarray]:
    """Read records of label bytes and 3,072 pixels, plane by plane."""
    record = label_bytes + _PIXELS
    images, labels = [], []
    for path in paths:
        raw = np.fromfile(path, "uint8")
        if not len(raw) or len(raw) % record:
            raise ValueError(
                f"{path} is truncated or no CIFAR file: its size must be a "
                f"multiple of {record} bytes. Received: {len(raw)} bytes."
            )
        raw = raw.reshape(-1, record)
        labels.append(raw[:, label_byte])
        planes = raw[:, label_bytes:].reshape(-1, 3, 32, 32)
        images.append(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))
    return np.concatenate(images), np.concatenate(labels)
