"""Files that are whole or not there."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

try:
    import fcntl
except ImportError:  # Not a Unix: two processes must not share a folder.
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary path whose content appears under `path` once complete.

    Whatever happens before, a kill or a full disk, `path` is what it was.
    """
    partial = path.with_name(f"partial-{path.name}")
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        partial.write_text(text, "utf-8")


def write_json(path: pathlib.Path, content: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: pathlib.Path) -> Any:
    """The content of a JSON file; `None` where it is missing or damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def lock(folder: pathlib.Path) -> Iterator[bool]:
    """Whether this process alone works in the folder; a kill frees it."""
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield True
        return
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _sync_folder(folder: pathlib.Path) -> None:
    """Make a rename durable, where the system lets us."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
