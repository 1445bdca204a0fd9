"""N-MNIST: MNIST digits moved before an event camera in three saccades."""

import pathlib
import warnings
from typing import Any

from keras_tcl.data.events.frames import EventFrames
from keras_tcl.data.events.framing import Framing
from keras_tcl.data.events.recordings import download as download_with_tonic
from keras_tcl.data.events.recordings import find_folder, find_recordings
from keras_tcl.data.events.splits import check_split
from keras_tcl.data.info import DataInfo

SENSOR_SIZE = (34, 34)

INFO = DataInfo(
    name="nmnist",
    classes=10,
    class_names=tuple("0123456789"),
    shape=(4, *SENSOR_SIZE, 2),
    splits={"train": 60_000, "test": 10_000},
    size="70,000 recordings of 0.3 s",
    licence="CC BY-SA 4.0",
    citation=(
        "G. Orchard, A. Jayawant, G. K. Cohen and N. Thakor, Converting "
        "static image datasets to spiking neuromorphic datasets using "
        "saccades, Frontiers in Neuroscience 9:437, 2015."
    ),
    where=(
        "Put Train.zip and Test.zip of "
        "https://data.mendeley.com/datasets/468j46mzdv/1 into DATA_DIR/NMNIST "
        "(unpacked: DATA_DIR/NMNIST/Train/0/00002.bin and so on), or pass "
        "`download=True`."
    ),
)


def open_nmnist(
    split: str,
    data_dir: pathlib.Path,
    timesteps: int = 4,
    binning: str = "count",
    frame_size: Any = None,
    interpolation: str = "bilinear",
    values: str = "count",
    sort: bool = False,
    cache_dir: Any = None,
    download: bool = False,
) -> EventFrames:
    """Open one of the two official splits.

    Args:
        split: `"train"` or `"test"`.
        data_dir: Folder with `Train` and `Test`, or their archives, in it or
            below `NMNIST` or `nmnist`.
        timesteps: See `Framing`.
        binning: See `Framing`.
        frame_size: See `Framing`. The sensor has 34 x 34 pixels.
        interpolation: See `Framing`.
        values: See `Framing`.
        sort: See `read_recording`.
        cache_dir: See `EventFrames`.
        download: Whether tonic may fetch the files where they are missing.

    Raises:
        ValueError: if an argument is none of these, a file is missing or
            bad, or the download fails.
    """
    framing = Framing(timesteps, binning, frame_size, interpolation, values)
    check_split(split, INFO.splits)
    folder = split.capitalize()
    places = ("NMNIST", INFO.name, ".")
    root = find_folder(data_dir, places, [folder])
    if root is None and download:
        download_with_tonic(
            "NMNIST", data_dir, INFO.where, train=split == "train"
        )
        root = find_folder(data_dir, places, [folder])
    root = root or data_dir / places[0]
    files, labels = find_recordings(
        root / folder, INFO.class_names, INFO.where, (".bin",)
    )
    if len(files) != INFO.splits[split]:
        warnings.warn(
            f"{root / folder} holds {len(files):,} of the "
            f"{INFO.splits[split]:,} recordings of N-MNIST: results do not "
            "compare with published ones.",
            stacklevel=2,
        )
    info = INFO.replace(
        splits={split: len(files)}, notes={"split_rule": "official"}
    )
    return EventFrames(
        info,
        data_dir,
        files,
        labels,
        framing,
        SENSOR_SIZE,
        cache_dir=cache_dir,
        sort=sort,
    )
