"""Finding and unpacking official files."""

import os

import pytest

from keras_tcl.data.files import default_data_dir, find_files
from tests.data.samples import pack

pytestmark = pytest.mark.once
SHARED = ("birds/list.txt", "birds/images")  # In a folder of its own.
LOOSE = ("list.txt", "images")


def write(place, names=SHARED):
    for name in names:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_text("hello\n" * 1000)
        else:
            path.mkdir()
            (path / "one").write_text(os.urandom(5000).hex())


def listing(root):
    return sorted(str(p.relative_to(root)) for p in root.rglob("*"))


@pytest.mark.parametrize("inside", [".", "cub"])
def test_unpacked(tmp_path, inside):
    write(tmp_path / inside)
    assert find_files(tmp_path, "cub", SHARED) == tmp_path / inside


def test_loose_files_have_a_folder_of_their_own(tmp_path):
    write(tmp_path, LOOSE)  # `data_dir/images` may be anybody's.
    assert find_files(tmp_path, "cub", LOOSE) is None
    write(tmp_path / "cub", LOOSE)
    assert find_files(tmp_path, "cub", LOOSE) == tmp_path / "cub"


def test_nothing(tmp_path):
    assert find_files(tmp_path, "cub", SHARED, {"birds.tgz": ""}) is None
    assert find_files(tmp_path / "missing", "cub", SHARED) is None


def test_part_of_it(tmp_path):
    write(tmp_path, SHARED[:1])
    with pytest.raises(ValueError, match="incomplete.*lacks birds/images"):
        find_files(tmp_path, "cub", SHARED, {"birds.tgz": ""})


@pytest.mark.parametrize("archive", ["birds.tgz", "birds.tar"])
def test_archive_is_unpacked_once(tmp_path, archive):
    write(tmp_path)
    pack(tmp_path / "birds", tmp_path / archive)
    assert find_files(tmp_path, "cub", SHARED, {archive: ""}) == tmp_path
    text = tmp_path / "birds" / "list.txt"
    assert text.read_text() == "hello\n" * 1000
    text.write_text("mine")
    (tmp_path / archive).unlink()
    assert find_files(tmp_path, "cub", SHARED, {archive: ""}) == tmp_path
    assert text.read_text() == "mine"


def test_archive_beside_loose_files(tmp_path):
    write(tmp_path / "cub", LOOSE)
    pack(tmp_path / "cub" / "images", tmp_path / "cub" / "images.tgz")
    place = find_files(tmp_path, "cub", LOOSE, {"images.tgz": ""})
    assert (place / "images" / "one").is_file()


@pytest.mark.parametrize("archive", ["birds.tgz", "birds.tar"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_truncated_archive_leaves_nothing(tmp_path, archive, keep):
    write(tmp_path)
    pack(tmp_path / "birds", tmp_path / archive)
    whole = (tmp_path / archive).read_bytes()
    # Not the padding at the end of a tar file, which says nothing.
    size = len(whole) if archive.endswith("tgz") else 12000
    (tmp_path / archive).write_bytes(whole[: int(keep * size)])
    with pytest.raises(ValueError, match=f"{archive} is not a whole archive"):
        find_files(tmp_path, "cub", SHARED, {archive: ""})
    assert listing(tmp_path) == [archive]


def test_archive_of_something_else_leaves_nothing(tmp_path):
    write(tmp_path, ("fish/list.txt",))
    pack(tmp_path / "fish", tmp_path / "birds.tgz")
    with pytest.raises(ValueError, match="belongs to another data set"):
        find_files(tmp_path, "cub", SHARED, {"birds.tgz": ""})
    assert listing(tmp_path) == ["birds.tgz"]


def test_a_faster_parallel_process_wins(tmp_path, monkeypatch):
    write(tmp_path)
    pack(tmp_path / "birds", tmp_path / "birds.tgz")

    def other_process_first(source, target):
        write(tmp_path)
        raise OSError("not empty")

    monkeypatch.setattr(os, "rename", other_process_first)
    assert find_files(tmp_path, "cub", SHARED, {"birds.tgz": ""}) == tmp_path
    assert listing(tmp_path) == [
        "birds",
        "birds.tgz",
        "birds/images",
        "birds/images/one",
        "birds/list.txt",
    ]


def test_default_data_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_TCL_DATA_DIR", str(tmp_path))
    assert default_data_dir() == tmp_path
    monkeypatch.delenv("KERAS_TCL_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "keras_tcl_data"
