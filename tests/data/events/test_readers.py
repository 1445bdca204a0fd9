import os
import pathlib
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_tcl.data.events import readers
from keras_tcl.data.events.readers import EVENT, read_recording
from tests.data.events.writers import (
    AEDAT2_HEADER,
    WRITERS,
    random_events,
    write_aedat2,
    write_nmnist,
)

pytestmark = pytest.mark.once
SIZES = {".bin": (34, 34), ".aedat": (128, 128)}


def real(name):
    """A path below KERAS_TCL_DATA_DIR, or a skip."""
    folder = os.environ.get("KERAS_TCL_DATA_DIR")
    if not folder:
        pytest.skip("KERAS_TCL_DATA_DIR is not set")
    path = pathlib.Path(folder, name)
    if not path.exists():
        pytest.skip(f"{path} does not exist")
    return path


def import_tonic_io():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("tonic.io")


def write_bytes(path, content):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", WRITERS)
def test_round_trip(tmp_path, suffix):
    size = SIZES.get(suffix, (60, 80))
    events = random_events(0, sensor_size=size)
    path = tmp_path / f"recording{suffix}"
    WRITERS[suffix](path, events)
    read, sensor_size = read_recording(path, size)
    assert sensor_size == size
    assert read.dtype == EVENT
    np.testing.assert_array_equal(read, events)


def test_nmnist_by_hand(tmp_path):
    content = bytes([3, 4, 0x80, 0x01, 0x02]) + bytes([33, 0, 0x7F, 255, 255])
    path = write_bytes(tmp_path / "a.bin", content)
    events, _ = read_recording(path, (34, 34))
    assert events.tolist() == [(3, 4, 258, 1), (33, 0, 2**23 - 1, 0)]


def test_nmnist_overflow_records_move_the_clock_on(tmp_path):
    def record(y, time):
        return bytes([1, y, 0, time >> 8, time & 255])

    path = write_bytes(
        tmp_path / "a.bin",
        record(2, 8000) + record(240, 0) + record(2, 5) + record(2, 6),
    )
    events, _ = read_recording(path, (34, 34))
    assert events["t"].tolist() == [8000, 2**13 + 5, 2**13 + 6]

    tonic_io = import_tonic_io()
    theirs = tonic_io.read_mnist_file(
        str(path), np.dtype([(name, int) for name in "xytp"])
    )
    np.testing.assert_array_equal(theirs["t"], events["t"])


def test_aedat2_by_hand(tmp_path):
    # Column address 1, row address 2, darker; a sync signal; brighter.
    pairs = [(2 << 8 | 1 << 1 | 1, 7), (0x8000, 8), (127 << 8 | 127 << 1, 9)]
    content = AEDAT2_HEADER + np.array(pairs, ">u4").tobytes()
    path = write_bytes(tmp_path / "a.aedat", content)
    events, sensor_size = read_recording(path)
    assert sensor_size == (128, 128)
    assert events.tolist() == [(126, 125, 7, 0), (0, 0, 9, 1)]


@pytest.mark.parametrize("columns", ["xytp", "txyp"])
@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_plain_arrays(tmp_path, columns, dtype):
    events = random_events(1)
    plain = np.stack([events[name] for name in columns], 1).astype(dtype)
    plain[:, columns.index("p")] = 2 * plain[:, columns.index("p")] - 1
    np.save(tmp_path / "a.npy", plain)
    read, _ = read_recording(tmp_path / "a.npy", (34, 34), columns=columns)
    np.testing.assert_array_equal(read, events)
    np.savez(tmp_path / "a.npz", plain)
    read, _ = read_recording(tmp_path / "a.npz", (34, 34), columns=columns)
    np.testing.assert_array_equal(read, events)


def test_real_aedat4():
    pytest.importorskip("aedat")
    path = real("recordings/sample.aedat4")
    events, sensor_size = read_recording(path)
    assert len(events) == 111_954
    assert sensor_size == (240, 320)
    theirs = import_tonic_io().read_aedat4(str(path))
    for name, their_name in zip("xytp", ("x", "y", "t", "on"), strict=True):
        np.testing.assert_array_equal(events[name], theirs[their_name])


