"""FGVC-Aircraft, with the variant as the label."""

import pathlib

from keras_tcl.data.images.annotations import read_lines, read_list
from keras_tcl.data.images.fine_grained import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Local,
    fine_grained,
)
from keras_tcl.data.images.prepared import Remote
from keras_tcl.data.info import DataInfo

URL = (
    "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/"
    "fgvc-aircraft-2013b.tar.gz"
)
INFO = DataInfo(
    name="fgvc_aircraft",
    classes=100,
    shape=(224, 224, 3),
    splits={"train": 3334, "validation": 3333, "test": 3333},
    value_range=(0, 255),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    size="2.6 GiB",
    licence="non-commercial research; images by their photographers",
    citation=(
        "S. Maji, J. Kannala, E. Rahtu, M. Blaschko and A. Vedaldi, "
        "Fine-Grained Visual Classification of Aircraft, arXiv:1306.5151, "
        "2013"
    ),
    where=(
        f"{URL}: put it, or the folder fgvc-aircraft-2013b it unpacks to, "
        "under data_dir"
    ),
    notes={
        "labels": "the variant, such as 'A340-300'",
        "split": ("official; many papers train on split='train+validation'"),
        "banner": "the 20 rows of credits at the bottom are cut off",
        "mean, std": "of ImageNet, as is usual",
    },
)
BANNER = 20

_FOLDER = "fgvc-aircraft-2013b/data"
_LISTS = {"train": "train", "validation": "val", "test": "test"}


def read_fgvc_aircraft(place: pathlib.Path, split: str) -> Local:
    """The images of a split, from the lists of the official release."""
    root = place / _FOLDER
    names = read_lines(root / "variants.txt")
    file = root / f"images_variant_{_LISTS[split]}.txt"
    images = read_list(file)
    unknown = {variant for _, variant in images} - set(names)
    if unknown:
        raise ValueError(
            f"{file} names the variant {min(unknown)!r}, which is not in "
            "variants.txt: they do not belong together."
        )
    paths = [root / "images" / f"{number}.jpg" for number, _ in images]
    return paths, [names.index(variant) for _, variant in images], names


FGVC_AIRCRAFT = fine_grained(
    INFO,
    required=[
        f"{_FOLDER}/{name}"
        for name in (
            "images_variant_train.txt",
            "images_variant_val.txt",
            "images_variant_test.txt",
            "variants.txt",
            "images",
        )
    ],
    archives={"fgvc-aircraft-2013b.tar.gz": ""},
    read=read_fgvc_aircraft,
    remote=Remote(
        "fgvc_aircraft",
        URL,
        # Imports TFDS, which is optional.
        module="keras_tcl.data.images.fgvc_aircraft_builder",
    ),
    crop_bottom=BANNER,
)
