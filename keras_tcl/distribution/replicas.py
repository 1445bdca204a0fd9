"""What the parts of one batch have to tell each other within a step.

A replica holds its share of a batch: one of PyTorch's processes, or one of
the replicas of `tf.distribute`. On JAX there is none, for a batch is one
array, whatever devices it lies on.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_tcl.distribution.process import Process

BACKEND = keras.config.backend()
# Whether Keras' own batch normalization can.
KERAS_SYNCHRONIZES = BACKEND == "tensorflow"
_WRITERS = (
    keras.callbacks.BackupAndRestore,
    keras.callbacks.CSVLogger,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TensorBoard,
)
_REDUCTIONS = ("sum_over_batch_size", "mean")

if BACKEND == "torch":
    import torch

    from keras_tcl.distribution import torch_processes, torch_step
elif BACKEND == "tensorflow":
    from keras_tcl.distribution import tensorflow_replicas
elif BACKEND == "jax":
    from keras_tcl.distribution import jax_devices


def gathered(x: Any) -> tuple[Any, Any]:
    """The samples of all replicas, with their gradient.

    Args:
        x: Tensor `[batch, ...]`, this replica's share.

    Returns:
        Tensor `[samples of all, ...]`, replica after replica, and the numbers
        of this replica's samples among them; `x` and `None` where there is
        one replica.
    """
    if are_processes():
        return torch_step.gathered(x)
    if BACKEND == "tensorflow":
        return tensorflow_replicas.gathered(x)
    return x, None


def compiled(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A step of TensorFlow that one device takes, also beside replicas."""
    return tensorflow_replicas.compiled(step)


def alone() -> contextlib.AbstractContextManager:
    """Within, one of several processes saves a model without the others."""
    if BACKEND == "tensorflow":
        return tensorflow_replicas.alone()
    if BACKEND == "jax":
        return jax_devices.alone()
    return contextlib.nullcontext()


def total(x: Any) -> Any:
    """The sum over TensorFlow's replicas; `x` elsewhere."""
    return tensorflow_replicas.total(x) if BACKEND == "tensorflow" else x


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
    if shard_of(given["x"]):
        given["shuffle"] = False


def check_shard(data: Any, process: Process) -> None:
    """Raise a ValueError if a data set is the part of another process."""
    shard = shard_of(data) or process
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
    if process.count > 1 and BACKEND != "torch":
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


def seeds_of(model: keras.Model) -> list[Any]:
    """The states of a model's random numbers, each `[seed, draws]`."""
    return [v for v in model.variables if v.name == "seed_generator_state"]


def are_in_step() -> bool:
    """Whether TensorFlow's replicas are in a step together."""
    return BACKEND == "tensorflow" and tensorflow_replicas.context() is not None


def process() -> Process:
    """Which of the processes that train together this one is."""
    if BACKEND == "torch":
        return Process(torch_processes.index(), torch_processes.count())
    if BACKEND == "tensorflow":
        return tensorflow_replicas.process()
    return jax_devices.process() if BACKEND == "jax" else Process()


def are_processes() -> bool:
    """Whether PyTorch's processes are in a step together."""
    return BACKEND == "torch" and torch_step.current() is not None


def normalize_batch(
    x: Any, gamma: Any, beta: Any, epsilon: float
) -> tuple[Any, Any, Any]:
    """Normalize `[..., C]` by the statistics of all processes (PyTorch).

    Returns:
        The normalized tensor, and mean and (biased) variance `[C]`.
    """
    return torch_step.normalize_batch(x, gamma, beta, epsilon)


def shard_of(data: Any) -> tuple[int, int] | None:
    """Which shard a data set is; `tf.data` has a method of that name."""
    shard = getattr(data, "shard", None)
    return shard if isinstance(shard, tuple) else None


def of_all_shards(data: Any, numbers: np.ndarray) -> np.ndarray:
    """Sums over the processes that have a shard of a data set each.

    Args:
        data: Data set; without a `shard`, each process has all of it.
        numbers: Array, the sums of this process.
    """
    _, count = shard_of(data) or (0, 1)
    if count > 1 and BACKEND == "tensorflow":
        return tensorflow_replicas.of_all_processes(numbers)
    if count > 1 and BACKEND == "jax" and jax_devices.process().count > 1:
        return jax_devices.of_all_processes(numbers)
    if count > 1 and BACKEND == "torch" and torch_processes.count() > 1:
        total = torch.tensor(numbers)
        torch_processes.add_up([total])
        return total.numpy()
    return numbers
