"""Replicas of `tf.distribute`: how they are made and ask each other."""

import contextlib
import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_tcl.distribution import roll_call
from keras_tcl.distribution.process import (
    SEEDS_APART,
    Launch,
    Process,
    check_addresses,
    check_same,
    exchanged,
)

AutoShardPolicy = tf.data.experimental.AutoShardPolicy

# What may come of a process that has ended.
_OF_ANOTHER = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


def start(launched: Launch) -> None:
    """Have what is made from now on be that of a replica on each device."""
    if launched.process.count > 1:
        addresses = check_addresses(launched)
        workers = [f"{host}:{port}" for host, port in addresses]
        if len(workers) < launched.process.count:
            raise ValueError(
                "TensorFlow needs the address of every process: set TF_CONFIG "
                "or KERAS_DISTRIBUTION_JOB_ADDRESSES (host:port of every "
                f"process, by commas). Received: {workers} for "
                f"{launched.process.count} processes."
            )
        task = {"type": "worker", "index": launched.process.index}
        config = {"cluster": {"worker": workers}, "task": task}
        os.environ["TF_CONFIG"] = json.dumps(config)
        strategy: Any = Workers()
    else:
        found = tf.config.list_logical_devices
        devices = [device.name for device in found("GPU") or found("CPU")]
        if len(devices) == 1 or tf.distribute.has_strategy():
            return
        strategy = tf.distribute.MirroredStrategy(devices)
    # For good, and not within a block: the script is that of one device.
    tf.distribute.experimental_set_strategy(strategy)
    if launched.process.count > 1:
        # Alike in all processes, as `keras.distribution.initialize` does it.
        (seed, *_) = _of_each(np.array([random.getrandbits(31)]), strategy)
        keras.utils.set_random_seed(int(seed[0]))
        roll_call.meet(
            launched.process,
            addresses,
            lambda facts: _facts_of_each(facts, strategy),
        )


class Workers(tf.distribute.MultiWorkerMirroredStrategy):
    """A strategy whose processes each bring their part of a data set."""

    # Whether this process reads its own value where each has one.
    reads_alone = False

    def experimental_distribute_dataset(
        self, dataset: Any, options: Any = None
    ) -> Any:
        policy = dataset.options().experimental_distribute.auto_shard_policy
        if policy in (AutoShardPolicy.DATA, AutoShardPolicy.FILE):
            # Such as arrays, of which each process has all.
            return super().experimental_distribute_dataset(dataset, options)
        replicas = len(self.extended.worker_devices)
        parts = divided(dataset, replicas) if replicas > 1 else dataset
        return self.distribute_datasets_from_function(lambda _: parts)

    def reduce(self, reduce_op: Any, value: Any, axis: Any = None) -> Any:
        first = self.experimental_local_results(value)[0]
        if self.reads_alone:
            return tf.identity(first)
        # Keras 3.15 asks for the mean of numbers along their first axis.
        axis = axis if first.shape.rank else None
        return super().reduce(reduce_op, value, axis)


def process() -> Process:
    """Which of the processes of the strategy this one is."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, Workers):
        return Process()
    cluster = strategy.cluster_resolver
    workers = cluster.cluster_spec().num_tasks("worker")
    return Process(cluster.task_id, workers)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within, a process reads and makes variables without the others."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, Workers):
        yield
        return
    tf.distribute.experimental_set_strategy(None)
    strategy.reads_alone = True
    try:
        yield
    finally:
        strategy.reads_alone = False
        tf.distribute.experimental_set_strategy(strategy)


def divided(dataset: tf.data.Dataset, count: int) -> tf.data.Dataset:
    """A data set in which `count` parts of each batch follow each other."""

    def parts_of(*batch: Any) -> tf.data.Dataset:
        size = tf.shape(keras.tree.flatten(batch)[0], "int64")[0]

        def part(i: Any) -> Any:
            chosen = slice(size * i // count, size * (i + 1) // count)
            return keras.tree.map_structure(lambda x: x[chosen], batch)

        return tf.data.Dataset.range(count).map(part)

    return dataset.flat_map(parts_of)


def context() -> Any:
    """TensorFlow's context of one of several replicas, or `None`."""
    found = tf.distribute.get_replica_context()
    alone = found is None or found.num_replicas_in_sync == 1
    return None if alone else found


