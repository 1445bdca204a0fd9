"""CIFAR-10 and CIFAR-100 from the binary versions."""

import os
import pathlib
import pickle

import keras
import numpy as np
import pytest

from keras_tcl import data
from keras_tcl.data.images.cifar_python import read_python
from tests.data.samples import (
    as_python_version,
    pack,
    write_cifar10,
    write_cifar100,
)

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


@tiny
@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("packed", [False, True])
def test_python_version_of_cifar10(tmp_path, protocol, packed):
    written = write_cifar10(tmp_path)
    folder = as_python_version(tmp_path, 10, protocol)
    if packed:
        pack(folder, tmp_path / "cifar-10-python.tar.gz")
    for split, (images, labels) in written.items():
        x, y = data.source("cifar10", split, tmp_path).read(range(len(images)))
        assert np.array_equal(x, images) and np.array_equal(y, labels)
        assert x.dtype == "uint8" and y.dtype == "int32"


@tiny
@pytest.mark.parametrize("labels, column", [("coarse", 1), ("fine", 2)])
def test_python_version_of_cifar100(tmp_path, labels, column):
    written = write_cifar100(tmp_path)["train"]
    as_python_version(tmp_path, 100)
    source = data.source("cifar100", "train", tmp_path, labels=labels)
    x, y = source.read(range(200))
    assert np.array_equal(x, written[0])
    assert np.array_equal(y, written[column])


def test_python_version_as_python_2_wrote_it(tmp_path):
    """The opcodes of the official files, byte for byte: str keys, no codecs."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3072), "uint8")
    raw = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\n"
        b"q\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x01M\x00"
        b"\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00"
        + pixels.tobytes()
        + b"tbU\x06labelsq\x08]q\tK\x07au."
    )
    (tmp_path / "test_batch").write_bytes(raw)
    x, y = read_python([tmp_path / "test_batch"], "labels")
    planes = pixels.reshape(1, 3, 32, 32)
    assert np.array_equal(x, planes.transpose(0, 2, 3, 1)) and y.tolist() == [7]


class Calls:
    def __reduce__(self):
        return os.system, ("touch called",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"labels": [0], "data": Calls()}),
        pickle.dumps({"labels": [0], "data": np.zeros((1, 3071), "uint8")}),
        pickle.dumps({"labels": [0], "data": np.zeros((1, 3072), "int64")}),
        pickle.dumps({"labels": [0, 1], "data": np.zeros((1, 3072), "uint8")}),
        pickle.dumps({"fine_labels": [0]}),
        pickle.dumps(7),
        b"",
        b"nonsense",
    ],
)
def test_other_pickles_are_refused_and_call_nothing(
    tmp_path, monkeypatch, content
):
    monkeypatch.chdir(tmp_path)
    write_cifar10(tmp_path)
    folder = as_python_version(tmp_path, 10)
    (folder / "test_batch").write_bytes(content)
    with pytest.raises(ValueError, match="test_batch is no file of CIFAR's py"):
        data.source("cifar10", "test", tmp_path)
    assert not (tmp_path / "called").exists()


def test_python_files_in_the_place_of_binary_ones(tmp_path):
    write_cifar10(tmp_path / "a")
    write_cifar10(tmp_path)
    pickled = as_python_version(tmp_path / "a", 10) / "test_batch"
    pickled.rename(tmp_path / "cifar-10-batches-bin" / "test_batch.bin")
    with pytest.raises(ValueError, match="test_batch.bin is .*python version"):
        data.source("cifar10", "test", tmp_path)


@tiny
def test_the_binary_version_comes_first(tmp_path):
    write_cifar10(tmp_path, 10)
    as_python_version(tmp_path, 10)
    write_cifar10(tmp_path, 20)
    assert len(data.source("cifar10", "test", tmp_path)) == 20


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
