"""Which part of a batch one of several processes reads."""

from typing import Any

import numpy as np

from keras_tcl import checks


def part(batch: np.ndarray, shard: tuple[int, int]) -> np.ndarray:
    """The part of a batch's indices that belongs to shard (index, count).

    Parts are contiguous, as devices of JAX and TensorFlow have them; what
    does not divide goes to the first shards, one example each.
    """
    index, count = shard
    return np.array_split(batch, count)[index]


def check_shard(shard: Any, batch_size: int, rest: int) -> tuple[int, int]:
    """Return `(index, count)`, of `None` that of one process.

    Args:
        shard: Pair of integers, or `None`.
        batch_size: Integer, examples in a batch of all shards.
        rest: Integer, examples in a last, smaller batch; 0 without one.

    Raises:
        ValueError: If it is no such pair, or a shard would get nothing of a
            batch, or less than another of a whole one.
    """
    shard = (0, 1) if shard is None else shard
    is_pair = isinstance(shard, (tuple, list)) and len(shard) == 2
    if not is_pair or not checks.are_integers(shard, 0) or shard[0] >= shard[1]:
        raise ValueError(
            "`shard` must be a pair of integers (index, count), "
            f"0 <= index < count. Received: shard={shard!r}."
        )
    index, count = (int(number) for number in shard)
    if batch_size % count:
        below = batch_size // count * count
        near = [size for size in (below, below + count) if size]
        raise ValueError(
            "Shards must have equal parts of a batch: `batch_size`, that of "
            f"all {count} together, must divide by {count}, such as "
            f"{' or '.join(map(str, near))}. Received: "
            f"batch_size={batch_size}."
        )
    if 0 < rest < count:
        raise ValueError(
            f"The last batch has {rest} example(s), not one for each of "
            f"{count} shards. Pass another `batch_size`, or "
            f"`drop_remainder=True`. Received: batch_size={batch_size}, "
            f"shard={shard!r}."
        )
    return index, count
