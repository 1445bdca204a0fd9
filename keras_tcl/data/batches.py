"""What `fit` takes: the batches of a source, read ahead by threads."""

import dataclasses
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import FrameType
from typing import Any

import keras
import numpy as np

from keras_tcl import checks
from keras_tcl.data.shards import check_shard, part
from keras_tcl.data.sources import Source
from keras_tcl.optional import require

Batch = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass
class _Reader:
    """What one call of `fit`, `evaluate` or `predict` reads.

    Attributes:
        is_training: Bool, whether its passes count as epochs.
        epoch: Int, the epoch of its pass.
        batches: Iterator, the rest of its pass.
        left: Int, how many batches that are.
    """

    is_training: bool = False
    epoch: int = -1
    batches: Iterator[Batch] = iter(())
    left: int = 0


class Batches(keras.utils.PyDataset):
    """Batches of a source, for `fit`, `evaluate` and `predict` on any backend.

    The batches are a function of `(seed, epoch)` alone: the order of an epoch
    is `numpy.random.default_rng([seed, epoch]).permutation(N)`. `fit` adds no
    shuffling of its own, whatever its argument `shuffle`, and draws nothing
    from Python's global random numbers for it.

    **Several processes**: with `shard=(index, count)`, each of `count`
    processes reads its part of every batch and nothing else. Order, number of
    batches and the examples of each batch are those of one process; batch `i`
    is the parts of all shards, one after the other by index, so it is what
    JAX' and TensorFlow's data parallel training split among devices. Every
    example is read exactly once in an epoch, by one shard; none is repeated
    to fill up. Where the last batch does not divide, its parts differ by one
    example: weigh a mean over shards by their sizes, or drop that batch.

    **What an epoch is**: a pass of `fit`, or of a loop of your own over
    `batches`, that came to its end. So `epoch` is the number of such passes
    (plus `initial_epoch`). A pass given up early (`next(iter(batches))`, a
    sanity check, the look at the first batch by which Keras builds a model on
    JAX and PyTorch, a `fit` that failed) is simply begun again by the next
    one, `evaluate` and `predict` count for nothing, and passes that run side
    by side belong to the same epoch.

    `batches[i]` is batch `i` of the current epoch, and `read(epoch, i)` that
    of any; neither takes a batch from a training that runs. (Keras itself
    asks by index too: whatever index, it gets the next batch of its pass.)
    `predict` on shuffled batches returns its results in the order of
    `order(epoch)`, not in that of the source (and a shard's, in that of
    `indices(epoch, i)` for each batch `i`). `as_tf()` gives the same batches
    as a `tf.data.Dataset`, with `map` and all else.

    Args:
        source: `Source`.
        batch_size: Int, examples in a batch, of all shards together. Defaults
            to `128`.
        shuffle: Bool, whether each epoch has an order of its own; otherwise
            the order of the source. Defaults to `False`.
        seed: Int, at least 0. Defaults to `0`.
        drop_remainder: Bool, whether to leave out the last, smaller batch, so
            that all have one shape. Defaults to `False`.
        initial_epoch: Int, the epoch of the first pass, to resume training
            as with `fit(initial_epoch=...)`. Defaults to `0`.
        shard: Pair of ints `(index, count)`: which of how many equal parts of
            each batch is read here, `0 <= index < count`. `count` must divide
            `batch_size`. Defaults to `None`, the whole batch, `(0, 1)`.

    Attributes:
        source: The `Source`.
        shard: Tuple `(index, count)`.
        epoch: Int, the epoch of the next batch; may be set.
        step: Int, the batch with which the next pass begins, of `fit` or of a
            loop of your own; 0 but where a training is resumed in the middle
            of an epoch (`keras_tcl.callbacks.BackupAndResume` sets it).

    Raises:
        ValueError: for sizes out of range, where no batch is left, for a
            batch of which a shard would get nothing, or if `workers` or
            `use_multiprocessing` is set: threads read ahead already.

    Example:

    >>> source = keras_tcl.data.source("digits", "train")
    >>> batches = keras_tcl.data.Batches(source, 64, shuffle=True)
    >>> len(batches)
    23
    >>> x, y = batches[0]
    >>> x.shape, x.dtype, y.dtype
    ((64, 8, 8, 1), dtype('uint8'), dtype('int32'))
    >>> half = keras_tcl.data.Batches(source, 64, shuffle=True, shard=(1, 2))
    >>> len(half), np.array_equal(half[0][0], x[32:])
    (23, True)
    """

    def __init__(
        self,
        source: Source,
        batch_size: int = 128,
        shuffle: bool = False,
        seed: int = 0,
        drop_remainder: bool = False,
        initial_epoch: int = 0,
        shard: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.batch_size = checks.integer("batch_size", batch_size)
        self.shuffle = shuffle
        self.seed = checks.integer("seed", seed, 0)
        self.drop_remainder = drop_remainder
        self.epoch = checks.integer("initial_epoch", initial_epoch, 0)
        self.step = 0
        if drop_remainder and len(source) < batch_size:
            raise ValueError(
                f"No whole batch of {batch_size} can be made from "
                f"{len(source)} examples. Pass a smaller `batch_size`, or "
                "`drop_remainder=False`."
            )
        rest = 0 if drop_remainder else len(source) % batch_size
        self.shard = check_shard(shard, self.batch_size, rest)
        self._lock = threading.Lock()
        # By Keras' adapters: one for each call of `fit` and the like.
        self._readers: Any = weakref.WeakKeyDictionary()

    def __len__(self) -> int:
        if self.drop_remainder:
            return len(self.source) // self.batch_size
        return -(-len(self.source) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the current epoch; the last one ends the epoch."""
        epoch, step = self.epoch, self.step
        batches = self.read_ahead(epoch, step)
        for position, batch in enumerate(batches, start=step + 1):
            if position == len(self):
                self._finish(epoch)
            yield batch

    @property
    def element_spec(self) -> tuple[Any, Any]:
        """Shapes and dtypes of one batch, as `tf.data.Dataset` has it."""
        shape = (None, *self.source.element_shape)
        return (
            keras.KerasTensor(shape, self.source.dtype),
            keras.KerasTensor((None,), "int32"),
        )

    def order(self, epoch: int) -> np.ndarray:
        """The indices of all examples, those of all shards, in its order."""
        size = len(self.source)
        if not self.shuffle:
            return np.arange(size)
        return np.random.default_rng([self.seed, epoch]).permutation(size)

    def indices(self, epoch: int, position: int) -> np.ndarray:
        """The indices of what `read(epoch, position)` reads."""
        return self._part(self.order(epoch), range(len(self))[position])

    def read(self, epoch: int, position: int) -> Batch:
        """The batch at this position of this epoch, or this shard's part."""
        return self.source.read(self.indices(epoch, position))

    def read_ahead(self, epoch: int, step: int = 0) -> Iterator[Batch]:
        """The batches of this epoch from `step` on, read ahead by threads."""
        order, positions = self.order(epoch), range(step, len(self))
        if self.source.in_memory:
            for position in positions:
                yield self._read(order, position)
            return
        workers = min(8, os.cpu_count() or 1, len(self))
        pool = ThreadPoolExecutor(workers, "keras_tcl.data")
        pending: deque[Future[Batch]] = deque()
        try:
            for position in positions:
                pending.append(pool.submit(self._read, order, position))
                # One batch more than there are threads, so that none idles
                # while the consumer holds a batch.
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, order: np.ndarray, position: int) -> Batch:
        return self.source.read(self._part(order, position))

    def _part(self, order: np.ndarray, position: int) -> np.ndarray:
        start = position * self.batch_size
        return part(order[start : start + self.batch_size], self.shard)

    def _finish(self, epoch: int) -> None:
        """Note that the last batch of this epoch was handed out."""
        with self._lock:
            if self.epoch <= epoch:
                self.epoch, self.step = epoch + 1, 0

    # === For Keras ===

    # `fit` asks a `PyDataset` for its batches in an order that it shuffles by
    # itself with Python's global generator. The order here belongs to the
    # seed and the epoch, so Keras gets the batches in their own order,
    # whatever index it asks for. Anybody else gets the batch of the index.
    # Nothing but the caller tells one from the other: the generator of an
    # adapter, which asks for `num_batches` when it begins.

    @property
    def num_batches(self) -> int:
        """The number of batches, as `len`; of those that a pass has left."""
        reader = self._reader("_finite_generator")
        if reader is None:
            return len(self)
        step = self.step if reader.is_training else 0
        reader.epoch, reader.left = self.epoch, len(self) - step
        reader.batches = self.read_ahead(reader.epoch, step)
        return reader.left

    def __getitem__(self, index: int) -> Batch:
        """Batch `index` of the current epoch."""
        reader = self._reader("_finite_generator")
        if reader is None:
            return self.read(self.epoch, index)
        reader.left -= 1
        return next(reader.batches)

    def on_epoch_begin(self) -> None:
        reader = self._reader("on_epoch_begin")
        # Keras looks at a first batch to build a model; it is no training.
        known = ("fit", "evaluate", "predict", "_symbolic_build")
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_name not in known:
            frame = frame.f_back
        if reader is not None and frame is not None:
            reader.is_training = frame.f_code.co_name == "fit"

    def on_epoch_end(self) -> None:
        # Not before: TensorFlow reads ahead of the training.
        reader = self._reader("on_epoch_end")
        if reader is not None and reader.is_training and not reader.left:
            self._finish(reader.epoch)

    def _reader(self, function: str) -> _Reader | None:
        """The reader whose adapter runs `function`, or `None` for others."""
        frame: FrameType | None = sys._getframe(1)
        # Past this object's own methods, a subclass's too.
        while frame is not None and frame.f_locals.get("self") is self:
            frame = frame.f_back
        if frame is None or frame.f_code.co_name != function:
            return None
        adapter: Any = frame.f_locals.get("self")
        if getattr(adapter, "py_dataset", None) is not self:
            return None
        # Keras would draw an order from Python's global random numbers.
        adapter.shuffle = False
        return self._readers.setdefault(adapter, _Reader())

    @property
    def workers(self) -> int:
        """Keras' workers: 1, for `read_ahead` has threads of its own."""
        return 1

    @workers.setter
    def workers(self, value: int) -> None:
        self._refuse("workers", value)

    @property
    def use_multiprocessing(self) -> bool:
        """Whether Keras reads in processes: no."""
        return False

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        self._refuse("use_multiprocessing", value)

    def _refuse(self, name: str, value: Any) -> None:
        raise ValueError(
            f"`Batches` takes no `{name}`: up to eight threads read ahead by "
            "themselves, in the order of the seed, which Keras' workers would "
            f"not keep. Leave it out. Received: {name}={value!r}."
        )

    # === For TensorFlow ===

    def as_tf(self) -> Any:
        """The same batches as a `tf.data.Dataset`, for its `map` and the like.

        It counts epochs together with this object: what one hands out, the
        other goes on from. A stage of your own that reads ahead
        (`as_tf().prefetch(...)`) is a reader like any other, so a short data
        set can finish a pass in it before you have seen the end. Keras warns
        that `fit` ignores `shuffle=True`, its default, for a
        `tf.data.Dataset`; `fit(..., shuffle=False)` is the same without the
        warning.

        Returns:
            A `tf.data.Dataset` of known length, of batches `(x, y)`, whose
            batch dimension is static with `drop_remainder=True`.

        Raises:
            ImportError: without TensorFlow.

        Example:

        ```python
        views = train.as_tf().map(lambda x, y: ((augment(x), augment(x)), y))
        model.fit(views, shuffle=False)
        ```
        """
        tf = require("tensorflow", "`as_tf()`", "keras_tcl[tensorflow]")
        if keras.config.backend() != "tensorflow":
            # JAX or PyTorch is to have the GPU, whose memory it would take.
            try:
                tf.config.set_visible_devices([], "GPU")
            except RuntimeError:  # Initialised already: too late.
                pass

        def generate() -> Iterator[Any]:
            epoch, step = self.epoch, self.step
            batches = self.read_ahead(epoch, step)
            for position, batch in enumerate(batches, start=step + 1):
                yield *batch, epoch, position == len(self)

        def finish(epoch: Any) -> Any:
            self._finish(int(epoch))
            return np.bool_(True)

        def hand_out(x: Any, y: Any, epoch: Any, last: Any) -> Any:
            done = tf.cond(
                last,
                lambda: tf.numpy_function(finish, [epoch], tf.bool),
                lambda: last,
            )
            with tf.control_dependencies([done]):
                return tf.identity(x), tf.identity(y)

        part_size = self.batch_size // self.shard[1]
        size = part_size if self.drop_remainder else None
        shape = (size, *self.source.element_shape)
        dataset = tf.data.Dataset.from_generator(
            generate,
            output_signature=(
                tf.TensorSpec(shape, self.source.dtype),
                tf.TensorSpec((size,), tf.int32),
                tf.TensorSpec((), tf.int64),
                tf.TensorSpec((), tf.bool),
            ),
        )
        length = tf.data.experimental.assert_cardinality(len(self))
        # What notes the end of an epoch comes after the prefetch, so that it
        # runs when a batch is handed out, not when it is read.
        return dataset.apply(length).prefetch(2).map(hand_out)
