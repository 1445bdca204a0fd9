"""Devices of JAX: `keras.distribution`, and what it lacks."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils
from keras.src.backend.jax import distribution_lib, trainer

from keras_tcl.distribution import roll_call
from keras_tcl.distribution.process import (
    Launch,
    Process,
    check_addresses,
    check_same,
    exchanged,
)

# Seconds after which JAX takes a silent process for dead, and ends the others,
# whatever they do (JAX's own: 100).
SILENCE = 30


def start(launched: Launch) -> None:
    """Have Keras divide batches among all devices of all processes."""
    index, count = launched.process
    if count > 1:
        addresses = check_addresses(launched)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        # As `keras.distribution.initialize`, but for the silence.
        jax.distributed.initialize(
            "{}:{}".format(*addresses[0]),
            count,
            index,
            heartbeat_timeout_seconds=SILENCE,
        )
        distribution_lib.initialize_rng()
        roll_call.meet(launched.process, addresses, _facts_of_each)
    devices = keras.distribution.list_devices()
    distribution = keras.distribution.distribution()
    if distribution is None and len(devices) > 1:
        distribution = keras.distribution.DataParallel(
            devices=devices,
            # Data sets are divided among processes by `shard=`.
            auto_shard_dataset=False,
        )
        keras.distribution.set_distribution(distribution)
    if distribution is not None:
        _take_any_batch(distribution)
        trainer.JAXEpochIterator._get_distributed_iterator = _each_laid_out


def process() -> Process:
    """Which process this is."""
    return Process(jax.process_index(), jax.process_count())


def count() -> int:
    """How many devices all processes have."""
    return jax.device_count()


def from_first(number: int) -> int:
    """The first process's number."""
    with naming_the_ended():
        return int(multihost_utils.broadcast_one_to_all(number))


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within, a process makes variables without the others."""
    distribution = keras.distribution.distribution()
    if process().count == 1:
        yield
        return
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def same(what: str, facts: dict[str, Any]) -> None:
    """Raise a ValueError in every process if one has other facts."""
    check_same(what, _facts_of_each(facts))


def naming_the_ended() -> contextlib.AbstractContextManager:
    """Say who has ended where a message does not come through."""
    return roll_call.naming_the_ended(jax.errors.JaxRuntimeError)


def _facts_of_each(facts: dict[str, Any]) -> list[dict[str, Any]]:
    with naming_the_ended():
        return exchanged(facts, _of_each)


def _of_each(numbers: np.ndarray) -> list[np.ndarray]:
    """The integers of each process."""
    sizes = multihost_utils.process_allgather(np.array(len(numbers)))
    padded = np.pad(numbers, (0, max(sizes) - len(numbers)))
    rows = multihost_utils.process_allgather(padded)
    return [row[:size] for row, size in zip(rows, sizes, strict=True)]


def of_all_processes(numbers: np.ndarray) -> np.ndarray:
    """Sums over all processes."""
    with naming_the_ended():
        return multihost_utils.process_allgather(numbers).sum(0)


def _take_any_batch(distribution: Any) -> None:
    """Have a distribution take batches that do not divide.

    Such a batch, mostly the last one, is computed by every device as a whole:
    slower, and the same.
    """
    parts = _parts_of(distribution)
    layout_of_equal_parts = distribution.get_data_layout

    def layout(shape: Any) -> Any:
        if jax.process_count() == 1 and shape[0] % parts:
            axes = [None] * len(shape)
            return keras.distribution.TensorLayout(
                axes, distribution.device_mesh
            )
        return layout_of_equal_parts(shape)

    distribution.get_data_layout = layout


def _parts_of(distribution: Any) -> int:
    mesh = distribution.device_mesh
    return mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)]


def _each_laid_out(iterator: Any, distribution: Any) -> Iterator[Any]:
    """Batches, each laid out by its own shape (Keras 3.15: the first one's)."""
    for data in iterator.data_adapter.get_jax_iterator():
        yield trainer._distribute_data(data)
