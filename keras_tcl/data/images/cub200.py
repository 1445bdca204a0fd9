"""Caltech-UCSD Birds-200-2011."""

import pathlib

from keras_tcl.data.images.annotations import read_integers, read_list
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
    name="cub200",
    classes=200,
    shape=(224, 224, 3),
    splits={"train": 5994, "test": 5794},
    value_range=(0, 255),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    size="1.1 GiB",
    licence="non-commercial research and education; images by their owners",
    citation=(
        "C. Wah, S. Branson, P. Welinder, P. Perona and S. Belongie, The "
        "Caltech-UCSD Birds-200-2011 Dataset, technical report "
        "CNS-TR-2011-001, California Institute of Technology, 2011"
    ),
    where=(
        "from https://data.caltech.edu/records/65de6-vp158: put "
        "CUB_200_2011.tgz, or the folder CUB_200_2011 it unpacks to, under "
        "data_dir"
    ),
    notes={"mean, std": "of ImageNet, as is usual"},
)

_FOLDER = "CUB_200_2011"


def read_cub200(place: pathlib.Path, split: str) -> Local:
    """The images of a split, from the lists of the official release."""
    root = place / _FOLDER
    wanted = 1 if split == "train" else 0
    images = dict(read_list(root / "images.txt"))
    classes = read_integers(root / "image_class_labels.txt")
    members = read_integers(root / "train_test_split.txt")
    unknown = (images.keys() ^ classes.keys()) | (images.keys() ^ members)
    if unknown:
        raise ValueError(
            f"The lists in {root} do not belong together: image "
            f"{min(unknown)} is in one of images.txt, image_class_labels.txt "
            "and train_test_split.txt, and not in another."
        )
    chosen = [key for key in images if members[key] == wanted]
    paths = [root / "images" / images[key] for key in chosen]
    labels = [classes[key] - 1 for key in chosen]
    return paths, labels, folder_names(paths, labels, INFO.classes)


CUB200 = fine_grained(
    INFO,
    required=[
        f"{_FOLDER}/{name}"
        for name in (
            "images.txt",
            "image_class_labels.txt",
            "train_test_split.txt",
            "images",
        )
    ],
    archives={"CUB_200_2011.tgz": ""},
    read=read_cub200,
    remote=Remote(
        "caltech_birds2011",
        "https://data.caltech.edu",
        needs={"cv2": "opencv-python-headless"},
    ),
)
