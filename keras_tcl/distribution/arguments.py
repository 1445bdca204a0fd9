"""What `fit` is given, where several processes or replicas train."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_tcl.distribution import replicas
from keras_tcl.distribution.process import Process

_WRITERS = (
    keras.callbacks.BackupAndRestore,
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
)
_REDUCTIONS = ("sum_over_batch_size", "mean")


def check_reduction(loss: Any) -> None:
    """Raise a ValueError if the loss of a batch is not that of its shares."""
    reduction = getattr(loss, "reduction", _REDUCTIONS[0])
    if reduction not in _REDUCTIONS:
        raise ValueError(
            "In several processes or replicas, the loss of a batch must be a "
            f"mean over its samples: `reduction` one of {_REDUCTIONS}. "
            f"Received: reduction={reduction!r} of the loss {loss!r}."
        )
    ignored = getattr(loss, "ignore_class", None)
    if ignored is not None:
        raise ValueError(
            "In several processes or replicas, the loss of a batch must be a "
            "mean over all of its samples, and this one is a mean over those "
            "of other classes: leave them out of the data. Received: "
            f"ignore_class={ignored} of the loss {loss!r}."
        )


def keep_order(given: dict[str, Any]) -> None:
    """Have `fit` not shuffle the batches of which each process has a part."""
    if replicas.shard_of(given["x"]):
        given["shuffle"] = False


def check_shard(data: Any, process: Process) -> None:
    """Raise a ValueError if a data set is the part of another process."""
    shard = replicas.shard_of(data) or process
    if tuple(shard) != tuple(process):
        raise ValueError(
            "Each process must read its own part of the data: "
            "`keras_tcl.data.load(..., shard=process)`, where `process = "
            "keras_tcl.distribution.data_parallel()`. Received: "
            f"shard={tuple(shard)} in process {process.index} of "
            f"{process.count}."
        )


@contextlib.contextmanager
def first_reports(
    given: dict[str, Any], process: Process, model: keras.Model, *last: Any
) -> Iterator[None]:
    """Within, of what `fit` was given, the first process writes and reports.

    Args:
        given: Arguments of `fit` by name, which are changed.
        process: Which one this is.
        model: The model.
        *last: Callbacks that come after the others.
    """
    if not process.is_first:
        given["verbose"] = 0
    callbacks: Any = given.get("callbacks")
    is_list = isinstance(callbacks, keras.callbacks.CallbackList)
    before = callbacks.callbacks if is_list else callbacks
    before = keras.tree.flatten(before or [])
    if process.count > 1 and replicas.BACKEND != "torch":
        _refuse_backup(before)
    here = [
        callback
        for callback in before
        if process.is_first or not isinstance(callback, _WRITERS)
    ]
    if not is_list:
        given["callbacks"] = [*here, *last]
        yield
        return
    for callback in last:
        callback.set_model(model)
    callbacks.callbacks = [*here, *last]
    try:
        yield
    finally:
        callbacks.callbacks = before


def _refuse_backup(callbacks: list[Any]) -> None:
    kind = keras.callbacks.BackupAndRestore
    if any(isinstance(callback, kind) for callback in callbacks):
        raise ValueError(
            "`keras.callbacks.BackupAndRestore` would restore one of several "
            "processes alone. Use `keras_tcl.callbacks.BackupAndResume`."
        )
