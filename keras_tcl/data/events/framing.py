"""From events to frames.

Kept by hand: tonic's `ToFrame` drops events and counts in 16 bits, see
`Framing`.
"""

import dataclasses
from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.optional import require

BINNINGS = ("count", "time")
INTERPOLATIONS = ("bilinear", "area")
VALUES = ("count", "binary")


@dataclasses.dataclass(frozen=True)
class Framing:
    """How the events of a recording become `timesteps` frames.

    Every event falls in exactly one bin, so the frames add up to the number of
    events before they are resized. Event i of N, at t_i, goes to bin

    `binning="count"`: floor(i * T / N), so that bins differ by at most one
    event (TET and TEBN, which the paper compares with, cut by count);

    `binning="time"`: floor((t_i - t_0) * T / (t_last - t_0 + 1)), T intervals
    of equal length, half open. The recording ends one microsecond after its
    last event, which the last bin therefore holds like any other event.

    tonic's `ToFrame` is not used: it drops up to T - 1 events by count and the
    last events by time, wraps counts at 32,767, and takes ten times as long.

    Args:
        timesteps: Integer, T >= 1. Defaults to `4`, as in the paper.
        binning: `"count"` or `"time"`.
        frame_size: `(height, width)` of the frames, or one integer for both.
            `None` keeps the sensor's.
        interpolation: How frames are resized. `"bilinear"` averages with a
            triangle as wide as the reduction, as Pillow does and TET with
            it; `"area"` averages over the area that a pixel covers, so that
            the mean is kept.
        values: `"count"`, events at each pixel, or `"binary"`, 1 where there
            was any (TET's frames), before they are resized.

    Raises:
        ValueError: if an argument is none of these.

    Call arguments:
        events: Structured array `[N]` with the fields x, y, t (in order of
            time) and p.
        sensor_size: `(height, width)`.

    Returns:
        Array `[T, height, width, 2]` of `dtype`, channel 0 for darker and
        1 for brighter: uint16 without `frame_size`, float32 with it.

    Example:

    >>> from keras_tcl.data.events import EVENT, Framing
    >>> events = np.zeros(1000, EVENT)
    >>> Framing(timesteps=4, frame_size=48)(events, (128, 128)).shape
    (4, 48, 48, 2)

    Reference: TCL paper, section 5.1 (T = 4, 128 x 128 reduced to 48 x 48).
    """

    timesteps: int = 4
    binning: str = "count"
    frame_size: Any = None
    interpolation: str = "bilinear"
    values: str = "count"

    def __post_init__(self) -> None:
        checks.integer("timesteps", self.timesteps)
        if self.frame_size is not None:
            size = checks.size("frame_size", self.frame_size)
            object.__setattr__(self, "frame_size", size)
        checks.choice("binning", self.binning, BINNINGS)
        checks.choice("interpolation", self.interpolation, INTERPOLATIONS)
        checks.choice("values", self.values, VALUES)

    @property
    def dtype(self) -> str:
        """`"float32"` for resized frames, `"uint16"` for others."""
        return "float32" if self.frame_size else "uint16"

    def shape(self, sensor_size: tuple[int, int]) -> tuple[int, ...]:
        """Shape `(T, height, width, 2)` of the frames."""
        return (self.timesteps, *(self.frame_size or sensor_size), 2)

    def __call__(
        self, events: np.ndarray, sensor_size: tuple[int, int]
    ) -> np.ndarray:
        frames = count_events(
            events, self.bins(events), self.timesteps, sensor_size
        )
        if self.values == "binary":
            frames = np.minimum(frames, 1)
        if self.frame_size is not None:
            return resize(frames, self.frame_size, self.interpolation)
        if frames.max() > np.iinfo(self.dtype).max:
            raise ValueError(
                f"A pixel has {frames.max():,} events in one frame, which "
                "holds 65,535: take more `timesteps` or `values='binary'`."
            )
        return frames.astype(self.dtype)

    def bins(self, events: np.ndarray) -> np.ndarray:
        """The bin, 0 to T - 1, of every event: integers `[N]`."""
        if self.binning == "count":
            position, end = np.arange(len(events)), len(events)
            return position * self.timesteps // end
        # Comparing with where each bin begins, for a product can overflow.
        # Unsigned, a difference of any two times is right.
        position = (events["t"] - events["t"][:1]).view("u8")
        end = int(position.max(initial=0)) + 1
        starts = [
            -(-t * end // self.timesteps) for t in range(1, self.timesteps)
        ]
        return np.searchsorted(np.array(starts, "u8"), position, side="right")


def count_events(
    events: np.ndarray,
    bins: np.ndarray,
    timesteps: int,
    sensor_size: tuple[int, int],
) -> np.ndarray:
    """Events per bin, pixel and polarity: integers `[T, height, width, 2]`."""
    height, width = sensor_size
    cell = ((bins * height + events["y"]) * width + events["x"]) * 2
    counts = np.bincount(
        cell + events["p"], minlength=timesteps * height * width * 2
    )
    return counts.reshape(timesteps, height, width, 2)


def resize(
    frames: np.ndarray, size: tuple[int, int], interpolation: str = "bilinear"
) -> np.ndarray:
    """Resize frames `[T, height, width, C]` to `size`, as float32."""
    if interpolation == "area":
        # Not by Pillow's BOX, which rounds areas to whole pixels.
        for axis, length in zip((1, 2), size, strict=True):
            frames = _area_means(frames, length, axis)
        return frames.astype("float32")
    image = require("PIL.Image", "resizing frames", "keras_tcl[data]")
    resized = np.empty((len(frames), *size, frames.shape[-1]), "float32")
    for t, channel in np.ndindex(len(frames), frames.shape[-1]):
        plane = image.fromarray(frames[t, :, :, channel].astype("float32"))
        resized[t, :, :, channel] = plane.resize(
            size[::-1], image.Resampling.BILINEAR
        )
    return resized


def _area_means(frames: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Means over `length` equal parts of an axis, by differences of sums."""
    old_length = frames.shape[axis]
    edges = np.linspace(0, old_length, length + 1)
    pixel = np.minimum(edges.astype(int), old_length - 1)
    fraction = np.expand_dims(
        edges - pixel, tuple(range(1, frames.ndim - axis))
    )
    before = np.cumsum(frames, axis, "float64") - frames
    sums = before.take(pixel, axis) + fraction * frames.take(pixel, axis)
    return np.diff(sums, axis=axis) * (length / old_length)
