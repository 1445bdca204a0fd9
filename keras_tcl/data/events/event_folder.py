"""Your own recordings, in one folder a class."""

import pathlib
from typing import Any

from keras_tcl import checks
from keras_tcl.data.catalogue import register
from keras_tcl.data.events.event_source import EventSource
from keras_tcl.data.events.framing import Framing
from keras_tcl.data.events.readers import READERS, read_recording
from keras_tcl.data.files import open_folder
from keras_tcl.data.sources import DataInfo

INFO = DataInfo(
    name="event_folder",
    classes=0,
    shape=(4, None, None, 2),
    splits={},
    size="yours",
    where=(
        "Put your recordings into DATA_DIR/CLASS/*, or into "
        "DATA_DIR/train/CLASS/* and DATA_DIR/test/CLASS/*, as "
        f"{', '.join(READERS)} files."
    ),
)


@register(INFO, further=Framing)
def open_event_folder(
    split: str,
    data_dir: pathlib.Path,
    sensor_size: Any = None,
    columns: str = "xytp",
    split_seed: int = 0,
    test_fraction: float = 0.2,
    sort: bool = False,
    cache_dir: Any = None,
    **framing: Any,
) -> EventSource:
    """Open a folder of recordings, see `open_folder`.

    Args:
        split: Name of a split.
        data_dir: The folder.
        sensor_size: `(height, width)` in pixels. `None` takes it from the
            first recording, if it says so (`.aedat4`, `.aedat`).
        columns: See `read_recording`.
        split_seed: See `split_rows`.
        test_fraction: See `split_rows`.
        sort: See `read_recording`.
        cache_dir: See `EventSource`.
        **framing: See `Framing`.

    Raises:
        ValueError: if an argument is none of these, a class has no recording,
            or a recording is bad.
        ImportError: for `.aedat4` without the package `aedat`.
    """
    frames = Framing(**framing)
    folder = open_folder(
        INFO, split, data_dir, tuple(READERS), split_seed, test_fraction
    )
    if sensor_size is None:
        first = folder.files[0]
        sensor_size = read_recording(first, None, sort, columns).sensor_size
    return EventSource(
        folder.info,
        data_dir,
        folder.files,
        folder.labels,
        frames,
        checks.size("sensor_size", sensor_size),
        rows=folder.rows,
        cache_dir=cache_dir,
        sort=sort,
        columns=columns,
    )
