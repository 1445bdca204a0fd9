"""Your own recordings, in one folder a class."""

import pathlib
from typing import Any

import numpy as np

from keras_tcl.data.events.frames import EventFrames
from keras_tcl.data.events.framing import Framing, as_size
from keras_tcl.data.events.readers import READERS, read_recording
from keras_tcl.data.events.recordings import find_recordings
from keras_tcl.data.events.splits import SPLIT_RULES, check_split, split_rows
from keras_tcl.data.info import DataInfo

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


def open_event_folder(
    split: str,
    data_dir: pathlib.Path,
    sensor_size: Any = None,
    columns: str = "xytp",
    split_seed: int = 0,
    test_fraction: float = 0.2,
    timesteps: int = 4,
    binning: str = "count",
    frame_size: Any = None,
    interpolation: str = "bilinear",
    values: str = "count",
    sort: bool = False,
    cache_dir: Any = None,
) -> EventFrames:
    """Open a folder of recordings; the folders' names are the classes.

    Where there is a folder `train`, it and the others beside it are the
    splits. Otherwise each class is split at random into `"train"` and
    `"test"`, and `"all"` is everything.

    Args:
        split: Name of a split.
        data_dir: The folder.
        sensor_size: `(height, width)` in pixels. `None` takes it from the
            first recording, if it says so (`.aedat4`, `.aedat`).
        columns: See `read_recording`.
        split_seed: See `split_rows`.
        test_fraction: See `split_rows`.
        timesteps: See `Framing`.
        binning: See `Framing`.
        frame_size: See `Framing`.
        interpolation: See `Framing`.
        values: See `Framing`.
        sort: See `read_recording`.
        cache_dir: See `EventFrames`.

    Raises:
        ValueError: if an argument is none of these, a class has no recording,
            or a recording is bad.
        ImportError: for `.aedat4` without the package `aedat`.
    """
    framing = Framing(timesteps, binning, frame_size, interpolation, values)
    split_names = _folders(data_dir) if (data_dir / "train").is_dir() else ()
    folders = [data_dir / name for name in split_names] or [data_dir]
    class_names = sorted({name for path in folders for name in _folders(path)})
    if not class_names:
        raise ValueError(f"{data_dir} holds no class. {INFO.where}")

    files: list[pathlib.Path] = []
    labels: list[int] = []
    splits: dict[str, Any] = {}
    for folder in folders:
        found = find_recordings(folder, class_names, INFO.where)
        splits[folder.name] = np.arange(len(files), len(files) + len(found[0]))
        files += found[0]
        labels += found[1]
    notes: dict[str, Any] = {"split_rule": "the folders"}
    if not split_names:
        splits = split_rows(
            "random",
            labels,
            split_seed=split_seed,
            test_fraction=test_fraction,
        )
        splits["all"] = np.arange(len(files))
        notes = {
            "split_rule": "random",
            "split_rule_says": SPLIT_RULES["random"],
            "split_seed": split_seed,
            "test_fraction": test_fraction,
        }
    check_split(split, splits)
    if sensor_size is None:
        sensor_size = read_recording(files[0], None, sort, columns).sensor_size
    return EventFrames(
        INFO.replace(
            classes=len(class_names),
            class_names=tuple(class_names),
            splits={name: len(rows) for name, rows in splits.items()},
            notes=notes,
        ),
        data_dir,
        files,
        labels,
        framing,
        as_size("sensor_size", sensor_size),
        rows=splits[split],
        cache_dir=cache_dir,
        sort=sort,
        columns=columns,
    )


def _folders(path: pathlib.Path) -> list[str]:
    """Names of the folders in a folder, but for those of tools."""
    entries = path.iterdir() if path.is_dir() else ()
    return sorted(
        entry.name
        for entry in entries
        if entry.is_dir() and not entry.name.startswith((".", "__"))
    )