def gathered(x: Any) -> tuple[Any, Any]:
    """Samples of all replicas, and the numbers of this one's."""
    found = context()
    if found is None:
        return x, None
    size = tf.shape(x)[0]
    sizes = found.all_gather(size[None], axis=0)
    first = tf.reduce_sum(sizes[: found.replica_id_in_sync_group])
    everyone = found.all_gather(x, axis=0)
    everyone = tf.ensure_shape(everyone, (None, *x.shape[1:]))
    return everyone, tf.range(size) + first


def total(x: Any) -> Any:
    """The sum over all replicas."""
    found = context()
    return x if found is None else found.all_reduce("SUM", x)


def set_apart(seeds: list[Any], strategy: Any) -> None:
    """Give each replica seeds of its own, counted from the first one's."""

    def assign() -> None:
        found = context()
        apart = SEEDS_APART * found.replica_id_in_sync_group
        for seed in seeds:
            own = tf.cast(ops.convert_to_tensor(seed), "int64")
            first = found.all_gather(own[None], axis=0)[0]
            seed.assign(tf.cast(first + [apart, 0], seed.dtype))

    strategy.run(tf.function(assign))


def own_value(variable: Any) -> np.ndarray:
    """What this process has in a variable of Keras.

    Where each of its replicas has its own, these are stacked.
    """
    parts = _parts(variable)
    if _is_of_each(variable, parts):
        return np.stack([part.numpy() for part in parts])
    return parts[0].numpy()  # The others' need not leave their devices.


def assign_own(variable: Any, value: np.ndarray) -> None:
    """Give the replicas of this process what `own_value` returned."""
    parts = _parts(variable)
    is_of_each = _is_of_each(variable, parts)
    values = value if is_of_each else [value] * len(parts)
    for part, own in zip(parts, values, strict=True):
        part.assign(own)


def local_replicas() -> int:
    """How many replicas this process has."""
    strategy = tf.distribute.get_strategy()
    return int(strategy.num_replicas_in_sync) // process().count


def _parts(variable: Any) -> Any:
    strategy = tf.distribute.get_strategy()
    return strategy.experimental_local_results(variable.value)


def _is_of_each(variable: Any, parts: Any) -> bool:
    """Whether the replicas of this process may have other values each."""
    value = variable.value
    is_read = value.synchronization == tf.VariableSynchronization.ON_READ
    is_own = is_read or value.aggregation == tf.VariableAggregation.NONE
    return len(parts) > 1 and is_own and not variable.trainable


def average(variables: list[Any], share: Any) -> None:
    """Make variables, of which each replica has its own, their mean.

    Weighed by the replicas' shares of the batch.
    """
    values = [ops.convert_to_tensor(v) for v in variables]
    values = [x * tf.cast(share, x.dtype) for x in values]
    for variable, mean in zip(
        variables, context().all_reduce("SUM", values), strict=True
    ):
        variable.assign(mean)


def same(what: str, facts: dict[str, Any], strategy: Any) -> None:
    """Raise a ValueError in every process if one has other facts."""
    everyone = _facts_of_each(facts, strategy)
    try:
        check_same(what, everyone)
    except ValueError:
        # None ends before all have read it.
        with contextlib.suppress(tf.errors.OpError):
            _of_each(np.zeros(1, "int32"), strategy)
        raise


def naming_the_ended() -> contextlib.AbstractContextManager:
    """Say who has ended where a message does not come through."""
    return roll_call.naming_the_ended(*_OF_ANOTHER)


def _facts_of_each(
    facts: dict[str, Any], strategy: Any
) -> list[dict[str, Any]]:
    with naming_the_ended():
        return exchanged(facts, lambda x: _of_each(x, strategy))


def _of_each(numbers: np.ndarray, strategy: Any) -> list[np.ndarray]:
    """The integers of each process."""

    def gather() -> Any:
        found = context()
        sizes = found.all_gather(tf.constant([len(numbers)]), axis=0)
        return sizes, found.all_gather(tf.constant(numbers), axis=0)

    sizes, everyone = (
        strategy.experimental_local_results(x)[0].numpy()
        for x in strategy.run(tf.function(gather))
    )
    parts = np.split(everyone, np.cumsum(sizes)[:-1])
    return parts[:: len(strategy.extended.worker_devices)]


def of_all_processes(numbers: np.ndarray) -> np.ndarray:
    """Sums over all processes."""
    strategy = tf.distribute.get_strategy()
    replicas = len(strategy.extended.worker_devices)
    with naming_the_ended():
        own = strategy.run(tf.function(lambda: tf.constant(numbers / replicas)))
        return strategy.reduce("SUM", own, None).numpy()


def compiled(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A step that one device takes, whatever replicas there are."""
    return tf.function(step, reduce_retracing=True)
