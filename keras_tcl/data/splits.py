"""The grammar of the argument `split`."""

import re
from collections.abc import Callable

import numpy as np

from keras_tcl.data.joined import Joined
from keras_tcl.data.source import Source
from keras_tcl.data.subset import Subset

_PART = re.compile(r"([A-Za-z_]\w*)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")
_GRAMMAR = (
    "a split's name, optionally with a slice in examples or percent, "
    "several joined with `+`: 'train', 'train[:400]', 'train[90%:]', "
    "'train+validation'"
)


def open_split(split: str, open_one: Callable[[str], Source]) -> Source:
    """Open what a split expression names.

    A slice is **stratified**: it is taken along an order in which every
    prefix holds its share of each class, so `"train[:90%]"` and
    `"train[90%:]"` both have all classes in proportion, though most
    releases list their files class by class. Within the slice the examples
    keep the order of the release.

    Args:
        split: String, such as `"train[:90%]+validation"`.
        open_one: Function that opens one split by its plain name.

    Returns:
        A `Source`.

    Raises:
        ValueError: where the expression cannot be read, or a slice is empty
            or reaches beyond the split.
    """
    parts = [
        _PART.fullmatch(part.strip()) if isinstance(part, str) else None
        for part in (split.split("+") if isinstance(split, str) else [split])
    ]
    sources = []
    for part in parts:
        if part is None:
            raise ValueError(
                f"`split` must be {_GRAMMAR}. Received: split={split!r}."
            )
        name, start, stop = part.groups()
        source = open_one(name)
        if start or stop:
            source = _slice(source, start, stop, split)
        sources.append(source)
    return sources[0] if len(sources) == 1 else Joined(sources)


def stratified_order(labels: np.ndarray) -> np.ndarray:
    """An order of which every prefix holds its share of each class.

    Args:
        labels: Integers `[N]`.

    Returns:
        Integers `[N]`, a permutation. With classes of equal size they take
        turns. Examples of one class keep their order.
    """
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    first = np.cumsum(counts) - counts
    rank = np.empty(len(labels), "int64")
    rank[by_class] = np.arange(len(labels)) - np.repeat(first, counts)
    return np.lexsort((labels, (rank + 0.5) / counts[labels]))


def _slice(
    source: Source, start: str | None, stop: str | None, split: str
) -> Source:
    size = len(source)
    begin = 0 if not start else _position(start, size)
    end = size if not stop else _position(stop, size)
    if not 0 <= begin < end <= size:
        raise ValueError(
            f"`split` asks for the examples {begin} to {end} of {size}: a "
            "slice must hold at least one example and stay within the "
            f"split. Received: split={split!r}."
        )
    chosen = stratified_order(source.labels)[begin:end]
    return Subset(source, np.sort(chosen))


def _position(text: str, size: int) -> int:
    if text.endswith("%"):
        position = round(size * int(text[:-1]) / 100)
    else:
        position = int(text)
    return position + size if text.startswith("-") else position
