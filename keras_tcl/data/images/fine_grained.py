"""The paper's five fine-grained sets of photographs.

Official files are read here, and not by tensorflow-datasets (TFDS), which
reads by hand only archives of the one checksum, and only where TensorFlow is
installed; wants OpenCV and a further archive of masks for the birds and one of
boxes for the dogs; and has no FGVC-Aircraft. What TFDS prepared is read too,
and it downloads.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_tcl.data.catalogue import register
from keras_tcl.data.files import find_files, warn_if_incomplete
from keras_tcl.data.images.image_source import ImageSource
from keras_tcl.data.images.prepared import Remote, prepared_images
from keras_tcl.data.sources import DataInfo, Source
from keras_tcl.optional import require

# Paths of the images, labels from 0, names of the classes (or none).
Local = tuple[Sequence[pathlib.Path], Any, Sequence[str]]


def _photographs(name: str, **facts: Any) -> DataInfo:
    notes = {"mean, std": "of ImageNet, as is usual", **facts.pop("notes", {})}
    return DataInfo(
        name,
        # The paper does not state its image size; this is the common one.
        shape=(224, 224, 3),
        value_range=(0, 255),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        notes=notes,
        **facts,
    )


CUB200 = _photographs(
    "cub200",
    classes=200,
    splits={"train": 5994, "test": 5794},
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
)
STANFORD_CARS = _photographs(
    "stanford_cars",
    classes=196,
    splits={"train": 8144, "test": 8041},
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
)
AIRCRAFT_URL = (
    "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/"
    "fgvc-aircraft-2013b.tar.gz"
)
FGVC_AIRCRAFT = _photographs(
    "fgvc_aircraft",
    classes=100,
    splits={"train": 3334, "validation": 3333, "test": 3333},
    size="2.6 GiB",
    licence="non-commercial research; images by their photographers",
    citation=(
        "S. Maji, J. Kannala, E. Rahtu, M. Blaschko and A. Vedaldi, "
        "Fine-Grained Visual Classification of Aircraft, arXiv:1306.5151, "
        "2013"
    ),
    where=(
        f"{AIRCRAFT_URL}: put it, or the folder fgvc-aircraft-2013b it "
        "unpacks to, under data_dir"
    ),
    notes={
        "labels": "the variant, such as 'A340-300'",
        "split": "official; many papers train on split='train+validation'",
        "banner": "the 20 rows of credits at the bottom are cut off",
    },
)
OXFORD_FLOWERS102 = _photographs(
    "oxford_flowers102",
    classes=102,
    splits={"train": 1020, "validation": 1020, "test": 6149},
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
    },
)
STANFORD_DOGS = _photographs(
    "stanford_dogs",
    classes=120,
    splits={"train": 12000, "test": 8580},
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
)


# === What the official files say ===


def read_cub200(place: pathlib.Path, split: str) -> Local:
    """CUB-200-2011: three lists of image numbers."""
    root = place / "CUB_200_2011"
    images = dict(_read_list(root / "images.txt"))
    labels = dict(_read_list(root / "image_class_labels.txt", int))
    members = dict(_read_list(root / "train_test_split.txt", int))
    unknown = (images.keys() ^ labels.keys()) | (images.keys() ^ members)
    if unknown:
        raise ValueError(
            f"The lists in {root} do not belong together: image "
            f"{min(unknown)} is in one of images.txt, image_class_labels.txt "
            "and train_test_split.txt, and not in another."
        )
    chosen = [key for key in images if members[key] == (split == "train")]
    paths = [root / "images" / images[key] for key in chosen]
    return _named_by_folder(CUB200, paths, [labels[key] - 1 for key in chosen])


def read_stanford_cars(place: pathlib.Path, split: str) -> Local:
    """Stanford Cars: MATLAB structures of file name and class."""
    file = place / (
        "devkit/cars_train_annos.mat"
        if split == "train"
        else "cars_test_annos_withlabels.mat"
    )
    annotations = _read_mat(file, "annotations")
    fields = annotations.dtype.names or ()
    if not {"class", "fname"} <= set(fields):
        raise ValueError(
            f"{file} must have the fields `class` and `fname`. Received: "
            f"{fields}. The file without labels, which is also in the devkit, "
            "does not do."
        )
    paths = [place / f"cars_{split}" / str(n) for n in annotations["fname"]]
    labels = [int(label) - 1 for label in annotations["class"]]
    meta = place / "devkit" / "cars_meta.mat"
    names = _read_mat(meta, "class_names").tolist() if meta.exists() else []
    return paths, labels, names


def read_fgvc_aircraft(place: pathlib.Path, split: str) -> Local:
    """FGVC-Aircraft: one list a split, of image and variant."""
    root = place / "fgvc-aircraft-2013b" / "data"
    names = _read_lines(root / "variants.txt")
    short = {"validation": "val"}.get(split, split)
    file = root / f"images_variant_{short}.txt"
    images = _read_list(file)
    unknown = {variant for _, variant in images} - set(names)
    if unknown:
        raise ValueError(
            f"{file} names the variant {min(unknown)!r}, which is not in "
            "variants.txt: they do not belong together."
        )
    paths = [root / "images" / f"{number}.jpg" for number, _ in images]
    return paths, [names.index(variant) for _, variant in images], names


def read_oxford_flowers102(place: pathlib.Path, split: str) -> Local:
    """Oxford Flowers-102: MATLAB vectors; image numbers count from 1."""
    variable = {"train": "trnid", "validation": "valid", "test": "tstid"}[split]
    numbers = _read_mat(place / "setid.mat", variable).astype(int)
    labels = _read_mat(place / "imagelabels.mat", "labels").astype(int)
    if numbers.min() < 1 or numbers.max() > len(labels):
        raise ValueError(
            f"{place / 'setid.mat'} names the images {numbers.min()} to "
            f"{numbers.max()}, but imagelabels.mat has labels for 1 to "
            f"{len(labels)}: they do not belong together."
        )
    paths = [place / "jpg" / f"image_{number:05d}.jpg" for number in numbers]
    return paths, labels[numbers - 1] - 1, ()


def read_stanford_dogs(place: pathlib.Path, split: str) -> Local:
    """Stanford Dogs: MATLAB lists of files and labels."""
    file = place / "lists" / f"{split}_list.mat"
    names, labels = _read_mat(file, "file_list"), _read_mat(file, "labels")
    if len(names) != len(labels):
        raise ValueError(
            f"{file} has {len(names)} files and {len(labels)} labels: it is "
            "damaged."
        )
    paths = [place / "Images" / str(name) for name in names]
    return _named_by_folder(STANFORD_DOGS, paths, labels.astype(int) - 1)


def _read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a text file that are not blank."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text file ({error}).") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def _read_list(
    path: pathlib.Path, kind: Callable[[str], Any] = str
) -> list[tuple[str, Any]]:
    """Lines of the form `key value`, where the value may hold blanks."""
    pairs = []
    for number, line in enumerate(_read_lines(path), start=1):
        try:
            key, value = line.split(maxsplit=1)
            pairs.append((key, kind(value)))
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number}: expected a key and "
                f"{'an integer' if kind is int else 'a value'}. Received: "
                f"{line!r}. The file is damaged."
            ) from error
    return pairs


def _read_mat(path: pathlib.Path, variable: str) -> np.ndarray:
    """One variable of a MATLAB file, squeezed to a vector."""
    scipy_io = require("scipy.io", f"Reading {path.name}", "keras_tcl[data]")
    try:
        return np.atleast_1d(scipy_io.loadmat(path, squeeze_me=True)[variable])
    except Exception as error:
        # scipy raises anything from TypeError to zlib.error.
        raise ValueError(
            f"{path} holds no MATLAB variable `{variable}` "
            f"({type(error).__name__}: {error}). It is damaged or of another "
            "data set."
        ) from error


def _named_by_folder(
    info: DataInfo, paths: Sequence[pathlib.Path], labels: Any
) -> Local:
    """Class names from the images' folders; none where one is missing."""
    names = {
        int(label): path.parent.name
        for label, path in zip(labels, paths, strict=True)
    }
    whole = set(names) == set(range(info.classes))
    return paths, labels, [names[k] for k in sorted(names)] if whole else ()


