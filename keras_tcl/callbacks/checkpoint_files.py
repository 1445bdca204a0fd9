"""Files of a training's state, each of which is whole or not there."""

import contextlib
import json
import os
import pathlib
import re
import warnings
import zipfile
from typing import Any

import ml_dtypes  # noqa: F401  (NumPy knows bfloat16 and others from then on.)
import numpy as np

# Where a training is: whole epochs, and batches of the next one.
Position = tuple[int, int]
# What JSON holds, and arrays by name.
State = tuple[dict[str, Any], dict[str, np.ndarray]]

_NAME = re.compile(r"epoch-(\d+)-step-(\d+)(?:-process-(\d+)-of-(\d+))?\.npz")
_KEPT = 2


class CheckpointFiles:
    """The two newest states of a training in a folder, for each process.

    A state is one `.npz` file. It is written under another name, brought to
    the disk (`fsync`), and renamed: under its own name, it is whole whenever
    the process or the machine dies. Every member of the file has a CRC-32, and
    where one differs, nothing of the file is used.

    Args:
        folder: Path, the same for all processes.
        process: Pair of integers `(index, count)`, whose states these are. A
            state counts where all `count` processes have that of its position:
            the two newest of these are kept.
    """

    def __init__(self, folder: Any, process: tuple[int, int] = (0, 1)) -> None:
        self.folder = pathlib.Path(folder)
        self.index, self.count = process

    def write(self, position: Position, state: State) -> pathlib.Path:
        """Write a state, then delete those before the last of this process.

        Raises:
            OSError: If it cannot be written. All is then as it was before.
        """
        path = self._path(position, self.index)
        temporary = self._path(position, self.index, ".tmp")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                _write(file, *state)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _bring_names_to_disk(self.folder)
        # One whose disk is full may be far behind the others.
        for oldest_kept in self._complete()[-_KEPT:][:1]:
            for position in self._positions(self.index):
                if position < oldest_kept:
                    self._path(position, self.index).unlink(missing_ok=True)
        return path

    def newest(self) -> tuple[pathlib.Path, Position, State] | None:
        """The newest good state, or `None` where there is none at all.

        A damaged file is renamed to `.damaged`, with a warning, and the state
        before it taken.

        Raises:
            ValueError: If there are some and none of them can be used, or they
                are of another number of processes.
        """
        self._refuse_other_count()
        for position in reversed(self._complete()):
            paths = [self._path(position, i) for i in range(self.count)]
            if all([_is_good(path) for path in paths]):
                own = paths[self.index]
                return own, position, _read(own)
        # Of this start, or of one before that ended here, too.
        if any(self.folder.glob("epoch-*.npz.damaged")):
            self._refuse("are damaged")
        # A kill within the very first `write` leaves one, and costs nothing.
        if len({found[:2] for found in self._found()}) > 1:
            self._refuse("lack the state of a process")
        return None

    def delete_unfinished(self) -> None:
        """Delete what a process that was killed has left half-written."""
        for position in self._positions(self.index, ".tmp"):
            path = self._path(position, self.index, ".tmp")
            path.unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete the states of this process, and the folder if it is empty."""
        self.delete_unfinished()
        for position in self._positions(self.index):
            self._path(position, self.index).unlink(missing_ok=True)
        # Something else may be in it, or it was never made.
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _path(
        self, position: Position, index: int, suffix: str = ""
    ) -> pathlib.Path:
        epoch, step = position
        process = f"-process-{index}-of-{self.count}" * (self.count > 1)
        name = f"epoch-{epoch:05d}-step-{step:07d}{process}.npz{suffix}"
        return self.folder / name

    def _refuse(self, fault: str) -> None:
        raise ValueError(
            f"All checkpoints in {str(self.folder)!r} {fault}. Nothing was "
            "loaded. To begin the training anew, delete the folder or name "
            "another one."
        )

    def _complete(self) -> list[Position]:
        """Positions of which all processes have a state, in their order."""
        every = [set(self._positions(index)) for index in range(self.count)]
        return sorted(set.intersection(*every))

    def _found(self, suffix: str = "") -> list[tuple[int, ...]]:
        """Epoch, step, process and their number, of each file."""
        paths = self.folder.glob(f"epoch-*.npz{suffix}")
        names = [path.name.removesuffix(suffix) for path in paths]
        matches = [_NAME.fullmatch(name) for name in names]
        found = [match.groups(default="") for match in matches if match]
        return [
            (int(epoch), int(step), int(index or 0), int(count or 1))
            for epoch, step, index, count in found
        ]

    def _positions(self, index: int, suffix: str = "") -> list[Position]:
        mine = (index, self.count)
        return sorted(
            (e, s) for e, s, *whose in self._found(suffix) if mine == (*whose,)
        )

    def _refuse_other_count(self) -> None:
        others = {count for *_, count in self._found()} - {self.count}
        if others:
            raise ValueError(
                f"The checkpoints in {str(self.folder)!r} are of "
                f"{others.pop()} process(es), and this training has "
                f"{self.count}. Each process has random numbers of its own, so "
                "none of them could go on. Train with as many as before, or "
                "begin anew with another folder."
            )


def _write(file: Any, facts: dict[str, Any], arrays: Any) -> None:
    dtypes = {name: array.dtype.name for name, array in arrays.items()}
    text = json.dumps({**facts, "dtypes": dtypes}).encode()
    np.savez(file, facts=np.frombuffer(text, "uint8"), **arrays)


def _read(path: pathlib.Path) -> State:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    facts = json.loads(arrays.pop("facts").tobytes())
    # NumPy's format has no word for bfloat16 and its like.
    for name, dtype in facts.pop("dtypes").items():
        arrays[name] = arrays[name].view(dtype)
    return facts, arrays


def _is_good(path: pathlib.Path) -> bool:
    """Whether a file is what was written; otherwise, put it out of the way."""
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
        reason = f"the checksum of {damaged!r} is wrong" if damaged else ""
    # Whatever bytes may stand where ZIP has lengths, flags and methods.
    except Exception as error:
        reason = str(error) or type(error).__name__
    if reason:
        # Processes of one training look at the same files: another one may
        # have been here before.
        with contextlib.suppress(FileNotFoundError):
            path.replace(path.with_name(f"{path.name}.damaged"))
        warnings.warn(
            f"The checkpoint {str(path)!r} is damaged: {reason}. It is not "
            "used, and kept beside as `.damaged`.",
            stacklevel=2,
        )
    return not reason


def _bring_names_to_disk(folder: pathlib.Path) -> None:
    if os.name == "nt":  # There, a folder cannot be opened.
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
