"""Replicas of `tf.distribute`: how they are made and ask each other."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_tcl.distribution.process import SEEDS_APART


def start() -> None:
    """Have what is made from now on be that of a replica on each device."""
    found = tf.config.list_logical_devices
    devices = [device.name for device in found("GPU") or found("CPU")]
    if len(devices) > 1 and not tf.distribute.has_strategy():
        # For good, and not within a block: the script is that of one device.
        tf.distribute.experimental_set_strategy(
            tf.distribute.MirroredStrategy(devices)
        )


def count() -> int:
    """How many replicas there are."""
    return tf.distribute.get_strategy().num_replicas_in_sync


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


def set_apart(seeds: list[Any]) -> None:
    """Give each replica seeds of its own, counted from the first one's."""
    firsts = [keras.ops.convert_to_numpy(seed) for seed in seeds]
    numbers = range(count())

    def assign() -> None:
        index = context().replica_id_in_sync_group
        for seed, first in zip(seeds, firsts, strict=True):
            of_each = [first + np.array([SEEDS_APART * i, 0]) for i in numbers]
            seed.assign(tf.gather(tf.cast(of_each, seed.dtype), index))

    tf.distribute.get_strategy().run(assign)
