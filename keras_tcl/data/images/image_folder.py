"""A folder of images of one's own, one folder a class."""

import pathlib

import numpy as np

from keras_tcl.data.dataset import Dataset
from keras_tcl.data.image_source import ImageSource
from keras_tcl.data.info import DataInfo
from keras_tcl.data.source import Source
from keras_tcl.data.splits import stratified_order

INFO = DataInfo(
    name="image_folder",
    classes=0,
    shape=(None, None, 3),
    splits={},
    value_range=(0, 255),
    where=(
        "data_dir/<class>/<image>, or data_dir/train/<class>/<image> and "
        "data_dir/test/<class>/<image> (and any further split beside them)"
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

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def open_image_folder(
    split: str,
    data_dir: pathlib.Path,
    image_size: int | tuple[int, int] | None = None,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> Source:
    """Open a folder of images; classes are numbered by name.

    Raises:
        ValueError: where there is no class, a class folder has no image, a
            split does not exist, or a split has a class that `train` lacks.
    """
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(
            "`test_fraction` must lie between 0 and 1. Received: "
            f"test_fraction={test_fraction}."
        )
    if (data_dir / "train").is_dir():
        names = _folders(data_dir / "train")
        if split not in _folders(data_dir):
            raise ValueError(
                f"`split` must be one of the folders {_folders(data_dir)} of "
                f"{data_dir}. Received: split={split!r}."
            )
        unknown = set(_folders(data_dir / split)) - set(names)
        if unknown:
            raise ValueError(
                f"{data_dir / split} has the class {min(unknown)!r}, which "
                f"{data_dir / 'train'} lacks."
            )
        images, labels = _list(data_dir / split, names)
    else:
        names = _folders(data_dir)
        images, labels = _list(data_dir, names)
        chosen = _split(np.asarray(labels), split, test_fraction, split_seed)
        images = [images[index] for index in chosen]
        labels = [labels[index] for index in chosen]
    info = INFO.replace(
        classes=len(names),
        class_names=tuple(names),
        splits={split: len(images)},
    )
    return ImageSource(info, labels, images, image_size)


def _folders(root: pathlib.Path) -> list[str]:
    names = sorted(
        path.name
        for path in (root.iterdir() if root.is_dir() else ())
        if path.is_dir() and not path.name.startswith(".")
    )
    if not names:
        raise ValueError(
            f"`data_dir` must be a folder with one folder of images for each "
            f"class. {root} has none."
        )
    return names


def _list(
    root: pathlib.Path, names: list[str]
) -> tuple[list[pathlib.Path], list[int]]:
    images, labels = [], []
    for label, name in enumerate(names):
        if not (root / name).is_dir():  # A test split may lack a class.
            continue
        found = sorted(
            path
            for path in (root / name).iterdir()
            if path.suffix.lower() in _SUFFIXES
            and not path.name.startswith(".")
        )
        if not found:
            raise ValueError(
                f"The class folder {root / name} holds no image "
                f"({', '.join(sorted(_SUFFIXES))}). Fill or remove it."
            )
        images += found
        labels += [label] * len(found)
    return images, labels


def _split(
    labels: np.ndarray, split: str, test_fraction: float, split_seed: int
) -> np.ndarray:
    """The indices of a seeded, stratified split, in order."""
    if split == "all":
        return np.arange(len(labels))
    if split not in ("train", "test"):
        raise ValueError(
            "`split` must be 'train', 'test' or 'all' for a folder without "
            f"subfolders for the splits. Received: split={split!r}."
        )
    drawn = np.random.default_rng(split_seed).permutation(len(labels))
    order = drawn[stratified_order(labels[drawn])]
    tests = round(len(labels) * test_fraction)
    chosen = order[:tests] if split == "test" else order[tests:]
    return np.sort(chosen)


IMAGE_FOLDER = Dataset(INFO, open_image_folder)
