"""A folder of images of one's own."""

import os
import pathlib

import keras
import numpy as np
import pytest

from keras_tcl import data
from tests.data.samples import write_flat_image

pytestmark = pytest.mark.once

COUNTS = {"ant": 10, "bee": 20, "cow": 5}
REAL = os.environ.get("KERAS_TCL_DATA_DIR", "")
real = pytest.mark.skipif(
    not pathlib.Path(REAL, "flowers17").is_dir(),
    reason="KERAS_TCL_DATA_DIR names no folder with flowers17",
)


def write(root, counts=COUNTS):
    for label, (name, count) in enumerate(counts.items()):
        for k in range(count):
            write_flat_image(root / name / f"{k:02d}.png", (label, k, 0))


def source(root, split="train", **options):
    return data.source("image_folder", split, root, **options)


def identities(images):
    x, y = images.read(range(len(images)))
    assert np.array_equal(x[:, 0, 0, 0], y)
    return {(int(a), int(b)) for a, b in x[:, 0, 0, :2]}


def test_seeded_stratified_split(tmp_path):
    write(tmp_path)
    train, test = source(tmp_path), source(tmp_path, "test")
    assert np.bincount(train.labels).tolist() == [8, 16, 4]
    assert np.bincount(test.labels).tolist() == [2, 4, 1]
    assert train.info.classes == 3
    assert train.info.class_names == ("ant", "bee", "cow")
    assert not identities(train) & identities(test)
    whole = identities(source(tmp_path, "all"))
    assert identities(train) | identities(test) == whole


def test_split_depends_on_its_seed_alone(tmp_path):
    write(tmp_path)
    tests = [
        identities(source(tmp_path, "test", split_seed=seed))
        for seed in (0, 0, 1)
    ]
    assert tests[0] == tests[1] != tests[2]


def test_fraction(tmp_path):
    write(tmp_path)
    assert len(source(tmp_path, "test", test_fraction=0.6)) == 21
    with pytest.raises(ValueError, match="Received: test_fraction=1.0"):
        source(tmp_path, "test", test_fraction=1.0)


def test_folders_for_the_splits(tmp_path):
    write(tmp_path / "train")
    write(tmp_path / "test", {"ant": 1})
    write(tmp_path / "night", {"ant": 2, "bee": 1})
    assert np.bincount(source(tmp_path).labels).tolist() == [10, 20, 5]
    test = source(tmp_path, "test")
    assert test.labels.tolist() == [0] and test.info.classes == 3
    assert source(tmp_path, "night").labels.tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="Received: split='validation'"):
        source(tmp_path, "validation")


def test_class_that_training_lacks(tmp_path):
    write(tmp_path / "train")
    write(tmp_path / "test", {"zebra": 1})
    with pytest.raises(ValueError, match="has the class 'zebra'"):
        source(tmp_path, "test")


def test_other_files_do_not_count(tmp_path):
    write(tmp_path)
    (tmp_path / "ant" / "notes.txt").write_text("x")
    (tmp_path / "ant" / ".hidden.png").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "readme.md").write_text("x")
    with pytest.warns(UserWarning, match=r"^1 entries.* left out.*notes\.txt"):
        everything = source(tmp_path, "all")
    assert np.bincount(everything.labels).tolist() == [10, 20, 5]


def test_what_is_left_out_is_counted_in_one_warning(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / split, {"ant": 3, "bee": 2})
        (tmp_path / split / "bee" / "photo.heic").write_text("x")
        (tmp_path / split / "ant" / "more").mkdir()
        write_flat_image(tmp_path / split / "ant" / "more" / "a.png", (0, 0, 0))
    with pytest.warns(UserWarning) as caught:
        train = source(tmp_path)
    assert len(train) == 5 and len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("4 entries")
    assert "test/bee/photo.heic, train/ant/more, ..." in message


def test_common_suffixes(tmp_path):
    from PIL import Image, features

    suffixes = "jpg jpeg jpe jfif png ppm pgm bmp gif tif tiff".split()
    suffixes += [s for s in ("webp", "avif") if features.check(s)]
    (tmp_path / "ant").mkdir()
    for k, suffix in enumerate(suffixes):
        image = Image.new("RGB", (8, 8), (200, 200, 200))
        suffix = suffix.upper() if k % 2 else suffix
        image.save(tmp_path / "ant" / f"{k:02d}.{suffix}")
    everything = source(tmp_path, "all")
    assert len(everything) == len(suffixes)
    x, _ = everything.read(range(len(suffixes)))
    assert np.abs(x.astype(int) - 200).max() <= 4


def test_a_format_that_pillow_lacks_is_left_out(tmp_path, monkeypatch):
    from PIL import Image

    write(tmp_path, {"ant": 2})
    (tmp_path / "ant" / "a.avif").write_text("x")
    formats = Image.registered_extensions()
    monkeypatch.setattr(
        Image,
        "registered_extensions",
        lambda: {s: f for s, f in formats.items() if s != ".avif"},
    )
    with pytest.warns(UserWarning, match=r"ant/a\.avif"):
        assert len(source(tmp_path, "all")) == 2


def test_empty_splits(tmp_path):
    write(tmp_path / "a", {"ant": 1, "bee": 1})
    with pytest.raises(ValueError, match="'test' of .* each class has one"):
        source(tmp_path / "a", "test")
    assert len(source(tmp_path / "a")) == 2
    write(tmp_path / "b" / "train")
    (tmp_path / "b" / "test").mkdir()
    with pytest.raises(ValueError, match="test has no folder of a class"):
        source(tmp_path / "b", "test")
    assert len(source(tmp_path / "b")) == 35


def test_empty_class_folder(tmp_path):
    write(tmp_path)
    (tmp_path / "dodo").mkdir()
    with pytest.raises(ValueError, match="dodo holds no file"):
        source(tmp_path)
    (tmp_path / "dodo" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"dodo holds .*\(1 others\)"):
        source(tmp_path)


@pytest.mark.parametrize("folder", [".", "missing"])
def test_no_classes(tmp_path, folder):
    with pytest.raises(ValueError, match="one folder of files for each"):
        source(tmp_path / folder)


def test_unknown_split(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="'train', 'test', 'all'"):
        source(tmp_path, "validation")


def test_mixed_resolutions(tmp_path):
    write(tmp_path)
    write_flat_image(tmp_path / "cow" / "big.png", (2, 0, 0), (41, 30))
    with pytest.raises(ValueError, match="mixed resolutions.*image_size"):
        source(tmp_path, "all")
    assert len(source(tmp_path, "all", image_size=8)) == 36


@real
def test_the_real_flowers17():
    folder = pathlib.Path(REAL, "flowers17")
    everything = source(folder, "all")
    assert len(everything) == 1360
    assert np.bincount(everything.labels).tolist() == [80] * 17
    assert everything.element_shape == (64, 64, 3)
    train = data.load("image_folder", batch_size=32, data_dir=folder)
    assert len(train) == 1088 // 32
    model = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.AveragePooling2D(8),
            keras.layers.Flatten(),
            keras.layers.Dense(17),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    model.fit(train, steps_per_epoch=3, verbose=0)
