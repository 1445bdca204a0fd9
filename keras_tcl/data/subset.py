"""Some of the examples of a source."""

from typing import Any

import numpy as np

from keras_tcl.data.source import Source


class Subset(Source):
    """The examples of `source` at `indices`, in that order.

    Args:
        source: `Source`.
        indices: Integers `[n]`, each within `0 ... len(source) - 1`.

    Example:

    >>> test = keras_tcl.data.source("digits", "test")
    >>> sevens = keras_tcl.data.Subset(test, np.flatnonzero(test.labels == 7))
    """

    def __init__(self, source: Source, indices: Any) -> None:
        self.source = source
        self.in_memory = source.in_memory
        self.indices = np.asarray(indices, "int64")
        super().__init__(
            source.info,
            source.labels[self.indices],
            source.element_shape,
            source.dtype,
        )

    def read(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        return self.source.read(self.indices[np.asarray(indices)])
