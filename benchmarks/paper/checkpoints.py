"""Checkpoints of a run, the last two of them."""

import json
import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import keras

import keras_tcl
from benchmarks.paper.storage import whole

_PROGRESS = "progress.json"


class Checkpoints:
    """The state of a run after its last epoch, and after the one before.

    A checkpoint is one `.keras` file (weights, optimizer, random state) with
    the progress of the run (epochs, history, seconds) as a further member, so
    that the two cannot come apart.

    Args:
        folder: Path of the run's folder.
        say: Function of a string, told what is wrong with a checkpoint.
    """

    def __init__(
        self, folder: pathlib.Path, say: Callable[[str], None] = print
    ) -> None:
        self.folder = folder
        self.last = folder / "checkpoint.keras"
        self.previous = folder / "checkpoint-previous.keras"
        self.say = say

    def save(self, model: keras.Model, progress: dict[str, Any]) -> None:
        """Write a checkpoint; the last one becomes the previous one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole(self.last) as partial:
            model.save(partial)
            with zipfile.ZipFile(partial, "a") as archive:
                archive.writestr(_PROGRESS, json.dumps(progress))
            if self.last.exists():
                os.replace(self.last, self.previous)

    def restore(self) -> tuple[keras.Model, dict[str, Any]] | None:
        """Model and progress of the last good checkpoint, or `None`.

        Raises:
            ValueError: where it was written under another backend, whose
                random numbers cannot be continued.
        """
        for path in (self.last, self.previous):
            if not path.exists():
                continue
            try:
                with zipfile.ZipFile(path) as archive:
                    progress = json.loads(archive.read(_PROGRESS))
            except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
                self._set_aside(path, error)
                continue
            if progress["backend"] != keras.config.backend():
                raise ValueError(
                    f"{path} was written under KERAS_BACKEND="
                    f"{progress['backend']} and cannot be continued exactly "
                    f"under {keras.config.backend()}. Use that backend, or "
                    f"remove {self.folder}."
                )
            try:
                return keras_tcl.models.load_model(path), progress
            except Exception as error:
                self._set_aside(path, error)
        return None

    def tidy(self) -> None:
        """Keep the last checkpoint alone: the trained model."""
        self.previous.unlink(missing_ok=True)

    def _set_aside(self, path: pathlib.Path, error: Exception) -> None:
        # Not removed: it may be our fault that it cannot be read.
        os.replace(path, path.with_name(f"damaged-{path.name}"))
        self.say(
            f"{path} is damaged ({type(error).__name__}: {error}); going on "
            "from the one before, or from the beginning if there is none"
        )
