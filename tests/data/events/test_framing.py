import sys
from fractions import Fraction

import numpy as np
import pytest

from keras_tcl.data.events import Framing, read_recording
from keras_tcl.data.events.framing import resize
from tests.data.events.test_readers import real
from tests.data.events.writers import random_events

pytestmark = pytest.mark.once


def frames_by_loop(events, sensor_size, timesteps, binning):
    """The definition, event by event, in exact arithmetic."""
    frames = np.zeros((timesteps, *sensor_size, 2))
    first, last = int(events["t"][0]), int(events["t"][-1])
    for i, (x, y, t, p) in enumerate(events.tolist()):
        if binning == "count":
            share = Fraction(i, len(events))
        else:
            share = Fraction(t - first, last - first + 1)
        frames[int(share * timesteps), y, x, p] += 1
    return frames


@pytest.mark.parametrize("binning", ["count", "time"])
@pytest.mark.parametrize("timesteps", [1, 3, 4, 10])
@pytest.mark.parametrize("number", [1, 2, 199, 200])
def test_against_the_definition(binning, timesteps, number):
    events = random_events(number, number, sensor_size=(5, 7))
    frames = Framing(timesteps, binning)(events, (5, 7))
    assert frames.dtype == "uint16"
    expected = frames_by_loop(events, (5, 7), timesteps, binning)
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("timesteps", [3, 4, 7])
@pytest.mark.parametrize("number", [2, 100, 4999])
def test_equal_counts_differ_by_at_most_one(timesteps, number):
    events = random_events(0, number)
    frames = Framing(timesteps, "count")(events, (34, 34))
    counts = frames.sum(axis=(1, 2, 3), dtype=int)
    assert counts.sum() == number
    assert np.ptp(counts) <= 1


def test_the_last_time_bin_holds_the_last_event():
    events = random_events(0, 8)
    events["t"] = [0, 24, 25, 49, 50, 74, 75, 99]
    frames = Framing(4, "time")(events, (34, 34))
    assert frames.sum(axis=(1, 2, 3)).tolist() == [2, 2, 2, 2]


def test_events_at_one_instant_are_in_the_first_time_bin():
    events = random_events(0, 8)
    events["t"] = 5
    frames = Framing(4, "time")(events, (34, 34))
    assert frames.sum(axis=(1, 2, 3)).tolist() == [8, 0, 0, 0]


@pytest.mark.parametrize("binning", ["count", "time"])
def test_real_nmnist_events_are_all_in_the_frames(binning):
    framing, events_read = Framing(4, binning), 0
    frames_sum = np.zeros(framing.shape((34, 34)), int)
    for path in sorted(real("NMNIST").glob("*/*/*.bin")):
        events, _ = read_recording(path, (34, 34))
        frames_sum += framing(events, (34, 34))
        events_read += path.stat().st_size // 5
    assert frames_sum.sum() == events_read


