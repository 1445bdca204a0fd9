"""CIFAR10-DVS: images of CIFAR-10 moved before a DVS128 event camera."""

import pathlib
import re
import warnings
from typing import Any

import numpy as np

from keras_tcl.data.events.frames import EventFrames
from keras_tcl.data.events.framing import Framing
from keras_tcl.data.events.recordings import download as download_with_tonic
from keras_tcl.data.events.recordings import find_folder, find_recordings
from keras_tcl.data.events.splits import SPLIT_RULES, check_split, split_rows
from keras_tcl.data.info import DataInfo

SENSOR_SIZE = (128, 128)
PER_CLASS = 1_000

INFO = DataInfo(
    name="cifar10_dvs",
    classes=10,
    class_names=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    shape=(4, 48, 48, 2),
    splits={"train": 9_000, "test": 1_000},
    size="10,000 recordings, ten archives",
    licence="CC BY 4.0",
    citation=(
        "H. Li, H. Liu, X. Ji, G. Li and L. Shi, CIFAR10-DVS: an "
        "event-stream dataset for object classification, Frontiers in "
        "Neuroscience 11:309, 2017."
    ),
    where=(
        "Put airplane.zip, automobile.zip, ..., truck.zip of "
        "https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671 "
        "(.aedat), or those within CIFAR10DVS.zip of "
        "https://figshare.com/ndownloader/files/38023437 (.aedat4), into "
        "DATA_DIR/CIFAR10DVS (unpacked: "
        "DATA_DIR/CIFAR10DVS/airplane/cifar10_airplane_0.aedat4 or .aedat, "
        "and so on), or pass `download=True`."
    ),
    notes={
        "split_rule": "there is no official split; `split_rule` names one",
        "split_rules": SPLIT_RULES,
    },
)


def open_cifar10_dvs(
    split: str,
    data_dir: pathlib.Path,
    split_rule: str = "tet",
    split_seed: int = 0,
    test_fraction: float = 0.1,
    timesteps: int = 4,
    binning: str = "count",
    frame_size: Any = 48,
    interpolation: str = "bilinear",
    values: str = "count",
    sort: bool = False,
    cache_dir: Any = None,
    download: bool = False,
) -> EventFrames:
    """Open a split of the 10,000 recordings, of either release.

    The older release (`.aedat`) is turned upright as SpikingJelly does, by
    swapping x and y of the camera's image. The newer (`.aedat4`) is taken as
    it is stored, as tonic does. Do not mix the two.

    Args:
        split: `"train"` or `"test"`.
        data_dir: Folder with the ten classes' folders, or their archives, in
            it or below `CIFAR10DVS` or `cifar10_dvs`.
        split_rule: `"tet"`, `"tebn"` or `"random"`, see `SPLIT_RULES`.
            Accuracies under different rules do not compare: that on `"tebn"`
            is usually much higher.
        split_seed: See `split_rows`.
        test_fraction: See `split_rows`.
        timesteps: See `Framing`.
        binning: See `Framing`.
        frame_size: See `Framing`. The paper reduces 128 x 128 to 48 x 48.
        interpolation: See `Framing`.
        values: See `Framing`.
        sort: See `read_recording`.
        cache_dir: See `EventFrames`.
        download: Whether tonic may fetch the files where they are missing.

    Raises:
        ValueError: if an argument is none of these, a file is missing or
            bad, or the download fails.
        ImportError: for `.aedat4` without the package `aedat`.
    """
    framing = Framing(timesteps, binning, frame_size, interpolation, values)
    check_split(split, INFO.splits)
    places = ("CIFAR10DVS", INFO.name, ".")
    root = find_folder(data_dir, places, INFO.class_names)
    if root is None and download:
        download_with_tonic("CIFAR10DVS", data_dir, INFO.where)
        root = find_folder(data_dir, places, INFO.class_names)
    root = root or data_dir / places[0]
    files, labels = find_recordings(
        root, INFO.class_names, INFO.where, (".aedat4", ".aedat")
    )
    suffixes = {path.suffix for path in files}
    if len(suffixes) > 1:
        raise ValueError(
            f"{root} mixes .aedat4 and .aedat recordings: keep one release."
        )
    sizes = np.bincount(labels)
    if (sizes != PER_CLASS).any():
        warnings.warn(
            f"{root} holds {sizes.min():,} to {sizes.max():,} recordings a "
            f"class, the whole of CIFAR10-DVS {PER_CLASS:,}: results do not "
            "compare with published ones.",
            stacklevel=2,
        )
    splits = split_rows(
        split_rule,
        labels,
        [_number(path) for path in files],
        split_seed,
        test_fraction,
    )
    notes = {
        "split_rule": split_rule,
        "split_rule_says": SPLIT_RULES[split_rule],
        "split_seed": split_seed,
        "test_fraction": test_fraction,
    }
    return EventFrames(
        INFO.replace(
            splits={name: len(rows) for name, rows in splits.items()},
            notes=notes,
        ),
        data_dir,
        files,
        labels,
        framing,
        SENSOR_SIZE,
        rows=splits[split],
        cache_dir=cache_dir,
        transpose=".aedat" in suffixes,
        sort=sort,
    )


def _number(path: pathlib.Path) -> int:
    match = re.search(r"(\d+)$", path.stem)
    if match is None:
        raise ValueError(
            f"The name of {path} does not end in the recording's number, "
            "which its split is told by, as in cifar10_airplane_0."
        )
    return int(match[1])
