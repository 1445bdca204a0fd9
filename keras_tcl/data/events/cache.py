"""Frames on disk, made once."""

import contextlib
import hashlib
import json
import os
import pathlib
import sys
import time
import uuid
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_tcl.progress import shown

# To be raised when the same settings give other frames than before.
FORMAT = 3
# Recordings made between two writes: what a build holds in memory.
CHUNK = 64
# What is looked at of either end of a recording, in bytes.
END = 4096


class FrameCache:
    """The frames of many recordings in one `.npy` file, made when missing.

    The file's name carries a hash of the settings and of every recording's
    path, size, time of change, and first and last 4 KiB: where one of them
    differs, another file is looked for. A cache is written under another name
    and renamed when it is whole and on the disk, so a build that dies leaves
    none (only a `.tmp` file, which a build an hour later sweeps up), and
    builds at the same time do not meet: they write equal files, and the last
    one renamed stays. Each record has a checksum that `read` compares: a
    damaged cache is built anew, with a warning.

    The file is mapped for the length of a `read`, which copies what is asked
    for. So resident memory does not grow over an epoch, and the object can be
    copied to other processes.

    Args:
        folder: Folder of the cache; made when missing. May be emptied at any
            time.
        name: String, the beginning of the file's name.
        root: Folder that the recordings' paths are taken relative to: a data
            set that moves as a whole keeps its cache.
        files: Paths of the recordings.
        make: Function `make(path, **settings)` that returns frames.
        settings: Keyword arguments of `make`, told apart by their `repr`.
        shape: Tuple, the shape of one recording's frames.
        dtype: String, their dtype.

    Raises:
        ValueError: if a recording is bad, or the folder cannot be written.
    """

    def __init__(
        self,
        folder: Any,
        name: str,
        root: Any,
        files: Sequence[pathlib.Path],
        make: Callable[..., np.ndarray],
        settings: Mapping[str, Any],
        shape: tuple[int, ...],
        dtype: str,
    ) -> None:
        self.files = list(files)
        self.make = make
        self.settings = dict(settings)
        self.record = np.dtype([("frames", dtype, shape), ("checksum", "u4")])
        key: list[Any] = [FORMAT, sorted(map(repr, self.settings.items()))]
        # Threads wait for the disk side by side.
        with ThreadPoolExecutor(8) as pool:
            prints = pool.map(_fingerprint, self.files)
            what = f"looking for changes in the recordings of {name}"
            for path, fingerprint in zip(
                shown(self.files, what), prints, strict=True
            ):
                key.append([path.relative_to(root).as_posix(), *fingerprint])
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        self.path = pathlib.Path(folder) / f"{name}-{digest}.npy"
        if self._map() is None:
            self.build()

    def read(self, rows: Any) -> np.ndarray:
        """The frames of some recordings, `[n, *shape]`.

        Args:
            rows: Integers `[n]`, positions in `files`.
        """
        for build in (False, True):
            if build:
                self.build()
            records = self._map()
            if records is None:
                continue
            records = records[np.asarray(rows, "int64")]
            frames = np.ascontiguousarray(records["frames"])
            checksums = [zlib.crc32(example.data) for example in frames]
            if checksums == records["checksum"].tolist():
                return frames
            self._warn()
        raise ValueError(
            f"{self.path} is damaged just after it was written. Pass "
            "`cache_dir`, a folder on a sound disk."
        )

    def build(self) -> None:
        """Make the frames of all recordings and put the cache in its place."""
        print(
            f"keras_tcl: making the frames of {len(self.files):,} recordings, "
            f"to be kept in {self.path}",
            file=sys.stderr,
        )
        folder, stem = self.path.parent, self.path.stem
        partial = folder / f"{stem}.{uuid.uuid4().hex}.tmp"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder.glob(f"{stem}.*.tmp"))
            with open(partial, "xb") as stream:
                np.lib.format.write_array_header_2_0(
                    stream,
                    {
                        "descr": np.lib.format.dtype_to_descr(self.record),
                        "fortran_order": False,
                        "shape": (len(self.files),),
                    },
                )
                for records in self._records():
                    stream.write(records.tobytes())
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, self.path)
        except OSError as error:
            room = len(self.files) * self.record.itemsize // 2**20 + 1
            raise ValueError(
                f"The frames cannot be kept in {folder} ({error}). Pass "
                "`cache_dir`, a folder that may be written and has "
                f"{room:,} MiB of room."
            ) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()

    def _records(self) -> Iterator[np.ndarray]:
        def make(path: pathlib.Path) -> np.ndarray:
            return self.make(path, **self.settings)

        done = iter(shown(self.files, "making frames, recordings"))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(self.files), CHUNK):
                chunk = self.files[start : start + CHUNK]
                records = np.empty(len(chunk), self.record)
                made = zip(records, pool.map(make, chunk), done, strict=False)
                for record, frames, _ in made:
                    record["frames"] = frames
                    record["checksum"] = zlib.crc32(record["frames"].data)
                yield records

    def _map(self) -> np.ndarray | None:
        """The records on disk, or `None` where there are none to be used."""
        try:
            records = np.load(self.path, mmap_mode="r")
            wanted = self.record, (len(self.files),)
            if (records.dtype, records.shape) == wanted:
                return records
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception:
            pass  # A damaged header raises anything.
        self._warn()
        return None

    def _warn(self) -> None:
        warnings.warn(
            f"The cache {self.path} is damaged. It is built anew.",
            stacklevel=3,
        )


def _fingerprint(path: pathlib.Path) -> tuple[int, int, int]:
    """Size, time of change, and a checksum of the ends of a file.

    Archives and copies give other files one size and time. To read all of
    every file would take as long as to make the frames.
    """
    try:
        with open(path, "rb", buffering=0) as stream:
            status = os.fstat(stream.fileno())
            ends = stream.read(END)
            if status.st_size > END:
                stream.seek(max(END, status.st_size - END))
                ends += stream.read(END)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error}).") from error
    return status.st_size, status.st_mtime_ns, zlib.crc32(ends)


def _sweep(left_behind: Iterable[pathlib.Path]) -> None:
    """Remove what builds left that did not write for an hour: they died."""
    for path in left_behind:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink()