@pytest.mark.parametrize("timesteps", [1, 4, 7, 100])
@pytest.mark.parametrize("end", [0, 5, 10**6, 2**62 + 5, 2**64 - 1])
def test_time_bins_are_exact_at_any_span(timesteps, end):
    """Against Python's integers, which do not overflow."""
    random = np.random.default_rng(0)
    span = sorted(int(end * share) for share in [0, *random.random(50), 1])
    span[-1] = end
    first = -(2**63) if end > 2**62 else -3
    events = np.zeros(len(span), random_events(0).dtype)
    events["t"] = [first + position for position in span]
    bins = Framing(timesteps, "time").bins(events)
    expected = [position * timesteps // (end + 1) for position in span]
    assert bins.tolist() == expected


def test_binary():
    events = random_events(0, 5000)
    counts = Framing(2)(events, (34, 34))
    binary = Framing(2, values="binary")(events, (34, 34))
    assert counts.max() > 1
    np.testing.assert_array_equal(binary, counts > 0)


def test_too_many_events_for_a_pixel():
    events = np.zeros(2**16, random_events(0).dtype)
    with pytest.raises(ValueError, match="65,536 events in one frame"):
        Framing(1)(events, (1, 1))
    assert Framing(1, values="binary")(events, (1, 1)).max() == 1


@pytest.mark.parametrize(
    ("interpolation", "size"),
    [
        ("bilinear", (48, 48)),
        ("bilinear", (20, 61)),
        ("bilinear", (200, 128)),
        ("area", (32, 64)),
    ],
)
def test_resize_as_pillow_does(interpolation, size):
    image = pytest.importorskip("PIL.Image")
    # Pillow's box filter is an average over areas for whole ratios only.
    method = {
        "bilinear": image.Resampling.BILINEAR,
        "area": image.Resampling.BOX,
    }[interpolation]
    frames = np.random.default_rng(0).poisson(3, (2, 128, 128, 2))
    resized = resize(frames, size, interpolation)
    assert resized.dtype == "float32"
    for t in range(2):
        for p in range(2):
            plane = image.fromarray(frames[t, :, :, p].astype("float32"))
            expected = np.asarray(plane.resize(size[::-1], method))
            np.testing.assert_allclose(resized[t, :, :, p], expected, atol=1e-4)


def test_area_keeps_the_mean():
    frames = np.random.default_rng(0).poisson(1, (4, 128, 128, 2))
    resized = resize(frames, (48, 48), "area")
    np.testing.assert_allclose(resized.mean((1, 2)), frames.mean((1, 2)), 1e-5)


@pytest.mark.parametrize("size", [(3, 2), (4, 7), (9, 5)])
def test_area_against_the_definition(size):
    """A new pixel is the mean over the square that it covers, exactly."""
    frames = np.random.default_rng(0).poisson(2, (1, 5, 7, 1))

    def weight(new, old, scale):
        end = min(scale * (new + 1), Fraction(old + 1))
        return max(end - max(scale * new, Fraction(old)), Fraction(0)) / scale

    expected = np.empty(size)
    for i, j in np.ndindex(*size):
        expected[i, j] = sum(
            weight(i, k, Fraction(5, size[0]))
            * weight(j, m, Fraction(7, size[1]))
            * int(frames[0, k, m, 0])
            for k, m in np.ndindex(5, 7)
        )
    resized = resize(frames, size, "area")[0, :, :, 0]
    np.testing.assert_allclose(resized, expected, rtol=1e-6)


def test_bilinear_without_pillow(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    frames = np.ones((1, 4, 4, 2))
    with pytest.raises(ImportError, match=r"pip install keras_tcl\[data\]"):
        resize(frames, (2, 2))
    assert resize(frames, (2, 2), "area").shape == (1, 2, 2, 2)


@pytest.mark.parametrize("interpolation", ["bilinear", "area"])
def test_resize_keeps_a_constant(interpolation):
    frames = np.full((1, 128, 100, 2), 3)
    resized = resize(frames, (48, 130), interpolation)
    np.testing.assert_allclose(resized, 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "shape"),
    [(None, (4, 34, 34, 2)), (20, (4, 20, 20, 2)), ([20, 9], (4, 20, 9, 2))],
)
def test_shape(size, shape):
    framing = Framing(frame_size=size)
    frames = framing(random_events(0), (34, 34))
    assert frames.shape == framing.shape((34, 34)) == shape
    assert frames.dtype == framing.dtype


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"timesteps": 0},
            "`timesteps` must be an integer of at least 1.*timesteps=0",
        ),
        ({"timesteps": 2.0}, "timesteps=2.0"),
        ({"timesteps": True}, "timesteps=True"),
        ({"binning": "number"}, r"'count', 'time'.*binning='number'"),
        ({"interpolation": "cubic"}, "interpolation='cubic'"),
        ({"values": "rate"}, "values='rate'"),
        ({"frame_size": 0}, "frame_size=0"),
        ({"frame_size": (48, 48, 2)}, r"pair \(height, width\)"),
        ({"frame_size": "48"}, "frame_size='48'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Framing(**arguments)
