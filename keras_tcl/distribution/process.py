"""Which of several processes this one is, and how it is told."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_tcl import checks

# No counter of random draws reaches from one share's to the next one's.
SEEDS_APART = 16777619

_KERAS = "KERAS_DISTRIBUTION_"
_WAYS = (
    "Start each process by `torchrun`, or set for each KERAS_DISTRIBUTION_"
    "JOB_ADDRESSES (host:port of every process, by commas), KERAS_"
    "DISTRIBUTION_NUM_PROCESSES and KERAS_DISTRIBUTION_PROCESS_ID."
)


class Process(NamedTuple):
    """One of the processes that train together.

    It is the pair `(index, count)` that `keras_tcl.data.load(..., shard=)`
    takes.

    Attributes:
        index: Integer, 0 for the first one.
        count: Integer, how many there are.

    Example:

    >>> process = keras_tcl.distribution.Process(1, 4)
    >>> process.is_first
    False
    """

    index: int = 0  # type: ignore[assignment]
    count: int = 1  # type: ignore[assignment]

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and reports."""
        return self.index == 0


class Launch(NamedTuple):
    """What the environment says about the processes."""

    process: Process
    addresses: tuple[str, ...] = ()
    local_index: int = 0


def launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """What started this process says: Keras' variables, torchrun, TF_CONFIG.

    Raises:
        ValueError: If it says half of it, or what cannot be.
    """
    if f"{_KERAS}NUM_PROCESSES" in environment:
        return _of_keras(environment)
    if "TF_CONFIG" in environment:
        return _of_tensorflow(environment["TF_CONFIG"])
    if "WORLD_SIZE" in environment:
        return _of_torchrun(environment)
    return Launch(Process())


def _of_keras(environment: Mapping[str, str]) -> Launch:
    wanted = ("PROCESS_ID", "NUM_PROCESSES", "JOB_ADDRESSES")
    index, count, addresses = (environment.get(_KERAS + k) for k in wanted)
    places = tuple(filter(None, (addresses or "").split(",")))
    local = int(environment.get("LOCAL_RANK", 0))
    return Launch(_process(index, count), places, local)


def _of_tensorflow(config: str) -> Launch:
    try:
        found: Any = json.loads(config)
        # A chief trains, too, and is the first.
        chiefs, workers = (
            tuple(found["cluster"].get(job, ())) for job in ("chief", "worker")
        )
        task = found["task"]
        kind, index = task.get("type", "worker"), int(task["index"])
        if kind not in ("chief", "worker"):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            "TF_CONFIG must be the JSON of {'cluster': {'worker': ['host:port'"
            ", ...]}, 'task': {'type': 'worker', 'index': 0}}, where the first "
            "may be of a job 'chief'; other tasks train nothing. Received: "
            f"TF_CONFIG={config!r}."
        ) from None
    index += len(chiefs) * (kind == "worker")
    everyone = chiefs + workers
    return Launch(_process(index, len(everyone)), everyone)


def _of_torchrun(environment: Mapping[str, str]) -> Launch:
    process = _process(environment.get("RANK"), environment["WORLD_SIZE"])
    local = environment.get("LOCAL_RANK", "0")
    host, port = (environment.get(f"MASTER_{k}") for k in ("ADDR", "PORT"))
    return Launch(process, (f"{host}:{port}",), int(local))


def _process(index: Any, count: Any) -> Process:
    try:
        process = Process(int(index), int(count))
    except (TypeError, ValueError):
        process = Process(0, 0)
    if not 0 <= process.index < process.count:
        raise ValueError(
            "The environment must say which process this is, from 0 on, and "
            f"how many there are. Received: process {index!r} of {count!r}. "
            f"{_WAYS}"
        )
    return process


def check_addresses(launched: Launch) -> list[tuple[str, int]]:
    """The address of every process, or that of the first one.

    Raises:
        ValueError: If one is none.
    """
    found = []
    for address in launched.addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(
                "An address of a process must be host:port. Received: "
                f"{address!r}. {_WAYS}"
            )
        found.append((host, checks.integer("port", int(port))))
    if len(found) not in (1, launched.process.count):
        raise ValueError(
            f"There must be an address for each of {launched.process.count} "
            f"processes. Received: {len(found)} address(es). {_WAYS}"
        )
    return found


def check_same(what: str, everyone: list[dict[str, Any]]) -> None:
    """Raise a ValueError if one process has other facts than the first."""
    first = everyone[0]
    for other, theirs in enumerate(everyone):
        differ = [name for name in first if theirs.get(name) != first[name]]
        if differ:
            of_each = "; ".join(
                f"process {number}: "
                + ", ".join(f"{k} {everyone[number].get(k)}" for k in differ)
                for number in (0, other)
            )
            raise ValueError(
                f"All processes must have the same {what}. Received: {of_each}."
            )


def exchanged(
    facts: dict[str, Any],
    of_each: Callable[[np.ndarray], Sequence[np.ndarray]],
) -> list[dict[str, Any]]:
    """The facts of every process, where a backend exchanges numbers alone.

    Args:
        facts: Those of this process.
        of_each: Function of an array of integers that returns those of every
            process, which may be more or fewer.
    """
    text = json.dumps(facts, default=str).encode()
    numbers = np.frombuffer(text, "uint8").astype("int32")
    return [
        json.loads(np.asarray(theirs).astype("uint8").tobytes())
        for theirs in of_each(numbers)
    ]
