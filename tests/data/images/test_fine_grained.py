"""The five fine-grained data sets in their official layouts."""

import shutil

import numpy as np
import pytest
from PIL import Image

from keras_tcl import data
from tests.data import samples

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:.*official release"),
]
LABELS = {
    "cub200": {"train": [0, 1, 199], "test": [0, 1, 199]},
    "stanford_cars": {"train": [0, 13, 195], "test": [1, 194]},
    "fgvc_aircraft": {"train": [0, 1], "validation": [2, 3], "test": [0, 1]},
    "oxford_flowers102": {
        "train": [101, 0],
        "validation": [2, 3],
        "test": [4, 5],
    },
    "stanford_dogs": {"train": [0, 119], "test": [0, 119]},
}
FOLDERS = {
    "cub200": "CUB_200_2011",
    "stanford_cars": "stanford_cars",
    "fgvc_aircraft": "fgvc-aircraft-2013b",
    "oxford_flowers102": "oxford_flowers102",
    "stanford_dogs": "stanford_dogs",
}


def write(name, root):
    getattr(samples, f"write_{name}")(root)
    return root / FOLDERS[name]


@pytest.mark.parametrize("name", LABELS)
def test_official_layout(tmp_path, name):
    write(name, tmp_path)
    for split, labels in LABELS[name].items():
        source = data.source(name, split, tmp_path, image_size=16)
        assert source.labels.tolist() == labels
        x, y = source.read(range(len(labels)))
        assert x.shape == (len(labels), 16, 16, 3) and y.tolist() == labels


@pytest.mark.parametrize("name", LABELS)
def test_default_image_size(tmp_path, name):
    write(name, tmp_path)
    source = data.source(name, "train", tmp_path)
    assert source.element_shape == data.info(name).shape == (224, 224, 3)


@pytest.mark.parametrize("name", LABELS)
def test_batches(tmp_path, name):
    write(name, tmp_path)
    train = data.load(name, "train", 2, tmp_path, image_size=(12, 16))
    x, y = next(iter(train))
    assert x.shape == (2, 12, 16, 3)
    assert set(np.asarray(y)) <= set(LABELS[name]["train"])


def test_the_right_pixels(tmp_path):
    folder = write("cub200", tmp_path)
    x, _ = data.source("cub200", "test", tmp_path, image_size=None).read([1])
    path = folder / "images" / "002.Bird_2" / "Bird_2_1.jpg"
    assert np.array_equal(x[0], np.asarray(Image.open(path)))


def test_original_sizes(tmp_path):
    write("stanford_dogs", tmp_path)
    source = data.source("stanford_dogs", "test", tmp_path, image_size=None)
    assert source.element_shape == (30, 40, 3)


def test_joined_splits(tmp_path):
    write("oxford_flowers102", tmp_path)
    source = data.source(
        "oxford_flowers102", "train+val", tmp_path, image_size=8
    )
    assert source.labels.tolist() == [101, 0, 2, 3]


@pytest.mark.parametrize("image_size", [None, 24])
def test_the_banner_of_the_aircraft_is_cut_off(tmp_path, image_size):
    write("fgvc_aircraft", tmp_path)
    source = data.source(
        "fgvc_aircraft", "test", tmp_path, image_size=image_size
    )
    x, _ = source.read([0, 1])
    assert x.shape[1:] == ((64, 60, 3) if image_size is None else (24, 24, 3))
    assert np.abs(x.astype(int) - [100, 0, 0]).max() < 40  # No white rows.


def test_names_of_the_aircraft(tmp_path):
    write("fgvc_aircraft", tmp_path)
    names = data.source("fgvc_aircraft", "test", tmp_path).info.class_names
    assert names[:3] == ("707-320", "A340-300", "Boeing 717")


def test_names_of_the_cars(tmp_path):
    write("stanford_cars", tmp_path)
    names = data.source("stanford_cars", "test", tmp_path).info.class_names
    assert len(names) == 196 and names[5] == "Car 5"


@pytest.mark.parametrize("name", ["cub200", "fgvc_aircraft"])
def test_archive(tmp_path, name):
    folder = write(name, tmp_path)
    archive = {
        "cub200": "CUB_200_2011.tgz",
        "fgvc_aircraft": "fgvc-aircraft-2013b.tar.gz",
    }[name]
    samples.pack(folder, tmp_path / archive)
    source = data.source(name, "train", tmp_path, image_size=8)
    assert source.labels.tolist() == LABELS[name]["train"]


