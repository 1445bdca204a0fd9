"""Events: files of them, framing, the cache; compared with loops."""

import pathlib
import tempfile
import warnings

import numpy as np
from hypothesis import strategies as st

from keras_tcl import data
from keras_tcl.data.events.framing import Framing
from keras_tcl.data.events.readers import (
    EVENT,
    LONGEST,
    READERS,
    read_recording,
)
from tests.data.events.writers import WRITERS
from tests.generated.calls import assert_refused, calls

SENSOR = (6, 5)  # Rows, columns.

seeds = st.integers(0, 2**32 - 1)


def events_of(count, seed, spread):
    rng = np.random.default_rng(seed)
    events = np.zeros(count, EVENT)
    events["x"] = rng.integers(0, SENSOR[1], count)
    events["y"] = rng.integers(0, SENSOR[0], count)
    events["t"] = np.sort(rng.integers(0, spread, count))
    events["p"] = rng.integers(0, 2, count)
    return events


def bin_of(number, events, timesteps, binning):
    """As a fraction of Python's integers, which do not overflow."""
    if binning == "count":
        return number * timesteps // len(events)
    times = [int(t) for t in events["t"]]
    return (times[number] - times[0]) * timesteps // (times[-1] - times[0] + 1)


@calls(
    500,
    count=st.integers(1, 40),
    seed=seeds,
    spread=st.sampled_from([1, 2, 10, 10**6, 2**40]),
    timesteps=st.integers(1, 9),
    binning=st.sampled_from(["count", "time"]),
    values=st.sampled_from(["count", "binary"]),
    frame_size=st.sampled_from([None, 3, (6, 5), (2, 7), 1]),
    interpolation=st.sampled_from(["bilinear", "area"]),
)
def test_frames_count_every_event(
    count,
    seed,
    spread,
    timesteps,
    binning,
    values,
    frame_size,
    interpolation,
):
    events = events_of(count, seed, spread)
    expected = np.zeros((timesteps, *SENSOR, 2))
    for number, (x, y, _, p) in enumerate(events):
        expected[bin_of(number, events, timesteps, binning), y, x, p] += 1
    if values == "binary":
        expected = np.minimum(expected, 1)
    else:
        assert expected.sum() == count
    framing = Framing(timesteps, binning, frame_size, interpolation, values)
    frames = framing(events, SENSOR)
    assert frames.shape == framing.shape(SENSOR)
    assert frames.dtype == framing.dtype
    if frame_size is None or framing.frame_size == SENSOR:
        np.testing.assert_allclose(frames, expected, atol=1e-6)
        return
    assert frames.min() >= -1e-6 and frames.max() <= expected.max() + 1e-5
    if interpolation == "area":
        np.testing.assert_allclose(
            frames.mean((1, 2)), expected.mean((1, 2)), atol=1e-5
        )


