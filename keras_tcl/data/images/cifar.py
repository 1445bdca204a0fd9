"""CIFAR-10 and CIFAR-100.

The binary and the python version are read here: tensorflow-datasets (TFDS)
unpacks the archive only where TensorFlow is installed, and `keras.datasets`
runs what the pickles of the python version say. What TFDS prepared is read
too, and it downloads.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.data.catalogue import register
from keras_tcl.data.files import find_files, warn_if_incomplete
from keras_tcl.data.images.cifar_python import read_python
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
            f"tar.gz, or the folder {folder} it unpacks to, under data_dir "
            "(the python version does as well)"
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

_Files = dict[str, list[str]]

# By data set: the binary files and their archive, then the python version's.
_RELEASES: dict[str, tuple[_Files, str, _Files, str]] = {
    "cifar10": (
        {
            "train": [
                f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)
            ],
            "test": ["cifar-10-batches-bin/test_batch.bin"],
        },
        "cifar-10-binary.tar.gz",
        {
            "train": [
                f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)
            ],
            "test": ["cifar-10-batches-py/test_batch"],
        },
        "cifar-10-python.tar.gz",
    ),
    "cifar100": (
        {
            "train": ["cifar-100-binary/train.bin"],
            "test": ["cifar-100-binary/test.bin"],
        },
        "cifar-100-binary.tar.gz",
        {
            "train": ["cifar-100-python/train"],
            "test": ["cifar-100-python/test"],
        },
        "cifar-100-python.tar.gz",
    ),
}

# By TFDS's name: bytes of labels in a record, which of them it is, and its
# name in the python version.
_LABELS = {
    ("cifar10", "label"): (1, 0, "labels"),
    ("cifar100", "label"): (2, 1, "fine_labels"),
    ("cifar100", "coarse_label"): (2, 0, "coarse_labels"),
}


@register(INFO10)
def open_cifar10(split: str, data_dir: pathlib.Path) -> Source:
    """Open CIFAR-10."""
    return _open(INFO10, split, data_dir)


@register(INFO100)
def open_cifar100(
    split: str, data_dir: pathlib.Path, labels: str = "fine"
) -> Source:
    """Open CIFAR-100 with its 100 fine or its 20 coarse labels."""
    checks.choice("labels", labels, ("fine", "coarse"))
    if labels == "fine":
        return _open(INFO100, split, data_dir)
    info = INFO100.replace(classes=20, class_names=_COARSE)
    return _open(info, split, data_dir, "coarse_label")


def _open(
    info: DataInfo, split: str, data_dir: pathlib.Path, label: str = "label"
) -> Source:
    binary, archive, python, python_archive = _RELEASES[info.name]
    label_bytes, label_byte, python_label = _LABELS[info.name, label]

    def find(files: _Files, archive: str) -> pathlib.Path | None:
        required = files["train"] + files["test"]
        return find_files(data_dir, info.name, required, {archive: ""})

    if place := find(binary, archive):
        paths = [place / file for file in binary[split]]
        x, labels = _read_binary(paths, label_bytes, label_byte)
    elif place := find(python, python_archive):
        paths = [place / file for file in python[split]]
        x, labels = read_python(paths, python_label)
    else:
        images, labels, _ = prepared_images(
            Remote(info.name, _PAGE), info, split, data_dir, label
        )
        # They are small: decoded once, into memory.
        decoded = ImageSource(info, labels, images, image_size=32)
        x, labels = decoded.read(range(len(decoded)))
        return ArraySource(info, x, labels)
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
                f"multiple of {record} bytes. Received: {len(raw)} bytes. "
                "(Files of the python version belong into a folder of their "
                "own, as their archive has it.)"
            )
        raw = raw.reshape(-1, record)
        labels.append(raw[:, label_byte])
        planes = raw[:, label_bytes:].reshape(-1, 3, 32, 32)
        images.append(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))
    return np.concatenate(images), np.concatenate(labels)
