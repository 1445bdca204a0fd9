"""Oxford Flowers-102."""

import pathlib

import numpy as np

from keras_tcl.data.images.annotations import read_mat
from keras_tcl.data.images.fine_grained import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Local,
    fine_grained,
)
from keras_tcl.data.images.prepared import Remote
from keras_tcl.data.info import DataInfo

INFO = DataInfo(
    name="oxford_flowers102",
    classes=102,
    shape=(224, 224, 3),
    splits={"train": 1020, "validation": 1020, "test": 6149},
    value_range=(0, 255),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    size="329 MiB",
    licence="none stated; cite the paper",
    citation=(
        "M.-E. Nilsback and A. Zisserman, Automated Flower Classification "
        "over a Large Number of Classes, ICVGIP 2008"
    ),
    where=(
        "from https://www.robots.ox.ac.uk/~vgg/data/flowers/102/: put "
        "102flowers.tgz (or the folder jpg it unpacks to), imagelabels.mat "
        "and setid.mat under data_dir/oxford_flowers102"
    ),
    notes={
        "split": (
            "official; many papers train on split='train+validation', and "
            "some on the larger test part"
        ),
        "mean, std": "of ImageNet, as is usual",
    },
)

_VARIABLES = {"train": "trnid", "validation": "valid", "test": "tstid"}


def read_oxford_flowers102(place: pathlib.Path, split: str) -> Local:
    """The images of a split; image numbers count from 1."""
    setid = read_mat(place / "setid.mat", _VARIABLES[split], INFO.name)
    all_labels = np.atleast_1d(
        read_mat(place / "imagelabels.mat", "labels", INFO.name)
    )
    numbers = np.atleast_1d(setid).astype(int)
    if numbers.min() < 1 or numbers.max() > len(all_labels):
        raise ValueError(
            f"{place / 'setid.mat'} names the images {numbers.min()} to "
            f"{numbers.max()}, but imagelabels.mat has labels for 1 to "
            f"{len(all_labels)}: they do not belong together."
        )
    paths = [place / "jpg" / f"image_{number:05d}.jpg" for number in numbers]
    return paths, all_labels[numbers - 1].astype(int) - 1, ()


OXFORD_FLOWERS102 = fine_grained(
    INFO,
    required=["jpg", "imagelabels.mat", "setid.mat"],
    archives={"102flowers.tgz": ""},
    read=read_oxford_flowers102,
    remote=Remote("oxford_flowers102", "https://www.robots.ox.ac.uk"),
)
