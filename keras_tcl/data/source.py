"""The contract between the data sets and the pipeline that batches them."""

import abc
from typing import Any

import numpy as np

from keras_tcl.data.info import DataInfo


class Source(abc.ABC):
    """One split of a data set: finite, indexable, of one static shape.

    A source knows its labels without decoding anything, and reads any
    examples on demand, from several threads at once. Order, shuffling and
    batching are the pipeline's business.

    A subclass calls this constructor and defines `read`.

    Args:
        info: `DataInfo` of the data set as opened (`info.classes` bounds the
            labels; a folder's classes are known by now).
        labels: Integers `[N]`.
        element_shape: Tuple of ints, the static shape of one example.
        dtype: String, the dtype of the examples. Defaults to `"uint8"`.

    Attributes:
        labels: int32 NumPy array `[N]`.
        in_memory: Bool, whether `read` is a mere gather, so that reading
            ahead in threads would cost more than it saves.

    Raises:
        ValueError: where there is no example, or a label lies outside
            `0 ... info.classes - 1`.

    Example:

    >>> source = keras_tcl.data.source("digits", "test")
    >>> len(source), source.element_shape, source.info.classes
    (360, (8, 8, 1), 10)
    >>> x, y = source.read([0, 1])
    >>> x.shape, x.dtype, y.dtype
    ((2, 8, 8, 1), dtype('uint8'), dtype('int32'))
    """

    in_memory = False

    def __init__(
        self,
        info: DataInfo,
        labels: Any,
        element_shape: tuple[int, ...],
        dtype: str = "uint8",
    ) -> None:
        self.info = info
        self.labels = np.asarray(labels, "int32")
        self.element_shape = tuple(int(size) for size in element_shape)
        self.dtype = np.dtype(dtype).name
        if self.labels.ndim != 1 or not len(self.labels):
            raise ValueError(
                f"`{info.name}` has no examples here: labels must be a "
                f"non-empty vector. Received: shape {self.labels.shape}."
            )
        wrong = np.flatnonzero(
            (self.labels < 0) | (self.labels >= info.classes)
        )
        if len(wrong):
            raise ValueError(
                f"`{info.name}` has a label out of range: labels run from 0 "
                f"to {info.classes - 1}. Received: label "
                f"{self.labels[wrong[0]]} at example {wrong[0]} (and "
                f"{len(wrong) - 1} more). The files are damaged, or belong "
                "to another data set."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @abc.abstractmethod
    def read(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        """Read examples.

        Args:
            indices: Integers `[n]`, each within `0 ... len(self) - 1`.

        Returns:
            `x`, array `[n, *element_shape]` of `dtype`, and their labels
            `y`, int32 `[n]`. Called from several threads at once.
        """
