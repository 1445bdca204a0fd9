"""The data sets through tensorflow-datasets."""

import shutil
import socket
import sys
import urllib.request

import numpy as np
import pytest

from keras_tcl import data
from tests.data import samples

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("tensorflow")  # For TFDS to prepare and to mock data.

pytestmark = pytest.mark.once

SHAPES = {
    "cifar10": (32, 32, 3),
    "cifar100": (32, 32, 3),
    "cub200": (24, 24, 3),
    "stanford_cars": (24, 24, 3),
    "fgvc_aircraft": (24, 24, 3),
    "oxford_flowers102": (24, 24, 3),
    "stanford_dogs": (24, 24, 3),
}


@pytest.fixture(autouse=True)
def no_data_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "elsewhere"))


@pytest.fixture
def downloads(monkeypatch, tmp_path, tmp_path_factory):
    """TFDS "downloads" what the test wrote to `tmp_path / "remote"`."""
    remote = tmp_path / "remote"

    def download(self, urls):
        archive = tmp_path_factory.mktemp("archive") / "remote"
        return shutil.make_archive(str(archive), "gztar", remote)

    monkeypatch.setattr(tfds.download.DownloadManager, "download", download)
    monkeypatch.setattr(
        tfds.download.DownloadManager,
        "download_and_extract",
        lambda self, urls: str(remote),
    )
    monkeypatch.setattr(urllib.request, "getproxies", lambda: {"https": "x"})
    return remote


@pytest.mark.parametrize("name", SHAPES)
def test_mock_data(tmp_path, name):
    shape = SHAPES[name]
    options = {} if name.startswith("cifar") else {"image_size": shape[0]}
    with tfds.testing.mock_data(num_examples=6):
        for split in data.info(name).splits:
            batches = data.load(
                name, split, 3, data_dir=tmp_path, shuffle=False, **options
            )
            count = 0
            for x, y in batches:
                assert x.shape == (3, *shape) and np.asarray(x).dtype == "uint8"
                assert np.all(np.asarray(y) < data.info(name).classes)
                count += len(y)
            assert count == 6


def test_mock_data_of_cifar100_has_coarse_labels(tmp_path):
    with tfds.testing.mock_data(num_examples=30):
        source = data.source("cifar100", "train", tmp_path, labels="coarse")
    assert source.info.classes == 20 and source.labels.max() < 20


def test_cifar10_prepared_by_tfds_has_the_pixels_of_the_files(
    downloads, tmp_path
):
    images, labels = samples.write_cifar10(downloads)["test"]
    source = data.source("cifar10", "test", tmp_path)
    # TFDS shuffles what it prepares.
    order = [
        next(k for k in range(20) if np.array_equal(images[k], image))
        for image in source.x
    ]
    assert sorted(order) == list(range(20))
    assert source.labels.tolist() == labels[order].tolist()


@pytest.mark.parametrize("image_size", [None, 24])
def test_our_aircraft_builder_agrees_with_the_files(
    downloads, tmp_path, image_size, capsys
):
    samples.write_fgvc_aircraft(downloads)
    with pytest.warns(UserWarning, match="official release"):
        local = data.source(
            "fgvc_aircraft", "train+val", downloads, image_size=image_size
        )
    prepared = data.source(
        "fgvc_aircraft", "train+val", tmp_path, image_size=image_size
    )
    assert prepared.element_shape == local.element_shape
    assert sorted(prepared.labels) == sorted(local.labels)
    for source in (local, prepared):
        order = np.argsort(source.labels, kind="stable")
        x, _ = source.read(order)
        assert np.abs(x.astype(int) - [100, 0, 0]).max() < 40  # No banner.
    # It is prepared once, and said in a plain line: this is no terminal.
    out, err = capsys.readouterr()
    assert err.count("preparing `fgvc_aircraft` (2.6 GiB), to be kept") == 1
    assert not set("\r\b\x1b") & set(out + err)
    (downloads / "fgvc-aircraft-2013b" / "data" / "variants.txt").unlink()
    again = data.source("fgvc_aircraft", "test", tmp_path, image_size=8)
    assert sorted(again.labels) == [0, 1]


def test_aircraft_through_tfds_itself(downloads, tmp_path):
    from keras_tcl.data.images import fgvc_aircraft_builder  # noqa: F401

    samples.write_fgvc_aircraft(downloads)
    dataset, info = tfds.load(
        "fgvc_aircraft",
        split="validation",
        data_dir=str(tmp_path),
        as_supervised=True,
        with_info=True,
    )
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    assert sorted(labels) == [2, 3]
    assert images[0].shape == (84, 60, 3)  # TFDS keeps the banner.
    assert info.splits["train"].num_examples == 2


@pytest.mark.parametrize("inside", [".", "elsewhere", "tensorflow_datasets"])
def test_data_prepared_as_tfrecord(downloads, tmp_path, inside):
    """As `tfds.load` leaves them, in a folder of TFDS."""
    samples.write_fgvc_aircraft(downloads)
    from keras_tcl.data.images.fgvc_aircraft_builder import FgvcAircraft

    root = tmp_path / inside
    FgvcAircraft(data_dir=str(root)).download_and_prepare()
    assert list(root.rglob("*.tfrecord*"))
    source = data.source("fgvc_aircraft", "test", tmp_path, image_size=16)
    assert sorted(source.labels) == [0, 1]
    assert source.read([1, 0])[0].shape == (2, 16, 16, 3)
    assert not list(tmp_path.rglob("*.array_record*"))


@pytest.mark.parametrize("name", ["cifar10", "fgvc_aircraft", "stanford_dogs"])
def test_no_network(monkeypatch, tmp_path, name):
    def unreachable(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unreachable)
    monkeypatch.setattr(urllib.request, "getproxies", dict)
    with pytest.raises(ValueError) as caught:
        data.load(name, "train", data_dir=tmp_path)
    message = str(caught.value)
    assert "Name or service not known" in message
    assert data.info(name).where in message and str(tmp_path) in message
    assert not any(tmp_path.rglob("*"))


def test_a_failed_preparation_leaves_nothing(downloads, tmp_path):
    downloads.mkdir()  # The archive holds nothing of what it should.
    with pytest.raises(ValueError, match="Get it by hand: .*2013b.tar.gz"):
        data.source("fgvc_aircraft", "train", tmp_path)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not left
    samples.write_fgvc_aircraft(downloads)
    assert len(data.source("fgvc_aircraft", "train", tmp_path)) == 2


def test_what_tfds_needs_is_said_before_the_download(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="pip install opencv-python"):
        data.source("cub200", "train", tmp_path)
