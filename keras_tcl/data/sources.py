"""Sources: the examples of a data set, to be indexed; and the facts about it.

`Source` is the contract between the data sets and `Batches`.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class DataInfo:
    """The facts about one data set, as `keras_tcl.data.info(name)` gives them.

    Attributes:
        name: String, the name that `keras_tcl.data.load` knows.
        classes: Int, number of classes. 0 for a folder not opened yet.
        class_names: Tuple of strings in the order of the labels; empty where
            the names come with the files and none was opened yet.
        shape: Tuple, the shape of one element as `load` gives it by default:
            `(height, width, channels)` of an image,
            `(timesteps, height, width, 2)` of event frames.
        splits: Dict of split name to number of examples.
        value_range: Tuple `(lowest, highest)` of the raw pixels, or `None`
            for event counts.
        mean: Tuple, mean of each channel in units where the value range is
            [0, 1], or `None`.
        std: Tuple, standard deviation of each channel, same units, or `None`.
        size: String, what there is to download.
        licence: String.
        citation: String.
        where: String, which files to put where by hand.
        notes: Dict of further facts, such as the rule of the split.

    Example:

    >>> info = keras_tcl.data.DataInfo("mine", classes=2, shape=(4, 4, 1))
    >>> info.replace(classes=3).classes
    3
    """

    name: str
    classes: int
    shape: tuple[int | None, ...]
    splits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    value_range: tuple[float, float] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    size: str = ""
    licence: str = ""
    citation: str = ""
    where: str = ""
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def network_arguments(self) -> dict[str, Any]:
        """What a network for these data is built with.

        Returns:
            `input_shape` and `classes`; of images also `value_range`, and
            `mean` and `std` where they are known.

        Example:

        >>> digits = keras_tcl.data.info("digits")
        >>> model = keras_tcl.sew_resnet8(**digits.network_arguments())
        >>> model.input_shape, model.classes
        ((None, 8, 8, 1), 10)
        """
        arguments = {"input_shape": self.shape, "classes": self.classes}
        for name in ("value_range", "mean", "std"):
            if getattr(self, name) is not None:
                arguments[name] = getattr(self, name)
        return arguments

    def replace(self, **changes: Any) -> "DataInfo":
        """A copy with some facts changed."""
        return dataclasses.replace(self, **changes)


class Source(abc.ABC):
    """One split of a data set: finite, indexable, of one static shape.

    A source knows its labels without decoding anything, and reads any
    examples on demand, from several threads at once. `Batches` does the
    order, the shuffling and the batching.

    A subclass calls this constructor and defines `read`.

    Args:
        info: `DataInfo` of the data set as opened (`info.classes` bounds the
            labels; a folder's classes are known by now).
        labels: Whole numbers `[N]`.
        element_shape: Tuple of ints, the static shape of one example.
        dtype: String, the dtype of the examples. Defaults to `"uint8"`.

    Attributes:
        labels: int32 NumPy array `[N]`.
        in_memory: Bool, whether `read` is a mere gather, so that reading
            ahead in threads would cost more than it saves.

    Raises:
        ValueError: where there is no example, or a label is no whole number
            or lies outside `0 ... info.classes - 1`.

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
        labels = np.asarray(labels)
        self.element_shape = tuple(int(size) for size in element_shape)
        self.dtype = np.dtype(dtype).name
        if labels.ndim != 1 or not len(labels):
            raise ValueError(
                f"`{info.name}` has no examples here: labels must be a "
                f"non-empty vector. Received: shape {labels.shape}."
            )
        whole = labels.dtype.kind in "biu" or (
            labels.dtype.kind == "f" and np.all(labels == np.floor(labels))
        )
        if not whole:
            raise ValueError(
                f"The labels of `{info.name}` must be whole numbers, the "
                f"positions of the classes from 0 to {info.classes - 1}. "
                f"Received: dtype {labels.dtype}, beginning with "
                f"{labels[:5].tolist()}."
            )
        wrong = np.flatnonzero((labels < 0) | (labels >= info.classes))
        if len(wrong):
            raise ValueError(
                f"`{info.name}` has a label out of range: labels run from 0 "
                f"to {info.classes - 1}. Received: label "
                f"{labels[wrong[0]]} at example {wrong[0]} (and "
                f"{len(wrong) - 1} more). The files are damaged, or belong "
                "to another data set."
            )
        self.labels = labels.astype("int32")

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


class ArraySource(Source):
    """A source over one array in memory; a batch is a single gather.

    Args:
        info: `DataInfo`.
        x: Array `[N, ...]`.
        labels: Whole numbers `[N]`, or `[N, 1]` as `keras.datasets` has them.

    Raises:
        ValueError: where `x` and `labels` differ in length, or as `Source`.

    Example:

    >>> info = keras_tcl.data.DataInfo("mine", classes=2, shape=(4, 4, 1))
    >>> source = keras_tcl.data.ArraySource(
    ...     info, np.zeros((10, 4, 4, 1), "uint8"), np.arange(10) % 2
    ... )
    >>> len(keras_tcl.data.Batches(source, batch_size=5))
    2
    """

    in_memory = True

    def __init__(self, info: DataInfo, x: np.ndarray, labels: Any) -> None:
        labels = np.asarray(labels)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
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


class Subset(Source):
    """The examples of `source` at `indices`, in that order.

    Args:
        source: `Source`.
        indices: Integers `[n]`, each within `0 ... len(source) - 1`, or a
            mask: booleans `[len(source)]`.

    Raises:
        ValueError: where a mask has another length, an index is no whole
            number or out of range, or nothing is left.

    Example:

    >>> test = keras_tcl.data.source("digits", "test")
    >>> sevens = keras_tcl.data.Subset(test, test.labels == 7)
    >>> len(sevens)
    36
    """

    def __init__(self, source: Source, indices: Any) -> None:
        self.source = source
        self.in_memory = source.in_memory
        indices = np.asarray(indices)
        if indices.dtype == bool:
            if indices.shape != (len(source),):
                raise ValueError(
                    f"A mask must have one entry for each of the "
                    f"{len(source)} examples. Received: shape {indices.shape}."
                )
            indices = np.flatnonzero(indices)
        is_whole = indices.dtype.kind in "iu" or not indices.size
        wrong = (indices < 0) | (indices >= len(source))
        if indices.ndim != 1 or not is_whole or wrong.any():
            raise ValueError(
                "`indices` must be a vector of whole numbers from 0 to "
                f"{len(source) - 1}, or a mask. Received: shape "
                f"{indices.shape}, dtype {indices.dtype}, among them "
                f"{indices[wrong][:3].tolist() or indices.ravel()[:3]}."
            )
        self.indices = indices.astype("int64")
        super().__init__(
            source.info,
            source.labels[self.indices],
            source.element_shape,
            source.dtype,
        )

    def read(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        return self.source.read(self.indices[np.asarray(indices)])


class Joined(Source):
    """All examples of several sources, in the order given.

    Args:
        sources: List of `Source`s that share shape and dtype.

    Raises:
        ValueError: where there is none, or their shapes or dtypes differ.

    Example:

    >>> everything = keras_tcl.data.Joined(
    ...     [keras_tcl.data.source("digits", s) for s in ("train", "test")]
    ... )
    >>> len(everything)
    1797
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        if not len(sources):
            raise ValueError(
                "`sources` must hold at least one. Received: none."
            )
        first, *others = sources
        kind = (first.element_shape, first.dtype)
        for other in others:
            if (other.element_shape, other.dtype) != kind:
                raise ValueError(
                    "Joined splits must share one shape and dtype. Received: "
                    f"{first.element_shape} {first.dtype} and "
                    f"{other.element_shape} {other.dtype}. For images, pass "
                    "`image_size`."
                )
        self.sources = list(sources)
        self.in_memory = all(source.in_memory for source in sources)
        self._starts = np.cumsum([0] + [len(source) for source in sources])
        labels = np.concatenate([source.labels for source in sources])
        super().__init__(first.info, labels, *kind)

    def read(self, indices: Any) -> tuple[np.ndarray, np.ndarray]:
        indices = np.asarray(indices)
        x = np.empty((len(indices), *self.element_shape), self.dtype)
        owner = np.searchsorted(self._starts, indices, side="right") - 1
        for k in np.unique(owner):
            own = owner == k
            x[own], _ = self.sources[k].read(indices[own] - self._starts[k])
        return x, self.labels[indices]
