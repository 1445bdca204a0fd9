"""Splits: the grammar of the argument `split`, and rules of our own."""

import re
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.data.sources import Joined, Source, Subset

_PART = re.compile(r"([A-Za-z_]\w*)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?")

SPLIT_RULES = {
    "tet": "recordings 900 to 999 of each class are the test set (TET)",
    "tebn": "recordings 0 to 99 of each class are the test set (TEBN)",
    "random": "`test_fraction` of each class, drawn at random, is the test set",
}
"""What each rule for a data set without a split says."""


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
    sources = []
    for part in split.split("+") if isinstance(split, str) else [""]:
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(
                "`split` must be a split's name, optionally with a slice in "
                "examples or percent, several joined with `+`: 'train', "
                "'train[:400]', 'train[90%:]', 'train+validation'. "
                f"Received: split={split!r}."
            )
        name, start, stop = match.groups()
        source = open_one(name)
        if start or stop:
            size = len(source)
            begin = _position(start, size) if start else 0
            end = _position(stop, size) if stop else size
            if not 0 <= begin < end <= size:
                raise ValueError(
                    f"`split` asks for the examples {begin} to {end} of "
                    f"{size}: a slice must hold at least one example and stay "
                    f"within the split. Received: split={split!r}."
                )
            chosen = stratified_order(source.labels)[begin:end]
            source = Subset(source, np.sort(chosen))
        sources.append(source)
    return sources[0] if len(sources) == 1 else Joined(sources)


def _position(text: str, size: int) -> int:
    if text.endswith("%"):
        position = round(size * int(text[:-1]) / 100)
    else:
        position = int(text)
    return position + size if text.startswith("-") else position


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


def split_rows(
    split_rule: str,
    labels: Any,
    numbers: Any = None,
    split_seed: int = 0,
    test_fraction: float = 0.1,
) -> dict[str, np.ndarray]:
    """Positions of the examples of each split, ascending.

    Args:
        split_rule: `"tet"`, `"tebn"` or `"random"`, see `SPLIT_RULES`.
        labels: Integers `[N]`, the class of each example.
        numbers: Integers `[N]`, each example's number within its class.
            `"random"` does without.
        split_seed: Integer, the seed of `"random"`.
        test_fraction: Float between 0 and 1, the share of each class that
            `"random"` sets aside, rounded, but at least one example of a
            class on either side, where it has two.

    Returns:
        Dict of `"train"` and `"test"`.

    Raises:
        ValueError: if an argument is none of these.
    """
    checks.choice("split_rule", split_rule, SPLIT_RULES)
    if not isinstance(test_fraction, Real) or not 0 < test_fraction < 1:
        raise ValueError(
            "`test_fraction` must lie between 0 and 1. "
            f"Received: test_fraction={test_fraction!r}."
        )
    labels = np.asarray(labels)
    if split_rule == "tet":
        test = np.asarray(numbers) >= 900
    elif split_rule == "tebn":
        test = np.asarray(numbers) < 100
    else:
        test = np.zeros(len(labels), bool)
        random = np.random.default_rng(
            checks.integer("split_seed", split_seed, 0)
        )
        for label in np.unique(labels):
            members = random.permutation(np.flatnonzero(labels == label))
            number = round(test_fraction * len(members))
            test[members[: min(max(number, 1), len(members) - 1)]] = True
    return {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)}
