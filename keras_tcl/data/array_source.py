"""Examples that fit into memory."""

from typing import Any

import numpy as np

from keras_tcl.data.info import DataInfo
from keras_tcl.data.source import Source


class ArraySource(Source):
    """A source over one array in memory; a batch is a single gather.

    Args:
        info: `DataInfo`.
        x: Array `[N, ...]`.
        labels: Integers `[N]`.

    Raises:
        ValueError: where `x` and `labels` differ in length, or as `Source`.

    Example:

    >>> info = keras_tcl.data.DataInfo("mine", classes=2, shape=(4, 4, 1))
    >>> source = keras_tcl.data.ArraySource(
    ...     info, np.zeros((10, 4, 4, 1), "uint8"), np.arange(10) % 2
    ... )
    >>> dataset = keras_tcl.data.from_source(source, batch_size=5)
    """

    in_memory = True

    def __init__(self, info: DataInfo, x: np.ndarray, labels: Any) -> None:
        super().__init__(info, labels, x.shape[1:], x.dtype.name)
        if len(x) != len(self.labels):
            raise ValueError(
                "`x` and `labels` must have the same length. Received: "
                f"{len(x)} examples and {len(self.labels)} labels."
            )
        self.x = x

    def read(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        indices = np.asarray(indices)
        return self.x[indices], self.labels[indices]
