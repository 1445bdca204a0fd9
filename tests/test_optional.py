"""Optional packages."""

import sys

import pytest

from keras_tcl.data import load, source
from keras_tcl.optional import require

pytestmark = pytest.mark.once


def test_require_returns_the_module():
    assert require("json.decoder", "this", "that").JSONDecoder


def test_require_names_what_to_install():
    with pytest.raises(
        ImportError, match=r"(?s)this needs.*`nope`.*pip install nope\[all\]"
    ):
        require("nope.sub", "this", "nope[all]")


@pytest.mark.parametrize(
    "module, name",
    [
        ("sklearn.datasets", "digits"),
        ("tensorflow_datasets", "cifar10"),
        ("PIL.Image", "image_folder"),
    ],
)
def test_data_sets_name_the_extra(monkeypatch, tmp_path, module, name):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install keras_tcl\[data\]"):
        load(name, "train", data_dir=tmp_path)


def test_scipy(monkeypatch, tmp_path):
    folder = tmp_path / "oxford_flowers102"
    (folder / "jpg").mkdir(parents=True)
    for name in ("imagelabels.mat", "setid.mat"):
        (folder / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ImportError, match=r"pip install keras_tcl\[data\]"):
        source("oxford_flowers102", "train", tmp_path)
