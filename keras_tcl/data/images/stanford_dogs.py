"""Stanford Dogs."""

import pathlib

import numpy as np

from keras_tcl.data.images.annotations import read_mat
from keras_tcl.data.images.fine_grained import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Local,
    fine_grained,
    folder_names,
)
from keras_tcl.data.images.prepared import Remote
from keras_tcl.data.info import DataInfo

INFO = DataInfo(
    name="stanford_dogs",
    classes=120,
    shape=(224, 224, 3),
    splits={"train": 12000, "test": 8580},
    value_range=(0, 255),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    size="757 MiB",
    licence="that of ImageNet: non-commercial research and education",
    citation=(
        "A. Khosla, N. Jayadevaprakash, B. Yao and L. Fei-Fei, Novel Dataset "
        "for Fine-Grained Image Categorization, FGVC workshop, CVPR 2011"
    ),
    where=(
        "from http://vision.stanford.edu/aditya86/ImageNetDogs/: put "
        "images.tar (or the folder Images it unpacks to) and lists.tar (or "
        "its train_list.mat and test_list.mat, in a folder lists) under "
        "data_dir/stanford_dogs"
    ),
    notes={"mean, std": "of ImageNet, as is usual"},
)


def read_stanford_dogs(place: pathlib.Path, split: str) -> Local:
    """The images of a split, from the official lists."""
    file = place / "lists" / f"{split}_list.mat"
    names = np.atleast_1d(read_mat(file, "file_list", INFO.name))
    labels = np.atleast_1d(read_mat(file, "labels", INFO.name))
    if len(names) != len(labels):
        raise ValueError(
            f"{file} has {len(names)} files and {len(labels)} labels: it is "
            "damaged."
        )
    paths = [place / "Images" / str(name) for name in names]
    labels = labels.astype(int) - 1
    return paths, labels, folder_names(paths, labels, INFO.classes)


STANFORD_DOGS = fine_grained(
    INFO,
    required=["Images", "lists/train_list.mat", "lists/test_list.mat"],
    archives={"images.tar": "", "lists.tar": "lists"},
    read=read_stanford_dogs,
    remote=Remote("stanford_dogs", "http://vision.stanford.edu"),
)
