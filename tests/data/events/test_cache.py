import os
import pickle
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from keras_tcl import progress
from keras_tcl.data.events import cache as cache_module
from keras_tcl.data.events.cache import FrameCache

pytestmark = pytest.mark.once
SHAPE = (2, 24, 24, 2)
# The module alone, so that a process starts within a moment.
BUILD = """
import importlib.util, pathlib, sys, time, types
import numpy as np

progress = types.ModuleType("keras_tcl.progress")
progress.shown = lambda items, what: items
sys.modules |= {"keras_tcl": progress, "keras_tcl.progress": progress}
module, folder, pause = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
spec = importlib.util.spec_from_file_location("cache", module)
cache = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cache)

def make(path, scale):
    time.sleep(float(pause))
    value = int(path.read_text()) * scale
    return np.full((2, 24, 24, 2), value, "uint16")

files = sorted((folder / "files").glob("*"))
cache.FrameCache(
    folder / "cache", "set", folder, files, make, {"scale": 2},
    (2, 24, 24, 2), "uint16",
)
"""


def make(path, scale):
    value = int(path.read_text()) * scale
    return np.full(SHAPE, value, "uint16")


def write_files(folder, number):
    (folder / "files").mkdir()
    for i in range(number):
        (folder / "files" / f"{i:04}").write_text(str(i))


def open_cache(folder, make=make, scale=2, shape=SHAPE):
    files = sorted((folder / "files").glob("*"))
    return FrameCache(
        folder / "cache",
        "set",
        folder,
        files,
        make,
        {"scale": scale},
        shape,
        "uint16",
    )


def start_build(folder, pause):
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, cache_module.__file__, folder, str(pause)]
    )


def refuse(path, scale):
    raise AssertionError("made again")


def kept(folder):
    return sorted(path.suffix for path in (folder / "cache").iterdir())


def test_reads_what_was_made(tmp_path):
    write_files(tmp_path, 150)
    cache = open_cache(tmp_path)
    frames = cache.read([149, 0, 3, 3])
    assert frames.shape == (4, *SHAPE)
    assert frames.dtype == "uint16"
    assert frames[:, 0, 0, 0, 0].tolist() == [298, 0, 6, 6]
    assert cache.read([]).shape == (0, *SHAPE)


def test_is_made_once(tmp_path):
    write_files(tmp_path, 5)
    open_cache(tmp_path)
    again = open_cache(tmp_path, refuse)
    assert again.read([4]).max() == 8
    assert kept(tmp_path) == [".npy"]


def test_what_is_read_is_a_copy(tmp_path):
    write_files(tmp_path, 3)
    cache = open_cache(tmp_path)
    cache.read([1])[:] = 9
    assert cache.read([1]).max() == 2


def test_pickles_small_and_reads_elsewhere(tmp_path):
    write_files(tmp_path, 100)
    content = pickle.dumps(open_cache(tmp_path))
    assert len(content) < 20_000
    assert pickle.loads(content).read([7]).max() == 14


