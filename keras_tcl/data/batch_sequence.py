"""The pipeline without TensorFlow."""

from collections.abc import Iterator
from typing import Any

import keras

from keras_tcl.data.batches import Batch, Batches


class BatchSequence(keras.utils.PyDataset):
    """`Batches` as a `keras.utils.PyDataset`, for `fit` on any backend.

    `fit` asks a `PyDataset` for its batches in an order that it shuffles by
    itself with Python's global generator. The order here belongs to the
    seed and the epoch, as it does with tf.data, so while Keras runs a pass
    the batches come in their own order, whatever index it asks for. At any
    other time, `sequence[i]` is batch `i` of the current epoch.

    Args:
        batches: `Batches`.
    """

    def __init__(self, batches: Batches) -> None:
        # One worker reads in the caller's thread; `Batches` reads ahead.
        super().__init__(workers=1)
        self.batches = batches
        self._in_epoch = False
        self._pass: Iterator[Batch] | None = None
        self._left = 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)

    @property
    def num_batches(self) -> int:
        """The number of batches. To read it gives up the running pass.

        Keras reads it whenever it begins to iterate, and not in between:
        `on_epoch_begin` would not do, as it cannot tell a new pass from the
        continued one of `fit(steps_per_epoch=...)`.
        """
        self._pass = None
        return len(self.batches)

    def on_epoch_begin(self) -> None:
        self._in_epoch = True

    def on_epoch_end(self) -> None:
        self._in_epoch = False

    def __getitem__(self, index: int) -> Batch:
        if self._pass is None:
            if not self._in_epoch:
                return self.batches.read(self.batches.epoch, index)
            self._pass = iter(self.batches)
            self._left = len(self)
        batch = next(self._pass)
        self._left -= 1
        if not self._left:
            self._pass = None
        return batch