def test_archives_of_the_dogs(tmp_path):
    folder = write("stanford_dogs", tmp_path)
    samples.pack(folder / "Images", folder / "images.tar")
    # The official lists.tar holds the files without a folder.
    samples.pack(folder / "lists", folder / "lists.tar", contents=True)
    source = data.source("stanford_dogs", "train", tmp_path, image_size=8)
    assert source.labels.tolist() == [0, 119]


def test_archives_of_the_cars(tmp_path):
    folder = write("stanford_cars", tmp_path)
    for part, archive in (
        ("cars_train", "cars_train.tgz"),
        ("cars_test", "cars_test.tgz"),
        ("devkit", "car_devkit.tgz"),
    ):
        samples.pack(folder / part, folder / archive)
    source = data.source("stanford_cars", "train", tmp_path, image_size=8)
    assert source.labels.tolist() == [0, 13, 195]


@pytest.mark.parametrize("name", LABELS)
def test_missing_image(tmp_path, name):
    folder = write(name, tmp_path)
    image = sorted(folder.rglob("*.jpg"))[-1]
    image.unlink()
    with pytest.raises(ValueError, match=f"1 of . images.*{image.name}"):
        for split in data.info(name).splits:
            data.source(name, split, tmp_path)


@pytest.mark.parametrize("name", LABELS)
def test_incomplete(tmp_path, name):
    folder = write(name, tmp_path)
    images = {
        "cub200": folder / "images",
        "stanford_cars": folder / "cars_test",
        "fgvc_aircraft": folder / "data" / "images",
        "oxford_flowers102": folder / "jpg",
        "stanford_dogs": folder / "Images",
    }[name]
    shutil.rmtree(images)
    with pytest.raises(ValueError, match=f"incomplete.*lacks.*{images.name}"):
        data.source(name, "train", tmp_path)


def test_smaller_than_the_release(tmp_path):
    write("cub200", tmp_path)
    with pytest.warns(UserWarning, match="official release has 5994"):
        data.source("cub200", "train", tmp_path)


@pytest.mark.parametrize("label", [0, 201])
def test_label_out_of_range(tmp_path, label):
    file = write("cub200", tmp_path) / "image_class_labels.txt"
    file.write_text(file.read_text().replace("5 200", f"5 {label}"))
    with pytest.raises(ValueError, match=f"label {label - 1} at example 2"):
        data.source("cub200", "train", tmp_path)


@pytest.mark.parametrize(
    "name, file, old, new, match",
    [
        ("cub200", "images.txt", "3 002.Bird_2/", "3", "line 3: expected a"),
        ("cub200", "train_test_split.txt", "4 0\n", "", "image 4 is in one"),
        ("cub200", "image_class_labels.txt", "200", "x", "key and an integer"),
        ("fgvc_aircraft", "data/variants.txt", "Yak-42", "Yak", "'Yak-42'"),
    ],
)
def test_damaged_list(tmp_path, name, file, old, new, match):
    path = write(name, tmp_path) / file
    text = path.read_text().replace("Bird_2_0.jpg", "")
    path.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=match):
        for split in data.info(name).splits:
            data.source(name, split, tmp_path)


@pytest.mark.parametrize(
    "name, file",
    [
        ("stanford_cars", "devkit/cars_train_annos.mat"),
        ("oxford_flowers102", "setid.mat"),
        ("stanford_dogs", "lists/train_list.mat"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"no mat file" * 100, "half"])
def test_damaged_mat_file(tmp_path, name, file, content):
    path = write(name, tmp_path) / file
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(ValueError, match=path.name):
        data.source(name, "train", tmp_path)


def test_cars_without_labels(tmp_path):
    """The devkit also has a file of the test images without labels."""
    from scipy import io

    folder = write("stanford_cars", tmp_path)
    io.savemat(
        folder / "cars_test_annos_withlabels.mat",
        {"annotations": np.array([("a",)], dtype=[("fname", "O")])},
    )
    with pytest.raises(ValueError, match="fields `class` and `fname`"):
        data.source("stanford_cars", "test", tmp_path)


def test_flowers_that_do_not_belong_together(tmp_path):
    from scipy import io

    folder = write("oxford_flowers102", tmp_path)
    io.savemat(folder / "imagelabels.mat", {"labels": np.array([[1, 2, 3]])})
    with pytest.raises(ValueError, match="do not belong together"):
        data.source("oxford_flowers102", "test", tmp_path)
