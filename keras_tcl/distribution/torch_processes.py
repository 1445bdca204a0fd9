"""Processes of PyTorch: how they find, ask and name each other."""

import atexit
import contextlib
import datetime
import os
import platform
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import torch
import torch.distributed as dist

from keras_tcl.distribution.process import (
    Launch,
    Process,
    check_addresses,
    check_same,
)
from keras_tcl.version import __version__

# How often a process says that it lives, and how long it may be silent.
BEAT, SILENCE = 0.5, 3.0


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
    if not _started():
        host, port = check_addresses(launched)[0]
        os.environ.setdefault("MASTER_ADDR", host)
        os.environ.setdefault("MASTER_PORT", str(port))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if has_gpu else "gloo",
            rank=launched.process.index,
            world_size=launched.process.count,
        )
    _Heart().start()
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
    with naming_the_dead():
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
    with naming_the_dead():
        dist.all_reduce(tensor)


def take_from_first(tensors: Sequence[torch.Tensor]) -> None:
    """Make each tensor what it is in the first process, in place."""
    with naming_the_dead(), torch.no_grad():
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def from_first(value: Any) -> Any:
    """What the first process has."""
    values = [value]
    with naming_the_dead():
        dist.broadcast_object_list(values, 0)
    return values[0]


@contextlib.contextmanager
def naming_the_dead() -> Iterator[None]:
    """Say who has ended where a message does not come through."""
    try:
        yield
    except RuntimeError as error:
        dead = _silent()
        if not dead:
            raise
        raise RuntimeError(
            f"{' and '.join(dead)} of {count()} processes has ended, and this "
            "one cannot go on without it. Its own output says why. Start all "
            "processes again; a training with `keras_tcl.callbacks."
            "BackupAndResume` goes on where it was."
        ) from error


def _all(value: Any) -> list[Any]:
    values = [None] * count()
    with naming_the_dead():
        dist.all_gather_object(values, value)
    return values


def _started() -> bool:
    return dist.is_available() and dist.is_initialized()


def _store() -> Any:
    # No public name for it in PyTorch 2.13.
    return dist.distributed_c10d._get_default_store()


class _Heart(threading.Thread):
    """Tells the others that this process lives, and its name."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="keras_tcl.distribution")
        self._key = f"keras_tcl/beat/{index()}"
        name = f"{socket.gethostname()}, process id {os.getpid()}"
        _store().set(f"keras_tcl/name/{index()}", name)
        # One of its own: a store answers one question after the other.
        self._store = _store().clone()

        self._ended = threading.Event()
        atexit.register(self._ended.set)

    def run(self) -> None:
        with contextlib.suppress(RuntimeError):  # The store has ended.
            while not self._ended.wait(BEAT):
                self._store.add(self._key, 1)


def _silent() -> list[str]:
    """Names of the processes that say nothing any more."""
    keys = [f"keras_tcl/beat/{i}" for i in range(count())]
    try:
        store = _store().clone()
        store.set_timeout(datetime.timedelta(seconds=SILENCE))
        before = [store.add(key, 0) for key in keys]
        end = time.monotonic() + SILENCE
        silent = set(range(count()))
        while silent and time.monotonic() < end:
            time.sleep(BEAT / 5)
            silent = {i for i in silent if store.add(keys[i], 0) == before[i]}
        return [
            f"Process {i} ({store.get(f'keras_tcl/name/{i}').decode()})"
            for i in sorted(silent)
        ]
    except RuntimeError:
        return ["Process 0, by which all found each other,"]
