"""Readers of event recordings: one pure function a file format.

Each takes a path and returns a `Recording`; `read_recording` picks the reader
by the file's suffix and checks what came, so nothing after it has to doubt an
event. Kept by hand: tonic imports PyTorch, misreads AEDAT-2 and checks nothing.
"""

import atexit
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keras_tcl.data.events.aedat4_process import RAW
from keras_tcl.optional import require

EVENT = np.dtype([("x", "u2"), ("y", "u2"), ("t", "i8"), ("p", "u1")])
"""An event: column, row from the top, time in microseconds, 1 if brighter."""


# In microseconds, nine years: less than from 0 to the present in Unix time.
LONGEST = 2**48


class Recording(NamedTuple):
    """The events of one file and, where the file states it, the sensor's size.

    Attributes:
        events: Array `[N]` of dtype `EVENT`.
        sensor_size: `(height, width)` in pixels, or `None`.
    """

    events: np.ndarray
    sensor_size: tuple[int, int] | None = None


def read_recording(
    path: Any,
    sensor_size: tuple[int, int] | None = None,
    sort: bool = False,
    columns: str = "xytp",
) -> Recording:
    """Read and check one recording; the suffix tells the format.

    Args:
        path: A `.aedat4`, `.aedat`, `.bin` (N-MNIST), `.npy` or `.npz` file.
        sensor_size: `(height, width)` that every event must lie in. `None`
            takes what the file states.
        sort: Whether to put events into the order of time (stable) instead
            of refusing a recording whose clock runs backwards. A 32-bit clock
            that begins anew, after 71 minutes, counts on.
        columns: Order of the columns of plain `[N, 4]` NumPy arrays.

    Raises:
        ValueError: if the suffix is unknown, or the file is cut off, is not
            what its suffix says, holds no event, comes from a sensor of
            another size, has an event outside the sensor, or its clock runs
            backwards or jumps by years.
        ImportError: for `.aedat4` without the package `aedat`.

    Example:

    ```python
    events, sensor_size = read_recording("cifar10_airplane_0.aedat4")
    ```
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise ValueError(
            f"A recording is a {', '.join(READERS)} file. Received: {path}"
        )
    try:
        if READERS[suffix] is read_numpy:
            events, stated = read_numpy(path, columns)
        else:
            events, stated = READERS[suffix](path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error}).") from error
    if not len(events):
        raise ValueError(f"{path} holds no event. Replace it or leave it out.")

    size = sensor_size or stated
    if size is None:
        raise ValueError(
            f"{path} does not state the sensor's size: pass "
            "`sensor_size=(height, width)`."
        )
    if stated is not None and tuple(stated) != tuple(size):
        raise ValueError(
            f"{path} was recorded at {stated[0]} x {stated[1]} pixels, "
            f"{size[0]} x {size[1]} expected: the recordings of a data set "
            "have one resolution."
        )
    outside = (events["y"] >= size[0]) | (events["x"] >= size[1])
    if outside.any():
        index = outside.argmax()
        raise ValueError(
            f"Event {index} of {path} lies outside the sensor of {size[0]} x "
            f"{size[1]} pixels. Received: y={events['y'][index]}, "
            f"x={events['x'][index]}"
        )
    if sort:
        events["t"] = _continued(events["t"])
    # Not by differences, which overflow where times are absurd.
    backwards = events["t"][1:] < events["t"][:-1]
    if backwards.any() and sort:
        events = events[np.argsort(events["t"], kind="stable")]
    elif backwards.any():
        index = backwards.argmax() + 1
        raise ValueError(
            f"Time runs backwards at event {index} of {path}: "
            f"{events['t'][index]} us after {events['t'][index - 1]} us. "
            "Replace the file, or pass `sort=True` to put events in order."
        )
    first, last = int(events["t"][0]), int(events["t"][-1])
    if last - first > LONGEST:
        raise ValueError(
            f"{path} lasts for years: its first event is at {first} us, its "
            f"last at {last} us. Times must be microseconds of one clock; "
            "leave out events whose stamp was never set."
        )
    return Recording(events, size)


def read_aedat4(path: Any) -> Recording:
    """Read the first event stream of an AEDAT-4 file.

    The package `aedat` decodes it, as it does for tonic: taken directly it
    spares the import of tonic, which brings PyTorch along. It does so in
    another process, for some damaged files abort the one that decodes them.
    """
    require("aedat", "Reading .aedat4 recordings", "keras_tcl[dvs]")
    with open(path, "rb"):
        pass  # Say what is the matter with a file that is not there.
    answer, content = _decode_apart(path)
    if "error" in answer:
        raise ValueError(
            f"{path} is not a whole AEDAT-4 file ({answer['error']}). Fetch "
            "it again."
        )
    raw = np.frombuffer(content, RAW)
    height, width = answer["size"]
    return Recording(
        _events(path, raw["x"], raw["y"], raw["t"], raw["on"]), (height, width)
    )


# Processes that wait for a file; each serves one thread at a time.
_IDLE: list[subprocess.Popen[bytes]] = []


def _decode_apart(path: Any) -> tuple[dict[str, Any], bytes]:
    """What `aedat4_process` answers; an error too where it has died."""
    process = None
    while _IDLE and process is None:
        process = _IDLE.pop()
        if process.poll() is not None:  # Somebody has ended it.
            _stop(process)
            process = None
    if process is None:
        script = pathlib.Path(__file__).with_name("aedat4_process.py")
        process = subprocess.Popen(
            [sys.executable, "-P", script, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(os.fsencode(path).hex().encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            _stop(process)
            return {"error": "it aborts its decoder"}, b""
        answer = json.loads(line)
        content = process.stdout.read(answer["bytes"])
    except BaseException:  # Interrupted: its answer would be another's.
        _stop(process)
        raise
    _IDLE.append(process)
    return answer, content


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


@atexit.register
def _stop_all() -> None:
    while _IDLE:
        _stop(_IDLE.pop())


if hasattr(os, "register_at_fork"):
    # They answer to the process that started them.
    os.register_at_fork(after_in_child=_IDLE.clear)


def read_aedat2(path: Any) -> Recording:
    """Read an AEDAT-2.0 file of the DVS128 sensor, 128 x 128 pixels.

    A header of lines that begin with `#`, then big-endian pairs of 32 bits:
    address and microseconds. Address bits 1 to 7 count columns from the
    right, bits 8 to 14 rows from the bottom, bit 0 is 1 for *darker*, and
    bit 15 marks signals that are no event. Returned are image coordinates
    and 1 for brighter, as the sensor's drivers (jAER, libcaer) deliver.
    tonic 1.7's reader is not used: it fails on unpacking the header, and
    has the axes swapped and the polarity inverted.
    """
    content = pathlib.Path(path).read_bytes()
    if not content.startswith(b"#!AER-DAT2"):
        raise ValueError(
            f"{path} is not an AEDAT-2.0 file: it begins with "
            f"{content[:12]!r}, not with b'#!AER-DAT2.0'."
        )
    start = 0
    while content.startswith(b"#", start):
        start = content.find(b"\n", start) + 1
        if not start:
            raise ValueError(f"{path} ends in its header. Fetch it again.")
    address, time = _records(path, content[start:], 8).view(">u4").T
    if address.size and address.max() > 0xFFFF:
        raise ValueError(
            f"{path} does not come from a DVS128 sensor: event "
            f"{address.argmax()} has the address {address.max():#x}, which "
            "exceeds 16 bits."
        )
    is_event = address & 0x8000 == 0
    address, time = address[is_event], time[is_event]
    x = 127 - (address >> 1 & 127)
    y = 127 - (address >> 8 & 127)
    return Recording(_events(path, x, y, time, 1 - (address & 1)), (128, 128))


def read_nmnist(path: Any) -> Recording:
    """Read the 40-bit records of N-MNIST and N-Caltech101.

    Bytes 0 and 1 are x and y, then come one bit of polarity and 23 bits of
    microseconds. A record with y = 240 is no event: it moves itself and all
    that follow on by 2^13 us, as the authors' own reader and tonic have it.
    """
    content = pathlib.Path(path).read_bytes()
    x, y, high, middle, low = _records(path, content, 5).astype("i8").T
    overflow = y == 240
    time = (high & 127) << 16 | middle << 8 | low
    time += 2**13 * np.cumsum(overflow)
    kept = ~overflow
    return Recording(
        _events(path, x[kept], y[kept], time[kept], high[kept] >> 7)
    )


def read_numpy(path: Any, columns: str = "xytp") -> Recording:
    """Read events that NumPy saved.

    They are one array, structured with the fields x, y, t, p or plain
    `[N, 4]`, or four arrays x, y, t, p in an `.npz` file as SpikingJelly
    writes them. Times are whole microseconds, polarities 0 and 1 or -1 and 1.

    Args:
        path: The `.npy` or `.npz` file.
        columns: Order of the columns of a plain array.
    """
    if sorted(columns) != sorted("xytp"):
        raise ValueError(
            "`columns` must be the letters x, y, t and p in the order of the "
            f"columns. Received: columns={columns!r}"
        )
    try:
        with open(path, "rb") as stream:
            loaded = np.load(stream)
            if isinstance(loaded, np.ndarray):
                arrays = {"": loaded}
            else:
                arrays = {name: loaded[name] for name in loaded.files}
    except Exception as error:  # A damaged header raises anything.
        raise ValueError(
            f"{path} is not a NumPy file ({type(error).__name__}: {error})."
        ) from error
    if len(arrays) == 1:
        (array,) = arrays.values()
        if array.dtype.names:
            arrays = {name: array[name] for name in array.dtype.names}
        elif array.ndim == 2 and array.shape[1] == 4:
            arrays = dict(zip(columns, array.T, strict=True))
    if not set(arrays) >= set("xytp"):
        raise ValueError(
            f"{path} must hold an [N, 4] array, a structured array with the "
            "fields x, y, t, p, or four arrays of those names. Received: "
            + ", ".join(f"{n!r} {a.dtype} {a.shape}" for n, a in arrays.items())
        )
    return Recording(_events(path, *(arrays[name] for name in "xytp")))


READERS: dict[str, Callable[[Any], Recording]] = {
    ".aedat4": read_aedat4,
    ".aedat": read_aedat2,
    ".bin": read_nmnist,
    ".npy": read_numpy,
    ".npz": read_numpy,
}
"""The reader of each file suffix."""


def _continued(times: np.ndarray) -> np.ndarray:
    """Times of a 32-bit clock that began anew, as if it had counted on."""
    if times.min() < -(2**31) or times.max() >= 2**32:
        return times
    # Events near the turn may be out of order: it is taken back then. But a
    # long silence before any turn takes back nothing.
    jumps = np.diff(times, prepend=times[:1])
    turns = np.cumsum((jumps < -(2**31)).astype("i8") - (jumps > 2**31))
    turns -= np.minimum.accumulate(np.minimum(turns, 0))
    return times + 2**32 * turns


def _records(path: Any, content: bytes, size: int) -> np.ndarray:
    """Bytes `[N, size]` of fixed-size records."""
    if len(content) % size:
        raise ValueError(
            f"{path} is cut off: {len(content)} bytes of events are not a "
            f"multiple of the {size} bytes of one. Fetch it again."
        )
    return np.frombuffer(content, np.uint8).reshape(-1, size)


def _events(path: Any, x: Any, y: Any, t: Any, p: Any) -> np.ndarray:
    """Pack columns into an array of `EVENT`; refuse values it cannot hold."""
    events = np.empty(len(t), EVENT)
    for name, values in zip("xytp", (x, y, t, p), strict=True):
        if np.asarray(values).dtype.kind not in "biuf":
            raise ValueError(
                f"{path} must hold numbers. Received: {name!r} of dtype "
                f"{np.asarray(values).dtype}."
            )
    if np.size(p) and np.min(p) == -1:
        p = (np.asarray(p) + 1) / 2
    for name, values in zip("xytp", (x, y, t, p), strict=True):
        values = np.asarray(values)
        if values.shape != events.shape:
            raise ValueError(
                f"{path} has {values.shape} values of {name!r} for "
                f"{events.shape} times."
            )
        with np.errstate(invalid="ignore"):
            events[name] = values
        wrong = events[name] != values
        if name == "p":
            wrong |= events["p"] > 1
        if wrong.any():
            accepted = {
                "t": "whole microseconds (seconds: multiply by 1e6)",
                "p": "0 and 1, or -1 and 1",
            }.get(name, "whole numbers from 0 to 65535")
            raise ValueError(
                f"Event {wrong.argmax()} of {path} is not readable: {name!r} "
                f"must be {accepted}. Received: {values[wrong.argmax()]}"
            )
    return events
