"""N-MNIST: MNIST digits moved before an event camera in three saccades.

Its folder is listed here, so that tonic is needed for a download only.
"""

import pathlib
from typing import Any

from keras_tcl import checks
from keras_tcl.data.catalogue import register
from keras_tcl.data.events.event_source import EventSource, download_with_tonic
from keras_tcl.data.events.framing import Framing
from keras_tcl.data.files import find_files, list_classes, warn_if_incomplete
from keras_tcl.data.sources import DataInfo

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


@register(INFO, further=Framing)
def open_nmnist(
    split: str,
    data_dir: pathlib.Path,
    sort: bool = False,
    cache_dir: Any = None,
    download: bool = False,
    **framing: Any,
) -> EventSource:
    """Open one of the two official splits.

    Args:
        split: `"train"` or `"test"`.
        data_dir: Folder with `Train` and `Test`, or their archives, in it or
            below `NMNIST` or `nmnist`.
        sort: See `read_recording`.
        cache_dir: See `EventSource`.
        download: Whether tonic may fetch the files where they are missing.
        **framing: See `Framing`. The sensor has 34 x 34 pixels.

    Raises:
        ValueError: if an argument is none of these, a file is missing or
            bad, or the download fails.
    """
    frames = Framing(**framing)
    folder = checks.choice("split", split, INFO.splits).capitalize()
    archives = {f"{folder}.zip": "", f"{split}.zip": ""}
    places = ("NMNIST", INFO.name, ".")
    root = find_files(data_dir, INFO.name, [folder], archives, places)
    if root is None and download:
        train = split == "train"
        download_with_tonic("NMNIST", data_dir, INFO.where, train=train)
        root = find_files(data_dir, INFO.name, [folder], archives, places)
    place = (root or data_dir / places[0]) / folder
    files, labels = list_classes(place, INFO.class_names, (".bin",), INFO.where)
    warn_if_incomplete(INFO, split, len(files), place)
    return EventSource(
        INFO.replace(
            splits={split: len(files)}, notes={"split_rule": "official"}
        ),
        data_dir,
        files,
        labels,
        frames,
        SENSOR_SIZE,
        cache_dir=cache_dir,
        sort=sort,
    )
