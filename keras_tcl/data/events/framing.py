"""From events to frames."""

import dataclasses
from typing import Any

import numpy as np

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

    >>> framing = Framing(timesteps=4, frame_size=48)
    >>> framing(events, (128, 128)).shape
    (4, 48, 48, 2)

    Reference: TCL paper, section 5.1 (T = 4, 128 x 128 reduced to 48 x 48).
    """

    timesteps: int = 4
    binning: str = "count"
    frame_size: Any = None
    interpolation: str = "bilinear"
    values: str = "count"

    def __post_init__(self) -> None:
        if not _is_positive_integer(self.timesteps):
            raise ValueError(
                "`timesteps` must be a positive integer. "
                f"Received: timesteps={self.timesteps!r}"
            )
        if self.frame_size is not None:
            object.__setattr__(
                self, "frame_size", as_size("frame_size", self.frame_size)
            )
        for name, accepted in (
            ("binning", BINNINGS),
            ("interpolation", INTERPOLATIONS),
            ("values", VALUES),
        ):
            if getattr(self, name) not in accepted:
                raise ValueError(
                    f"`{name}` must be one of {accepted}. "
                    f"Received: {name}={getattr(self, name)!r}"
                )

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
        else:
            position = events["t"] - events["t"][:1]
            end = position.max(initial=0) + 1
        return position * self.timesteps // end


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
    frames = frames.astype("float32")
    for axis, new_length in zip((1, 2), size, strict=True):
        weights = resize_weights(frames.shape[axis], new_length, interpolation)
        frames = _weighted_sums(frames, weights, axis)
    return frames


def resize_weights(
    length: int, new_length: int, interpolation: str = "bilinear"
) -> np.ndarray:
    """Weights `[new_length, length]` of the old pixels in each new pixel.

    Pixel k covers the interval [k, k + 1]; each row adds up to 1.
    """
    scale = length / new_length
    old = np.arange(length)
    new = np.arange(new_length)[:, None]
    if interpolation == "area":
        end = np.minimum(old + 1, (new + 1) * scale)
        weights = np.maximum(end - np.maximum(old, new * scale), 0)
    else:
        distance = np.abs(old + 0.5 - (new + 0.5) * scale)
        weights = np.maximum(1 - distance / max(scale, 1), 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


def _weighted_sums(
    frames: np.ndarray, weights: np.ndarray, axis: int
) -> np.ndarray:
    """`weights @ frames` along an axis, for rows of few weights.

    A matrix product would start threads of its own, which on a busy machine
    took 70 ms instead of 1 for a recording (128 x 128, T = 4, two cores).
    """
    number = np.count_nonzero(weights, axis=1).max()
    largest = np.argsort(-weights, axis=1, kind="stable")[:, :number]
    shape = [1] * frames.ndim
    shape[axis] = -1
    total: Any = 0
    for column in largest.T:
        weight = weights[np.arange(len(weights)), column].reshape(shape)
        total = total + weight * frames.take(column, axis)
    return total


def as_size(name: str, value: Any) -> tuple[int, int]:
    """`(height, width)` of a pair, or of one integer for both."""
    pair = (value, value) if np.ndim(value) == 0 else tuple(value)
    if len(pair) != 2 or not all(map(_is_positive_integer, pair)):
        raise ValueError(
            f"`{name}` must be a positive integer or a pair (height, width) "
            f"of them. Received: {name}={value!r}"
        )
    return int(pair[0]), int(pair[1])


def _is_positive_integer(value: Any) -> bool:
    is_integer = isinstance(value, (int, np.integer))
    return is_integer and not isinstance(value, bool) and bool(value > 0)
