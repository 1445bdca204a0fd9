"""Processes of PyTorch: how they find, ask and name each other."""

import contextlib
import os
import platform
import random
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import torch
import torch.distributed as dist

from keras_tcl.distribution import roll_call
from keras_tcl.distribution.process import (
    Launch,
    Process,
    check_addresses,
    check_same,
)
from keras_tcl.version import __version__


def count() -> int:
    """How many processes there are, 1 before `start`."""
    return dist.get_world_size() if _started() else 1


def index() -> int:
    """Which one this is."""
    return dist.get_rank() if _started() else 0


def process() -> Process:
    """Which of how many."""
    return Process(index(), count())


def start(launched: Launch) -> None:
    """Join the others: gloo between CPUs, NCCL between GPUs."""
    has_gpu = torch.cuda.is_available()
    if has_gpu:
        # Keras' "cuda" is then this one.
        torch.cuda.set_device(launched.local_index)
    addresses = check_addresses(launched)
    if not _started():
        host, port = addresses[0]
        os.environ.setdefault("MASTER_ADDR", host)
        os.environ.setdefault("MASTER_PORT", str(port))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if has_gpu else "gloo",
            rank=launched.process.index,
            world_size=launched.process.count,
        )
    roll_call.meet(process(), addresses, _all)
    same(
        "versions",
        {
            "keras_tcl": __version__,
            "keras": keras.__version__,
            "torch": torch.__version__,
            "Python": platform.python_version(),
        },
    )
    # Alike, as `keras.distribution.initialize` does it on JAX.
    keras.utils.set_random_seed(from_first(random.getrandbits(32)))


def same(what: str, facts: dict[str, Any]) -> None:
    """Raise a ValueError in every process if one has other facts."""
    check_same(what, _all(facts))


def agree(error: Exception | None, numbers: Sequence[int]) -> list[list[int]]:
    """The numbers of all processes, or an error in all if there is one.

    Raises:
        Exception: `error` where it is; a ValueError of its words elsewhere.
    """
    mine = torch.tensor([*numbers, int(error is not None)])
    rows = [torch.empty_like(mine) for _ in range(count())]
    with naming_the_ended():
        dist.all_gather(rows, mine)
    found = [row.tolist() for row in rows]
    if any(row[-1] for row in found):
        words = _all(None if error is None else str(error))
        if error is not None:
            raise error
        who = next(i for i, word in enumerate(words) if word is not None)
        raise ValueError(f"Process {who} of {count()}: {words[who]}")
    return [row[:-1] for row in found]


def add_up(tensors: Sequence[torch.Tensor]) -> None:
    """Make each tensor the sum of those of all processes, in place."""
    kinds: dict[Any, list[torch.Tensor]] = {}
    for tensor in tensors:
        kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
    for group in kinds.values():
        # As one: a message costs more than its bytes.
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in group])
        for tensor, part in zip(group, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


def of_all_processes(numbers: np.ndarray) -> np.ndarray:
    """Sums over all processes."""
    total = torch.tensor(numbers)
    add_up([total])
    return total.numpy()


def alone() -> contextlib.AbstractContextManager:
    """What a process does by itself, it does without the others."""
    return contextlib.nullcontext()


def all_reduce(tensor: torch.Tensor) -> None:
    """Make it the sum over all processes, in place."""
    with naming_the_ended():
        dist.all_reduce(tensor)


def take_from_first(tensors: Sequence[torch.Tensor]) -> None:
    """Make each tensor what it is in the first process, in place."""
    with naming_the_ended(), torch.no_grad():
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def from_first(value: Any) -> Any:
    """What the first process has."""
    values = [value]
    with naming_the_ended():
        dist.broadcast_object_list(values, 0)
    return values[0]


def naming_the_ended() -> contextlib.AbstractContextManager:
    """Say who has ended where a message does not come through."""
    return roll_call.naming_the_ended(RuntimeError)


def _all(value: Any) -> list[Any]:
    values = [None] * count()
    with naming_the_ended():
        dist.all_gather_object(values, value)
    return values


def _started() -> bool:
    return dist.is_available() and dist.is_initialized()
