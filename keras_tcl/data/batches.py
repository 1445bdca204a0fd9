"""The order of the examples, and reading ahead."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from keras_tcl.data.source import Source

Batch = tuple[np.ndarray, np.ndarray]


class Batches:
    """Passes over a source, batch by batch, read ahead by threads.

    The batches are a function of `(seed, epoch)` alone: the order of an epoch
    is `numpy.random.default_rng([seed, epoch]).permutation(N)`.

    **What an epoch is**: a pass counts once its last batch has been handed
    out. So `epoch` is the number of finished passes (plus `initial_epoch`),
    and a pass given up early (`next(iter(dataset))`, a sanity check, the look
    at the first batch by which Keras builds a model on JAX and PyTorch, an
    interrupted `fit`) is simply begun again by the next one. Passes that run
    side by side belong to the same epoch.

    Args:
        source: `Source`.
        batch_size: Int, examples in a batch.
        shuffle: Bool, whether each epoch has an order of its own; otherwise
            the order of the source.
        seed: Int, at least 0.
        drop_remainder: Bool, whether to leave out the last, smaller batch.
        initial_epoch: Int, the epoch of the first pass. Defaults to `0`.

    Raises:
        ValueError: for sizes out of range, or where no batch is left.
    """

    def __init__(
        self,
        source: Source,
        batch_size: int,
        shuffle: bool,
        seed: int,
        drop_remainder: bool,
        initial_epoch: int = 0,
    ) -> None:
        for name, value, lowest in (
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("initial_epoch", initial_epoch, 0),
        ):
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, np.integer))
                or value < lowest
            ):
                raise ValueError(
                    f"`{name}` must be an integer of at least {lowest}. "
                    f"Received: {name}={value!r}."
                )
        if drop_remainder and len(source) < batch_size:
            raise ValueError(
                f"No whole batch of {batch_size} can be made from "
                f"{len(source)} examples. Pass a smaller `batch_size`, or "
                "`drop_remainder=False`."
            )
        self.source = source
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.seed = int(seed)
        self.drop_remainder = drop_remainder
        self.epoch = int(initial_epoch)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        if self.drop_remainder:
            return len(self.source) // self.batch_size
        return -(-len(self.source) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """The indices of all examples in the order of this epoch."""
        size = len(self.source)
        if not self.shuffle:
            return np.arange(size)
        return np.random.default_rng([self.seed, epoch]).permutation(size)

    def read(self, epoch: int, position: int) -> Batch:
        """The batch at this position of this epoch."""
        return self._read(self.order(epoch), range(len(self))[position])

    def read_ahead(self, epoch: int) -> Iterator[Batch]:
        """All batches of this epoch in order, some read ahead by threads."""
        order = self.order(epoch)
        if self.source.in_memory:
            for position in range(len(self)):
                yield self._read(order, position)
            return
        workers = min(8, os.cpu_count() or 1, len(self))
        pool = ThreadPoolExecutor(workers, "keras_tcl.data")
        pending: deque[Future[Batch]] = deque()
        try:
            for position in range(len(self)):
                pending.append(pool.submit(self._read, order, position))
                # One batch more than there are threads, so that none idles
                # while the consumer holds a batch.
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the current epoch; the last one ends the epoch."""
        epoch = self.epoch
        for position, batch in enumerate(self.read_ahead(epoch), start=1):
            if position == len(self):
                self.finish(epoch)
            yield batch

    def finish(self, epoch: int) -> None:
        """Note that the last batch of this epoch was handed out."""
        with self._lock:
            self.epoch = max(self.epoch, epoch + 1)

    def _read(self, order: np.ndarray, position: int) -> Batch:
        start = position * self.batch_size
        return self.source.read(order[start : start + self.batch_size])
