"""CIFAR-10 and CIFAR-100."""

import pathlib
from collections.abc import Sequence

import numpy as np

from keras_tcl.data.array_source import ArraySource
from keras_tcl.data.dataset import Dataset
from keras_tcl.data.image_source import ImageSource
from keras_tcl.data.images.counts import check_count
from keras_tcl.data.images.prepared import Remote, prepared_images
from keras_tcl.data.info import DataInfo
from keras_tcl.data.local import find_files
from keras_tcl.data.source import Source

_PIXELS = 3 * 32 * 32
_CITATION = (
    "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, "
    "technical report, University of Toronto, 2009"
)
_LICENCE = "none stated; cite the technical report"
_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_STD = (
    "std is the published one, the mean over images of each image's standard "
    "deviation; that of all pixels together is "
)

INFO10 = DataInfo(
    name="cifar10",
    classes=10,
    class_names=tuple(
        "airplane automobile bird cat deer dog frog horse ship truck".split()
    ),
    shape=(32, 32, 3),
    splits={"train": 50000, "test": 10000},
    value_range=(0, 255),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    size="162 MiB",
    licence=_LICENCE,
    citation=_CITATION,
    where=(
        f"the binary version from {_PAGE}: put cifar-10-binary.tar.gz, or "
        "the folder cifar-10-batches-bin it unpacks to, under data_dir"
    ),
    notes={"std": _STD + "(0.2470, 0.2435, 0.2616)"},
)

INFO100 = DataInfo(
    name="cifar100",
    classes=100,
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
    shape=(32, 32, 3),
    splits={"train": 50000, "test": 10000},
    value_range=(0, 255),
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
    size="161 MiB",
    licence=_LICENCE,
    citation=_CITATION,
    where=(
        f"the binary version from {_PAGE}: put cifar-100-binary.tar.gz, or "
        "the folder cifar-100-binary it unpacks to, under data_dir"
    ),
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


def open_cifar10(split: str, data_dir: pathlib.Path) -> Source:
    """Open CIFAR-10 from the binary version, or else through TFDS."""
    return _open(
        INFO10,
        split,
        data_dir,
        _FILES10,
        archive="cifar-10-binary.tar.gz",
        label_bytes=1,
        label_byte=0,
        label_key="label",
    )


def open_cifar100(
    split: str, data_dir: pathlib.Path, labels: str = "fine"
) -> Source:
    """Open CIFAR-100 with its 100 fine or its 20 coarse labels."""
    if labels not in ("fine", "coarse"):
        raise ValueError(
            "`labels` must be 'fine' (100 classes) or 'coarse' (20). "
            f"Received: labels={labels!r}."
        )
    fine = labels == "fine"
    return _open(
        INFO100 if fine else INFO100.replace(classes=20, class_names=_COARSE),
        split,
        data_dir,
        _FILES100,
        archive="cifar-100-binary.tar.gz",
        label_bytes=2,
        label_byte=1 if fine else 0,
        label_key="label" if fine else "coarse_label",
    )


def _open(
    info: DataInfo,
    split: str,
    data_dir: pathlib.Path,
    files: dict[str, list[str]],
    archive: str,
    label_bytes: int,
    label_byte: int,
    label_key: str,
) -> Source:
    required = files["train"] + files["test"]
    place = find_files(data_dir, info.name, required, {archive: ""})
    if place is None:
        remote = Remote(info.name, _PAGE)
        images, labels, _ = prepared_images(
            remote, info, split, data_dir, label_key
        )
        # They are small: decoded once, into memory.
        decoded = ImageSource(info, labels, images, image_size=32)
        x, labels = decoded.read(range(len(decoded)))
    else:
        paths = [place / file for file in files[split]]
        x, labels = _read_binary(paths, label_bytes, label_byte)
        check_count(info, split, len(labels), place)
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


CIFAR10 = Dataset(INFO10, open_cifar10)
CIFAR100 = Dataset(INFO100, open_cifar100)
