"""What the parts of one batch have to tell each other within a step.

A replica holds its share of a batch: one of PyTorch's processes, or one of
the replicas of `tf.distribute`. On JAX there is none, for a batch is one
array, whatever devices it lies on.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_tcl.distribution.process import Process

BACKEND = keras.config.backend()
# Whether Keras' own batch normalization can.
KERAS_SYNCHRONIZES = BACKEND == "tensorflow"

# The backend's module, of what its processes tell each other.
processes: Any = None

if BACKEND == "torch":
    from keras_tcl.distribution import torch_processes, torch_step

    processes = torch_processes
elif BACKEND == "tensorflow":
    from keras_tcl.distribution import tensorflow_replicas

    processes = tensorflow_replicas
elif BACKEND == "jax":
    from keras_tcl.distribution import jax_devices

    processes = jax_devices


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
    return processes.alone() if processes else contextlib.nullcontext()


def of_this_process() -> int:
    """How many replicas this process has."""
    is_tensorflow = BACKEND == "tensorflow"
    return tensorflow_replicas.local_replicas() if is_tensorflow else 1


def own_value(variable: Any) -> np.ndarray:
    """What this process has in a variable, whatever others have."""
    if BACKEND == "tensorflow":
        return tensorflow_replicas.own_value(variable)
    return keras.ops.convert_to_numpy(variable.value)


def assign_own(variable: Any, value: np.ndarray) -> None:
    """Give a variable, in this process, what `own_value` returned."""
    if BACKEND == "tensorflow":
        tensorflow_replicas.assign_own(variable, value)
    else:
        variable.assign(value)


def total(x: Any) -> Any:
    """The sum over TensorFlow's replicas; `x` elsewhere."""
    return tensorflow_replicas.total(x) if BACKEND == "tensorflow" else x


def seeds_of(model: keras.Model) -> list[Any]:
    """The states of a model's random numbers, each `[seed, draws]`."""
    return [v for v in model.variables if v.name == "seed_generator_state"]


def are_in_step() -> bool:
    """Whether TensorFlow's replicas are in a step together."""
    return BACKEND == "tensorflow" and tensorflow_replicas.context() is not None


def process() -> Process:
    """Which of the processes that train together this one is."""
    return processes.process() if processes else Process()


def sizes() -> tuple[int, ...]:
    """Samples of each of PyTorch's processes that are in a step together."""
    step = torch_step.current() if BACKEND == "torch" else None
    return () if step is None else step.sizes


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


def has_part(data: Any) -> bool:
    """Whether several processes have a part of these data each.

    Arrays are those of all, and so are batches that were not given a shard; a
    data set of another kind is each process's own.
    """
    first = keras.tree.flatten(data)[0]
    are_arrays = isinstance(first, np.ndarray) or keras.ops.is_tensor(first)
    return process().count > 1 and not are_arrays and shard_of(data) != (0, 1)


def of_all_parts(data: Any, numbers: np.ndarray) -> np.ndarray:
    """Sums over the processes that have a part of the data each.

    Args:
        data: Arrays, or a data set.
        numbers: Array, the sums of this process.
    """
    return processes.of_all_processes(numbers) if has_part(data) else numbers


def check_whole(data: Any, what: str) -> None:
    """Raise a ValueError if this process has a part of the data alone."""
    if has_part(data):
        raise ValueError(
            f"{what} is that of one process, which must be given all data: "
            "load them without `shard=`, or give it arrays. Received: data "
            f"of which each of {process().count} processes has a part."
        )
