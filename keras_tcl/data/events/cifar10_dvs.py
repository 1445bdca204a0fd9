"""CIFAR10-DVS: images of CIFAR-10 moved before a DVS128 event camera.

Its folder is listed here: tonic reads the newer release alone, and knows none
of the splits in use.
"""

import pathlib
import re
import warnings
from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.data.catalogue import register
from keras_tcl.data.events.event_source import EventSource, download_with_tonic
from keras_tcl.data.events.framing import Framing
from keras_tcl.data.files import find_files, list_classes
from keras_tcl.data.images.cifar import INFO10
from keras_tcl.data.sources import DataInfo
from keras_tcl.data.splits import SPLIT_RULES, split_rows

SENSOR_SIZE = (128, 128)
PER_CLASS = 1_000

INFO = DataInfo(
    name="cifar10_dvs",
    classes=10,
    class_names=INFO10.class_names,
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


@register(INFO, further=Framing)
def open_cifar10_dvs(
    split: str,
    data_dir: pathlib.Path,
    split_rule: str = "tet",
    split_seed: int = 0,
    test_fraction: float = 0.1,
    frame_size: Any = 48,
    sort: bool = False,
    cache_dir: Any = None,
    download: bool = False,
    **framing: Any,
) -> EventSource:
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
        frame_size: See `Framing`. The paper reduces 128 x 128 to 48 x 48.
        sort: See `read_recording`.
        cache_dir: See `EventSource`.
        download: Whether tonic may fetch the files where they are missing.
        **framing: See `Framing`.

    Raises:
        ValueError: if an argument is none of these, a file is missing or
            bad, or the download fails.
        ImportError: for `.aedat4` without the package `aedat`.
    """
    frames = Framing(frame_size=frame_size, **framing)
    checks.choice("split", split, INFO.splits)
    names = INFO.class_names
    archives = {f"{name}.zip": "" for name in names}
    places = ("CIFAR10DVS", INFO.name, ".")
    root = find_files(data_dir, INFO.name, names, archives, places)
    if root is None and download:
        download_with_tonic("CIFAR10DVS", data_dir, INFO.where)
        root = find_files(data_dir, INFO.name, names, archives, places)
    root = root or data_dir / places[0]
    files, labels = list_classes(root, names, (".aedat4", ".aedat"), INFO.where)
    suffixes = {path.suffix.lower() for path in files}
    if len(suffixes) > 1:
        raise ValueError(
            f"{root} mixes .aedat4 and .aedat recordings: keep one release."
        )
    sizes = np.bincount(labels)
    if (sizes != PER_CLASS).any():
        warnings.warn(
            f"{root} holds {sizes.min():,} to {sizes.max():,} recordings a "
            f"class, the whole of CIFAR10-DVS {PER_CLASS:,}. Results do not "
            "compare with published ones.",
            stacklevel=2,
        )
    numbers = [_number(path) for path in files]
    splits = split_rows(split_rule, labels, numbers, split_seed, test_fraction)
    info = INFO.replace(
        splits={name: len(rows) for name, rows in splits.items()},
        notes={
            "split_rule": split_rule,
            "split_rule_says": SPLIT_RULES[split_rule],
            "split_seed": split_seed,
            "test_fraction": test_fraction,
        },
    )
    return EventSource(
        info,
        data_dir,
        files,
        labels,
        frames,
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
