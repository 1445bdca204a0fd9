"""A data set's recordings as a source of frames."""

import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_tcl.data.events.cache import FrameCache
from keras_tcl.data.events.framing import Framing
from keras_tcl.data.events.readers import read_recording
from keras_tcl.data.sources import DataInfo, Source
from keras_tcl.optional import require


class EventSource(Source):
    """Recordings read as frames `[T, height, width, 2]`, through a cache.

    Args:
        info: `DataInfo`; its shape, and its note on framing, are filled in.
        root: Folder that the files lie in or below.
        files: Paths of all recordings under `root`.
        labels: Their labels.
        framing: A `Framing`.
        sensor_size: `(height, width)` in pixels.
        rows: Integers, the positions in `files` that this source serves.
            `None` serves all. All recordings are cached at once: splits
            share a cache.
        cache_dir: Folder of the cache, `root / ".keras_tcl_cache"` by
            default.
        **reading: Further arguments of `read_frames`.
    """

    def __init__(
        self,
        info: DataInfo,
        root: pathlib.Path,
        files: Sequence[pathlib.Path],
        labels: Any,
        framing: Framing,
        sensor_size: tuple[int, int],
        rows: Any = None,
        cache_dir: Any = None,
        **reading: Any,
    ) -> None:
        self.rows = np.arange(len(files)) if rows is None else np.asarray(rows)
        shape = framing.shape(sensor_size)
        notes = {**info.notes, "framing": str(framing)}
        super().__init__(
            info.replace(shape=shape, notes=notes),
            np.asarray(labels)[self.rows],
            shape,
            "float32",
        )
        self.cache = FrameCache(
            cache_dir or root / ".keras_tcl_cache",
            info.name,
            root,
            files,
            read_frames,
            {"framing": framing, "sensor_size": sensor_size, **reading},
            shape,
            framing.dtype,
        )

    def read(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        indices = np.asarray(indices, "int64")
        x = self.cache.read(self.rows[indices])
        return x.astype("float32", copy=False), self.labels[indices]


def read_frames(
    path: Any,
    framing: Framing,
    sensor_size: tuple[int, int],
    transpose: bool = False,
    sort: bool = False,
    columns: str = "xytp",
) -> np.ndarray:
    """Read one recording as frames `[T, height, width, 2]`.

    Args:
        path: The recording's file.
        framing: A `Framing`.
        sensor_size: `(height, width)` in pixels.
        transpose: Whether to swap x and y, for a square sensor.
        sort: See `read_recording`.
        columns: See `read_recording`.
    """
    events, _ = read_recording(path, sensor_size, sort, columns)
    if transpose:
        events["x"], events["y"] = events["y"].copy(), events["x"].copy()
    return framing(events, sensor_size)


def download_with_tonic(
    dataset: str, data_dir: pathlib.Path, where: str, **options: Any
) -> None:
    """Download and unpack a data set with tonic, below `data_dir / dataset`.

    Args:
        dataset: String, the class in `tonic.datasets`.
        data_dir: Folder.
        where: String, which files to put where; the error's last words.
        **options: Further arguments of that class.

    Raises:
        ImportError: without tonic.
        ValueError: if the download fails, as it does without a network.
    """
    datasets = require(
        "tonic.datasets", f"Downloading {dataset}", "keras_tcl[dvs]"
    )
    try:
        getattr(datasets, dataset)(save_to=str(data_dir), **options)
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"Downloading {dataset} failed ({error}). By hand: {where}"
        ) from error