def test_real_aedat2():
    path = real("recordings/dvs128_short.aedat")
    events, sensor_size = read_recording(path)
    assert len(events) == 130_114
    assert sensor_size == (128, 128)
    # tonic finds the same addresses; its own decoding of them is another.
    tonic_io = import_tonic_io()
    version, start, _ = tonic_io.read_aedat_header_from_file(str(path))
    raw = tonic_io.get_aer_events_from_file(str(path), version, start)
    np.testing.assert_array_equal(events["t"], raw["timeStamp"])
    address = raw["address"].astype(int)
    np.testing.assert_array_equal(127 - events["x"], address // 2 % 128)
    np.testing.assert_array_equal(127 - events["y"], address // 256)
    np.testing.assert_array_equal(events["p"] == 1, address % 2 == 0)


def test_real_nmnist():
    files = sorted(real("NMNIST/Test").glob("*/*.bin"))[:100]
    tonic_io = import_tonic_io()
    dtype = np.dtype([(name, int) for name in "xytp"])
    for path in files:
        events, _ = read_recording(path, (34, 34))
        theirs = tonic_io.read_mnist_file(str(path), dtype)
        for name in "xytp":
            np.testing.assert_array_equal(events[name], theirs[name])


@pytest.mark.parametrize("kept", [5, 300, 5_000, 800_000])
def test_real_aedat4_cut_off(tmp_path, kept):
    pytest.importorskip("aedat")
    content = real("recordings/sample.aedat4").read_bytes()
    path = write_bytes(tmp_path / "a.aedat4", content[:kept])
    with pytest.raises(ValueError, match="a.aedat4 is not a whole AEDAT-4"):
        read_recording(path)


@pytest.mark.parametrize(
    "seed, what",
    [(34, "range start index"), (48, "char boundary"), (94, "it aborts")],
)
def test_real_aedat4_damaged_so_that_its_decoder_panics(tmp_path, seed, what):
    """A panic passes `except Exception`, an abort ends the process."""
    pytest.importorskip("aedat")
    sample = real("recordings/sample.aedat4")
    content = bytearray(sample.read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(0, 5000, 3):
        content[place] = random.integers(256)
    path = write_bytes(tmp_path / "a.aedat4", content)
    with pytest.raises(ValueError, match=f"a.aedat4 is not a whole .*{what}"):
        read_recording(path)
    assert len(read_recording(sample).events) == 111_954


def test_real_aedat4_in_threads():
    pytest.importorskip("aedat")
    path = real("recordings/sample.aedat4")
    alone, _ = read_recording(path)
    with ThreadPoolExecutor(3) as pool:
        for events, _ in pool.map(read_recording, [path] * 6):
            np.testing.assert_array_equal(events, alone)


def test_a_decoder_that_has_died_is_started_anew(tmp_path):
    pytest.importorskip("aedat")
    path = write_bytes(tmp_path / "a \u00e4\n.aedat4", b"nonsense")
    for _ in range(2):
        with pytest.raises(ValueError, match="not a whole AEDAT-4 file"):
            read_recording(path)
        for process in readers._IDLE:
            process.kill()
            process.wait()


def test_missing_aedat4_file(tmp_path):
    pytest.importorskip("aedat")
    with pytest.raises(ValueError, match="a.aedat4 cannot be read"):
        read_recording(tmp_path / "a.aedat4")


def test_aedat4_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(ImportError, match=r"pip install keras_tcl\[dvs\]"):
        read_recording(tmp_path / "a.aedat4")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.txt",
            b"",
            "aedat4, .aedat, .bin, .npy, .npz file. Received: .*txt",
        ),
        ("a.bin", b"", "a.bin holds no event"),
        ("a.bin", bytes(12), "a.bin is cut off: 12 bytes .* the 5 bytes"),
        ("a.bin", bytes([34, 0, 0, 0, 0]), "Event 0 .* y=0, x=34"),
        ("a.bin", bytes(5) + bytes([0, 99, 0, 0, 0]), "Event 1 .* y=99, x=0"),
        ("a.bin", bytes([0, 240, 0, 0, 0]), "a.bin holds no event"),
        ("a.aedat", AEDAT2_HEADER, "a.aedat holds no event"),
        ("a.aedat", AEDAT2_HEADER[:-1], "a.aedat ends in its header"),
        ("a.aedat", AEDAT2_HEADER + bytes(15), "a.aedat is cut off: 15 bytes"),
        ("a.aedat", b"#!AER-DAT4.0\r\n", "not an AEDAT-2.0 file"),
        ("a.aedat", AEDAT2_HEADER + b"\0\1" + bytes(6), "event 0 .* 0x10000"),
        ("a.npy", b"", "a.npy is not a NumPy file"),
        ("a.npy", b"nonsense", "a.npy is not a NumPy file"),
        ("a.npz", b"PK\3\4 nonsense", "a.npz is not a NumPy file"),
    ],
)
def test_bad_bytes(tmp_path, name, content, message):
    path = write_bytes(tmp_path / name, content)
    with pytest.raises(ValueError, match=message):
        read_recording(path, None if name == "a.aedat" else (34, 34))


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="a.bin cannot be read"):
        read_recording(tmp_path / "a.bin", (34, 34))