def test_moves_with_its_data(tmp_path):
    (tmp_path / "here").mkdir()
    write_files(tmp_path / "here", 3)
    open_cache(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    open_cache(tmp_path / "there", refuse)


def test_settings_make_another_cache(tmp_path):
    write_files(tmp_path, 3)
    assert open_cache(tmp_path, scale=2).read([1]).max() == 2
    assert open_cache(tmp_path, scale=3).read([1]).max() == 3
    assert kept(tmp_path) == [".npy", ".npy"]


@pytest.mark.parametrize("change", ["size", "time", "more", "fewer", "name"])
def test_changed_files_make_another_cache(tmp_path, change):
    write_files(tmp_path, 3)
    before = open_cache(tmp_path).path
    last = tmp_path / "files" / "0002"
    if change == "size":
        status = last.stat()
        last.write_text("77")
        os.utime(last, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "time":
        os.utime(last, ns=(0, 0))
    elif change == "more":
        (tmp_path / "files" / "0003").write_text("3")
    elif change == "fewer":
        last.unlink()
    else:
        last.rename(tmp_path / "files" / "0009")
    assert open_cache(tmp_path).path != before


@pytest.mark.parametrize("place", [0, 4000, -4000, -1])
@pytest.mark.parametrize("size", [5000, 9000, 100_000])
def test_equal_names_sizes_and_times_do_not_make_a_cache_equal(
    tmp_path, place, size
):
    """As an archive gives one time to all that it holds."""
    paths = set()
    for value in (0, 1):
        folder = tmp_path / str(value)
        (folder / "files").mkdir(parents=True)
        content = bytearray(size)
        content[place] = value
        (folder / "files" / "a").write_bytes(content)
        os.utime(folder / "files" / "a", ns=(0, 0))
        paths.add(
            FrameCache(
                tmp_path / "cache",
                "set",
                folder,
                [folder / "files" / "a"],
                lambda path, value=value: np.full(SHAPE, value, "uint16"),
                {},
                SHAPE,
                "uint16",
            ).path
        )
    assert len(paths) == 2


def test_a_recording_that_cannot_be_read_is_named(tmp_path):
    write_files(tmp_path, 3)
    (tmp_path / "files" / "0001").unlink()
    (tmp_path / "files" / "0001").mkdir()
    with pytest.raises(ValueError, match="0001 cannot be read"):
        open_cache(tmp_path)


def test_any_damaged_byte_of_a_header_is_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # It is slow.
    write_files(tmp_path, 3)
    path = open_cache(tmp_path).path
    content = path.read_bytes()
    mended = 0
    for place in range(0, 128, 9):
        for value in b"\n'(":
            damaged = bytearray(content)
            damaged[place] = value
            path.write_bytes(damaged)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                cache = open_cache(tmp_path)
                assert cache.read([2]).max() == 4
            mended += any("built anew" in str(w.message) for w in caught)
    assert mended > 20


def test_a_long_build_says_how_far_it_is(tmp_path, monkeypatch, capsys):
    write_files(tmp_path, 150)
    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(
        cache_module,
        "shown",
        lambda items, what: progress.shown(items, what, after=0.0),
    )
    open_cache(tmp_path)
    shown = capsys.readouterr().err
    assert "making frames, recordings: 75 of 150 (50 %)" in shown
    assert "\r" not in shown and "\b" not in shown


@pytest.mark.parametrize("damage", ["cut", "empty", "header", "other shape"])
def test_a_damaged_file_is_made_anew(tmp_path, damage):
    write_files(tmp_path, 10)
    path = open_cache(tmp_path).path
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "header":
        path.write_bytes(bytes(200) + content[200:])
    else:
        np.save(path, np.zeros(10))
    with pytest.warns(UserWarning, match="is damaged. It is built anew"):
        cache = open_cache(tmp_path)
    assert cache.read([9]).max() == 18
    assert path.read_bytes() == content


def test_a_flipped_bit_is_noticed(tmp_path):
    write_files(tmp_path, 10)
    cache = open_cache(tmp_path)
    content = bytearray(cache.path.read_bytes())
    content[-20] ^= 1
    cache.path.write_bytes(content)
    assert cache.read([0]).max() == 0
    with pytest.warns(UserWarning, match="is damaged"):
        assert cache.read([9]).tolist() == np.full((1, *SHAPE), 18).tolist()


def test_a_cache_removed_in_use_is_made_anew(tmp_path):
    write_files(tmp_path, 3)
    cache = open_cache(tmp_path)
    cache.path.unlink()
    assert cache.read([2]).max() == 4


def test_a_bad_recording_leaves_nothing(tmp_path):
    write_files(tmp_path, 200)
    (tmp_path / "files" / "0150").write_text("nonsense")
    with pytest.raises(ValueError, match="nonsense"):
        open_cache(tmp_path)
    assert kept(tmp_path) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    write_files(tmp_path, 3)
    (tmp_path / "cache").write_text("a file where the folder is to be")
    with pytest.raises(ValueError, match="Pass `cache_dir`.* 1 MiB of room"):
        open_cache(tmp_path)


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    write_files(tmp_path, 3)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ValueError, match="No space left on device"):
        open_cache(tmp_path)
    assert kept(tmp_path) == []


def test_a_killed_build_leaves_no_cache(tmp_path):
    write_files(tmp_path, 400)
    process = start_build(tmp_path, pause=0.01)
    deadline = time.monotonic() + 30
    half_done = []
    while not half_done:
        assert process.poll() is None and time.monotonic() < deadline
        half_done = [
            path
            for path in tmp_path.glob("cache/*.tmp")
            if path.stat().st_size > 4000
        ]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kept(tmp_path) == [".tmp"]

    cache = open_cache(tmp_path)
    everything = cache.read(np.arange(400))[:, 0, 0, 0, 0]
    assert everything.tolist() == list(range(0, 800, 2))
    # A build that may be alive is left alone, a dead one is swept up.
    assert kept(tmp_path) == [".npy", ".tmp"]
    os.utime(half_done[0], (0, 0))
    cache.build()
    assert kept(tmp_path) == [".npy"]


def test_builds_at_the_same_time(tmp_path):
    write_files(tmp_path, 200)
    processes = [start_build(tmp_path, pause=0.005) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert kept(tmp_path) == [".npy"]
    cache = open_cache(tmp_path, refuse)
    everything = cache.read(np.arange(200))[:, 0, 0, 0, 0]
    assert everything.tolist() == list(range(0, 400, 2))
