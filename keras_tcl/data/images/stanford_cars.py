"""Stanford Cars."""

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
    name="stanford_cars",
    classes=196,
    shape=(224, 224, 3),
    splits={"train": 8144, "test": 8041},
    value_range=(0, 255),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    size="1.8 GiB",
    licence="non-commercial research",
    citation=(
        "J. Krause, M. Stark, J. Deng and L. Fei-Fei, 3D Object "
        "Representations for Fine-Grained Categorization, 3dRR workshop, "
        "ICCV 2013"
    ),
    where=(
        "put under data_dir/stanford_cars the official cars_train/, "
        "cars_test/, devkit/ and cars_test_annos_withlabels.mat, or the "
        "archives cars_train.tgz, cars_test.tgz and car_devkit.tgz beside "
        "that .mat file. The official page, "
        "https://ai.stanford.edu/~jkrause/cars/car_dataset.html, has been "
        "reported gone; mirrors keep the files"
    ),
    notes={"mean, std": "of ImageNet, as is usual"},
)

_TEST = "cars_test_annos_withlabels.mat"


def read_stanford_cars(place: pathlib.Path, split: str) -> Local:
    """The images of a split, from the official devkit."""
    if split == "train":
        annotations_file = place / "devkit" / "cars_train_annos.mat"
    else:
        annotations_file = place / _TEST
    annotations = np.atleast_1d(
        read_mat(annotations_file, "annotations", INFO.name)
    )
    fields = annotations.dtype.names or ()
    if not {"class", "fname"} <= set(fields):
        raise ValueError(
            f"{annotations_file} must have the fields `class` and `fname`. "
            f"Received: {fields}. The file without labels, which is also in "
            "the devkit, does not do."
        )
    folder = place / f"cars_{split}"
    paths = [folder / str(name) for name in annotations["fname"]]
    labels = [int(label) - 1 for label in annotations["class"]]
    meta = place / "devkit" / "cars_meta.mat"
    names = (
        np.atleast_1d(read_mat(meta, "class_names", INFO.name)).tolist()
        if meta.exists()
        else []
    )
    return paths, labels, names


STANFORD_CARS = fine_grained(
    INFO,
    required=["cars_train", "cars_test", "devkit/cars_train_annos.mat", _TEST],
    archives={"cars_train.tgz": "", "cars_test.tgz": "", "car_devkit.tgz": ""},
    read=read_stanford_cars,
    remote=Remote("cars196", "https://ai.stanford.edu"),
)