def test_cut_off_in_an_npz_file(tmp_path):
    np.savez(tmp_path / "a.npz", random_events(0))
    content = (tmp_path / "a.npz").read_bytes()
    path = write_bytes(tmp_path / "b.npz", content[: len(content) // 2])
    with pytest.raises(ValueError, match="b.npz is not a NumPy file"):
        read_recording(path, (34, 34))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 5)), r"\[N, 4\] array"),
        (np.zeros(3, [("x", int), ("y", int)]), "fields x, y, t, p"),
        (np.array([[1, 2, 0.5, 1]]), "'t' must be whole microseconds"),
        (np.array([[1, -2, 5, 1]]), "'y' must be whole numbers from 0"),
        (np.array([[1, 2, np.nan, 1]]), "'t' must be whole microseconds"),
        (np.array([[1, 2, 5, 1], [1, 2, 6, 2]]), "Event 1 .* 'p' must be 0"),
        (np.array([[1, 2, 5, -1], [1, 2, 6, 0]]), "'p' must be 0 and 1"),
        (np.array(["a"], object), "not a NumPy file .*allow_pickle"),
    ],
)
def test_bad_arrays(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        read_recording(tmp_path / "a.npy", (34, 34))


def test_arrays_of_different_lengths(tmp_path):
    events = random_events(0)
    arrays = {name: events[name] for name in "xytp"}
    np.savez(tmp_path / "a.npz", **{**arrays, "x": events["x"][:-1]})
    with pytest.raises(ValueError, match=r"\(199,\) values of 'x'"):
        read_recording(tmp_path / "a.npz", (34, 34))


def test_bad_columns(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 4)))
    with pytest.raises(ValueError, match="columns='xyt'"):
        read_recording(tmp_path / "a.npy", (34, 34), columns="xyt")


def test_unknown_sensor_size(tmp_path):
    write_nmnist(tmp_path / "a.bin", random_events(0))
    with pytest.raises(ValueError, match="pass `sensor_size="):
        read_recording(tmp_path / "a.bin")


def test_mixed_resolutions(tmp_path):
    write_aedat2(tmp_path / "a.aedat", random_events(0))
    with pytest.raises(ValueError, match="128 x 128 pixels, 34 x 34 expected"):
        read_recording(tmp_path / "a.aedat", (34, 34))


@pytest.mark.parametrize("suffix", WRITERS)
def test_time_running_backwards(tmp_path, suffix):
    events = random_events(2, sensor_size=(34, 34))
    swapped = events.copy()
    swapped[[50, 60]] = swapped[[60, 50]]
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path, swapped)
    size = SIZES.get(suffix, (34, 34))
    with pytest.raises(ValueError, match=rf"at event 51 of .*a{suffix}"):
        read_recording(path, size)
    read, _ = read_recording(path, size, sort=True)
    np.testing.assert_array_equal(read["t"], events["t"])
    np.testing.assert_array_equal(np.sort(read), np.sort(events))