# === The table ===


def fine_grained(
    info: DataInfo,
    read: Callable[[pathlib.Path, str], Local],
    required: Sequence[str],
    archives: Mapping[str, str],
    remote: Remote,
    crop_bottom: int = 0,
) -> None:
    """Register a data set of photographs.

    Args:
        info: `DataInfo`.
        read: Function of the place of the official files and the split that
            returns the paths of the images, the labels from 0 (a label out
            of range is refused later) and the names of the classes (or none).
        required: Strings, the official files and folders.
        archives: Dict of the names of the official archives to the folders
            to unpack them in.
        remote: `Remote`.
        crop_bottom: Int, rows to cut off the bottom of every image.
    """

    @register(info)
    def open(
        split: str,
        data_dir: pathlib.Path,
        image_size: int | tuple[int, int] | None = info.shape[0],
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
            warn_if_incomplete(info, split, len(labels), place)
            missing = [image for image in images if not image.is_file()]
            if missing:
                raise ValueError(
                    f"`{info.name}` is incomplete: {len(missing)} of "
                    f"{len(images)} images are missing, first {missing[0]}. "
                    "Unpack the archive again."
                )
        opened = info.replace(class_names=tuple(names) or info.class_names)
        return ImageSource(opened, labels, images, image_size, crop_bottom)


fine_grained(
    CUB200,
    read_cub200,
    [
        "CUB_200_2011/images.txt",
        "CUB_200_2011/image_class_labels.txt",
        "CUB_200_2011/train_test_split.txt",
        "CUB_200_2011/images",
    ],
    {"CUB_200_2011.tgz": ""},
    Remote(
        "caltech_birds2011",
        "https://data.caltech.edu",
        needs={"cv2": "opencv-python-headless", "tensorflow": "tensorflow-cpu"},
    ),
)
fine_grained(
    STANFORD_CARS,
    read_stanford_cars,
    [
        "cars_train",
        "cars_test",
        "devkit/cars_train_annos.mat",
        "cars_test_annos_withlabels.mat",
    ],
    {"cars_train.tgz": "", "cars_test.tgz": "", "car_devkit.tgz": ""},
    Remote("cars196", "https://ai.stanford.edu"),
)
fine_grained(
    FGVC_AIRCRAFT,
    read_fgvc_aircraft,
    [
        "fgvc-aircraft-2013b/data/images_variant_train.txt",
        "fgvc-aircraft-2013b/data/images_variant_val.txt",
        "fgvc-aircraft-2013b/data/images_variant_test.txt",
        "fgvc-aircraft-2013b/data/variants.txt",
        "fgvc-aircraft-2013b/data/images",
    ],
    {"fgvc-aircraft-2013b.tar.gz": ""},
    Remote(
        "fgvc_aircraft",
        AIRCRAFT_URL,
        # Imports TFDS, which is optional.
        module="keras_tcl.data.images.fgvc_aircraft_builder",
        needs={},
    ),
    crop_bottom=20,
)
fine_grained(
    OXFORD_FLOWERS102,
    read_oxford_flowers102,
    ["jpg", "imagelabels.mat", "setid.mat"],
    {"102flowers.tgz": ""},
    Remote("oxford_flowers102", "https://www.robots.ox.ac.uk"),
)
fine_grained(
    STANFORD_DOGS,
    read_stanford_dogs,
    ["Images", "lists/train_list.mat", "lists/test_list.mat"],
    {"images.tar": "", "lists.tar": "lists"},
    Remote("stanford_dogs", "http://vision.stanford.edu"),
)