@calls(
    200,
    times=st.lists(
        st.integers(-(2**63), 2**63 - 1)
        | st.integers(-(2**45), 2**45)
        | st.sampled_from([0, 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1]),
        min_size=1,
        max_size=5,
    ),
    timesteps=st.integers(1, 9),
    sort=st.booleans(),
)
def test_times_of_any_span_are_framed(times, timesteps, sort):
    times = sorted(times)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.npy"
        table = np.zeros((len(times), 4), "int64")
        table[:, 2] = times
        np.save(path, table)
        span = times[-1] - times[0]
        if span > LONGEST:
            assert_refused(
                lambda: read_recording(path, SENSOR, sort), "a.npy", "years"
            )
            return
        events, _ = read_recording(path, SENSOR, sort)
        frames = Framing(timesteps, "time")(events, SENSOR)
    expected = [0] * timesteps
    for t in times:
        expected[(t - times[0]) * timesteps // (span + 1)] += 1
    assert frames.sum(axis=(1, 2, 3)).tolist() == expected


@calls(
    400,
    suffix=st.sampled_from(sorted(WRITERS)),
    count=st.integers(1, 30),
    seed=seeds,
    spread=st.sampled_from([1, 50, 2**23 - 1]),
    sensor=st.sampled_from([None, SENSOR, (4, 5), (128, 128)]),
    shuffled=st.booleans(),
    sort=st.booleans(),
)
def test_a_recording_is_read_as_written(
    suffix, count, seed, spread, sensor, shuffled, sort
):
    events = events_of(count, seed, spread)
    if shuffled:
        events = np.random.default_rng(seed).permutation(events)
    ordered = bool((np.diff(events["t"]) >= 0).all())
    stated = (128, 128) if suffix == ".aedat" else None
    size = sensor or stated
    inside = size is not None and bool(
        (events["x"] < size[1]).all() and (events["y"] < size[0]).all()
    )
    good = inside and (ordered or sort) and (not stated or size == stated)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"a{suffix}"
        WRITERS[suffix](path, events)
        if not good:
            assert_refused(lambda: read_recording(path, sensor, sort), "a.")
            return
        read = read_recording(path, sensor, sort)
    assert read.sensor_size == size
    order = np.argsort(events["t"], kind="stable")
    np.testing.assert_array_equal(read.events, events[order])


COLUMNS = ["xytp", "txyp", "pxyt", "xyt", "xyzt", "", "xxyt"]


@calls(
    400,
    seed=seeds,
    dtype=st.sampled_from(
        ["int64", "int16", "uint64", "float64", "float32", "bool", "U4", "O"]
    ),
    shape=st.sampled_from([(5, 4), (0, 4), (5, 3), (5,), (), (4, 5, 1)]),
    odd=st.sampled_from(
        [None, 0.5, -1, 2, -2, 70000, np.nan, np.inf, 2**40, 1e300]
    ),
    place=st.tuples(st.integers(0, 4), st.integers(0, 3)),
    columns=st.sampled_from(COLUMNS),
)
def test_a_table_is_events_or_refused(seed, dtype, shape, odd, place, columns):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 2, shape)
    if table.shape == (5, 4):
        table[:, columns.find("t")] = np.arange(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = table.astype("float64")
        if odd is not None and shape == (5, 4):
            table[place] = odd
        table = table.astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.npy"
        np.save(path, table)
        try:
            events, _ = read_recording(path, SENSOR, False, columns)
        except ValueError as error:
            assert "a.npy" in str(error) or "columns=" in str(error)
            plain = dtype not in ("U4", "O", "bool") and odd is None
            assert not (plain and shape == (5, 4) and columns in COLUMNS[:3])
            return
    assert sorted(columns) == sorted("xytp") and shape == (5, 4)
    wide = table.astype("float64")
    for name in "xyt":
        np.testing.assert_array_equal(
            events[name].astype("float64"), wide[:, columns.index(name)]
        )
    p = wide[:, columns.index("p")]
    np.testing.assert_array_equal(events["p"], p > 0)
    assert set(p) <= {0.0, 1.0} or set(p) <= {-1.0, 1.0}


@calls(
    500,
    suffix=st.sampled_from(sorted(set(READERS) - {".aedat4"})),
    seed=seeds,
    cut=st.none() | st.integers(0, 400),
    flips=st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 7)), max_size=4
    ),
    tail=st.binary(max_size=9),
    sort=st.booleans(),
)
def test_a_damaged_file_never_gives_a_wrong_event(
    suffix, seed, cut, flips, tail, sort
):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / f"a{suffix}"
        WRITERS[suffix](path, events_of(12, seed, 1000))
        content = bytearray(path.read_bytes()[:cut])
        for place, bit in flips:
            if content:
                content[place % len(content)] ^= 1 << bit
        path.write_bytes(bytes(content) + tail)
        size = (128, 128) if suffix == ".aedat" else SENSOR
        try:
            events, _ = read_recording(path, size, sort)
        except ValueError as error:
            assert "a." in str(error)
            return
    assert len(events) and events.dtype == EVENT
    assert (events["x"] < size[1]).all() and (events["y"] < size[0]).all()
    assert (events["p"] <= 1).all() and (np.diff(events["t"]) >= 0).all()


@calls(
    100,
    seed=seeds,
    damage=st.sampled_from(["none", "cut", "flip", "empty", "gone", "header"]),
    where=st.floats(0, 1),
    suffix=st.sampled_from([".npy", ".npz"]),
    timesteps=st.sampled_from([1, 3]),
)
def test_a_cache_gives_the_frames_whatever_befalls_it(
    seed, damage, where, suffix, timesteps, capfd
):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        expected = []
        for label, name in enumerate(("a", "b")):
            for k in range(2):
                events = events_of(9, seed + 2 * label + k, 100)
                (root / name).mkdir(exist_ok=True)
                WRITERS[suffix](root / name / f"{k}{suffix}", events)
                expected.append(Framing(timesteps)(events, SENSOR))

        def open_source():
            return data.source(
                "event_folder",
                "all",
                root,
                sensor_size=SENSOR,
                timesteps=timesteps,
            )

        first = open_source()
        path = first.cache.path
        content = bytearray(path.read_bytes())
        place = min(int(where * len(content)), len(content) - 1)
        if damage == "flip":
            content[place] ^= 4
        elif damage == "cut":
            content = content[:place]
        elif damage == "empty":
            content = b""
        elif damage == "header":
            content[:20] = b"\x00" * 20
        path.write_bytes(bytes(content))
        if damage == "gone":
            path.unlink()
        with warnings.catch_warnings():
            # One about the damage; NumPy may have one about the header.
            warnings.simplefilter("ignore")
            for source in (first, open_source()):
                x, y = source.read([0, 1, 2, 3])
                np.testing.assert_array_equal(x, np.stack(expected))
                assert y.tolist() == [0, 0, 1, 1]