def write_times(path, times):
    """One event at each time, of a place of its own, so that it is known."""
    events = np.zeros(len(times), EVENT)
    events["t"] = times
    events["x"] = np.arange(len(times))
    np.save(path, events)
    return path


@pytest.mark.parametrize("first", [0, -(2**31)])
@pytest.mark.parametrize("beats", [[2, 5, 9, 20], [2, 9, 5, 20, 40]])
def test_a_wrapped_32_bit_clock_counts_on(tmp_path, first, beats):
    """Also where events near the wrap are out of order."""
    true = first + 2**32 - 6 + np.array(beats)
    wrapped = (true - first) % 2**32 + first
    path = write_times(tmp_path / "a.npy", wrapped)
    with pytest.raises(ValueError, match="Time runs backwards"):
        read_recording(path, (1, 99))
    events, _ = read_recording(path, (1, 99), sort=True)
    order = np.argsort(true)
    assert events["t"].tolist() == true[order].tolist()
    assert events["x"].tolist() == order.tolist()


def test_a_wrapped_aedat2_recording(tmp_path):
    """Two hours of a 32-bit clock, which begins anew after 71 minutes."""
    events = random_events(0, sensor_size=(128, 128))
    true = np.sort(np.random.default_rng(0).integers(0, 7200 * 10**6, 200))
    events["t"] = true % 2**32
    write_aedat2(tmp_path / "a.aedat", events)
    read, _ = read_recording(tmp_path / "a.aedat", sort=True)
    assert read["t"].tolist() == true.tolist()
    for name in "xyp":
        np.testing.assert_array_equal(read[name], events[name])


@pytest.mark.parametrize(
    "times",
    [[0, 2**31 + 5, 4], [10**18, 10**18 + 2**32, 10**18 + 9], [2**40, 2**33]],
)
def test_other_clocks_that_run_backwards_are_only_sorted(tmp_path, times):
    path = write_times(tmp_path / "a.npy", times)
    events, _ = read_recording(path, (1, 9), sort=True)
    expected = sorted(times)
    if times[0] == 0:  # 32 bits, and back by more than half of them.
        expected = [0, 2**31 + 5, 2**32 + 4]
    assert events["t"].tolist() == expected


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize(
    "times",
    [
        [0, 2**62, 2**62 + 5],
        [0, 1_700_000_000_000_000_000, 1_700_000_000_000_000_009],
        [0, 1_700_000_000_000_000],
        [-(2**63), 0, 2**63 - 1],
    ],
)
def test_a_recording_of_years_is_refused_by_name(tmp_path, times, sort):
    path = write_times(tmp_path / "a.npy", times)
    with pytest.raises(ValueError, match=r"a\.npy lasts for years"):
        read_recording(path, (1, 9), sort)


def test_times_that_fall_by_all_of_64_bits_run_backwards(tmp_path):
    path = write_times(tmp_path / "a.npy", [2**63 - 1, -(2**63)])
    with pytest.raises(ValueError, match="Time runs backwards"):
        read_recording(path, (1, 9))


def test_a_recording_of_months_is_read(tmp_path):
    times = [1_700_000_000_000_000, 1_700_000_000_000_000 + 10**13]
    path = write_times(tmp_path / "a.npy", times)
    assert read_recording(path, (1, 9)).events["t"].tolist() == times


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_any_damaged_byte_of_a_header_names_the_file(tmp_path, suffix):
    """Each byte of the header, by quotes, brackets and ends of lines."""
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path, random_events(0))
    content = path.read_bytes()
    outcomes = set()
    places = range(128) if suffix == ".npy" else range(0, len(content), 97)
    for place in places:
        for value in (10, 39, 40):
            damaged = bytearray(content)
            damaged[place] = value
            path.write_bytes(damaged)
            with warnings.catch_warnings():
                # Of NumPy, for escape sequences and the like in a header.
                warnings.simplefilter("ignore")
                try:
                    read_recording(path, (34, 34))
                    outcomes.add("read")
                except ValueError as error:
                    assert str(path) in str(error)
                    outcomes.add("refused")
    assert outcomes == {"read", "refused"}
