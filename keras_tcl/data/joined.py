"""Several sources one after the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_tcl.data.source import Source


class Joined(Source):
    """All examples of several sources, in the order given.

    Args:
        sources: List of `Source`s that share shape and dtype.

    Raises:
        ValueError: where their shapes or dtypes differ.

    Example:

    >>> everything = keras_tcl.data.Joined(
    ...     [keras_tcl.data.source("digits", s) for s in ("train", "test")]
    ... )
    >>> len(everything)
    1797
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        first = sources[0]
        for other in sources[1:]:
            if (other.element_shape, other.dtype) != (
                first.element_shape,
                first.dtype,
            ):
                raise ValueError(
                    "Joined splits must share one shape and dtype. Received: "
                    f"{first.element_shape} {first.dtype} and "
                    f"{other.element_shape} {other.dtype}. For images, pass "
                    "`image_size`."
                )
        self.sources = list(sources)
        self.in_memory = all(source.in_memory for source in sources)
        self._starts = np.cumsum([0] + [len(source) for source in sources])
        super().__init__(
            first.info,
            np.concatenate([source.labels for source in sources]),
            first.element_shape,
            first.dtype,
        )

    def read(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        indices = np.asarray(indices)
        x = np.empty((len(indices), *self.element_shape), self.dtype)
        owner = np.searchsorted(self._starts, indices, side="right") - 1
        for k in np.unique(owner):
            own = owner == k
            x[own], _ = self.sources[k].read(indices[own] - self._starts[k])
        return x, self.labels[indices]
