"""CIFAR-10 and CIFAR-100 from the binary versions."""

import os
import pathlib

import keras
import numpy as np
import pytest

from keras_tcl import data
from tests.data.samples import pack, write_cifar10, write_cifar100

tiny = pytest.mark.filterwarnings("ignore:.*official release")
REAL = os.environ.get("KERAS_TCL_DATA_DIR", "")
real = pytest.mark.skipif(
    not pathlib.Path(REAL, "cifar-10-batches-bin").is_dir(),
    reason="KERAS_TCL_DATA_DIR names no folder with cifar-10-batches-bin",
)


@tiny
@pytest.mark.parametrize("split, size", [("train", 100), ("test", 20)])
def test_cifar10(tmp_path, split, size):
    images, labels = write_cifar10(tmp_path)[split]
    source = data.source("cifar10", split, tmp_path)
    x, y = source.read(range(size))
    assert np.array_equal(x, images) and np.array_equal(y, labels)
    assert x.dtype == "uint8" and source.element_shape == (32, 32, 3)


@tiny
@pytest.mark.parametrize("labels, column", [("coarse", 1), ("fine", 2)])
def test_cifar100(tmp_path, labels, column):
    written = write_cifar100(tmp_path)["test"]
    source = data.source("cifar100", "test", tmp_path, labels=labels)
    x, y = source.read(range(200))
    assert np.array_equal(x, written[0])
    assert np.array_equal(y, written[column])
    assert source.info.classes == (20 if labels == "coarse" else 100)
    assert len(source.info.class_names) == source.info.classes


def test_cifar100_labels_option():
    with pytest.raises(ValueError, match="Received: labels='super'"):
        data.source("cifar100", "test", labels="super")


@tiny
def test_archive(tmp_path):
    images, _ = write_cifar10(tmp_path)["test"]
    pack(tmp_path / "cifar-10-batches-bin", tmp_path / "cifar-10-binary.tar.gz")
    x, _ = data.source("cifar10", "test", tmp_path).read(range(20))
    assert np.array_equal(x, images)


def test_a_smaller_release_is_told_apart(tmp_path):
    write_cifar10(tmp_path)
    with pytest.warns(UserWarning, match="20 examples.*release has 10000"):
        data.source("cifar10", "test", tmp_path)


@pytest.mark.parametrize("size", [0, 3072, 3073 * 2 - 1])
def test_truncated(tmp_path, size):
    write_cifar10(tmp_path)
    file = tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ValueError, match="data_batch_3.bin is truncated"):
        data.source("cifar10", "train", tmp_path)


def test_cifar100_under_the_name_of_cifar10(tmp_path):
    write_cifar10(tmp_path)
    write_cifar100(tmp_path)
    (tmp_path / "cifar-100-binary" / "test.bin").rename(
        tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    )
    with pytest.raises(ValueError, match="truncated or no CIFAR file"):
        data.source("cifar10", "test", tmp_path)


@tiny
def test_label_out_of_range(tmp_path):
    write_cifar10(tmp_path)
    file = tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    raw = bytearray(file.read_bytes())
    raw[4 * 3073] = 10
    file.write_bytes(raw)
    with pytest.raises(ValueError, match="label 10 at example 4"):
        data.source("cifar10", "test", tmp_path)


def test_missing_file(tmp_path):
    write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-bin" / "data_batch_2.bin").unlink()
    with pytest.raises(ValueError, match="lacks .*data_batch_2.bin"):
        data.source("cifar10", "train", tmp_path)


@pytest.fixture(scope="module")
def train():
    return data.source("cifar10", "train", REAL)


@real
def test_the_real_cifar10(train):
    test = data.source("cifar10", "test", REAL)
    assert np.bincount(train.labels).tolist() == [5000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    # A float64 copy of all pixels would take 1.2 GB; the moments do not.
    values = np.arange(256) / 255
    for channel in range(3):
        pixels = train.x[..., channel].reshape(50000, 1024)
        share = np.bincount(pixels.ravel(), minlength=256) / pixels.size
        mean = np.sum(share * values)
        assert mean == pytest.approx(train.info.mean[channel], abs=1e-4)
        # The published deviation is PyTorch's, image by image, averaged.
        deviation = (pixels[::5] / 255).std(axis=1, ddof=1).mean()
        assert deviation == pytest.approx(train.info.std[channel], abs=5e-4)
        pixel_std = np.sqrt(np.sum(share * values**2) - mean**2)
        assert f"{pixel_std:.4f}" in train.info.notes["std"]


@real
def test_three_batches_of_the_real_cifar10_into_fit(train):
    batches = data.Batches(train, 128, shuffle=True, drop_remainder=True)
    assert len(batches) == 390
    model = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.AveragePooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
    history = model.fit(batches, steps_per_epoch=3, verbose=0)
    loss = float(keras.ops.convert_to_tensor(history.history["loss"][0]))
    assert 1.5 < loss < 3.5
