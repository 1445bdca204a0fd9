"""What the parts of one batch have to tell each other within a step.

A replica holds its share of a batch: here, one of PyTorch's processes. On JAX
there is none, for a batch is one array, whatever devices it lies on.
TensorFlow's replicas do not tell each other anything yet.
"""

from typing import Any

import keras
import numpy as np

BACKEND = keras.config.backend()
# Whether Keras' own batch normalization can.
KERAS_SYNCHRONIZES = BACKEND == "tensorflow"

if BACKEND == "torch":
    import torch

    from keras_tcl.distribution import torch_processes, torch_step


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
    return x, None


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
    if count == 1 or BACKEND != "torch" or torch_processes.count() == 1:
        return numbers
    total = torch.tensor(numbers)
    torch_processes.add_up([total])
    return total.numpy()
