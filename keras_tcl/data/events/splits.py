"""Splits of data sets that come without one, by the name of their rule."""

from collections.abc import Mapping
from typing import Any

import numpy as np

SPLIT_RULES = {
    "tet": "recordings 900 to 999 of each class are the test set (TET)",
    "tebn": "recordings 0 to 99 of each class are the test set (TEBN)",
    "random": "`test_fraction` of each class, drawn at random, is the test set",
}
"""What each rule says."""


def split_rows(
    split_rule: str,
    labels: Any,
    numbers: Any = None,
    split_seed: int = 0,
    test_fraction: float = 0.1,
) -> dict[str, np.ndarray]:
    """Positions of the recordings of each split, ascending.

    Args:
        split_rule: `"tet"`, `"tebn"` or `"random"`, see `SPLIT_RULES`.
        labels: Integers `[N]`, the class of each recording.
        numbers: Integers `[N]`, each recording's number within its class.
            `"random"` does without.
        split_seed: Integer, the seed of `"random"`.
        test_fraction: Float between 0 and 1, the share of each class that
            `"random"` sets aside, rounded, but at least one recording of a
            class on either side, where it has two.

    Returns:
        Dict of `"train"` and `"test"`.

    Raises:
        ValueError: if an argument is none of these.

    Example:

    >>> split_rows("tebn", labels=[0, 0, 1, 1], numbers=[99, 100, 0, 100])
    {'train': array([1, 3]), 'test': array([0, 2])}
    """
    if split_rule not in SPLIT_RULES:
        raise ValueError(
            f"`split_rule` must be one of {tuple(SPLIT_RULES)}. "
            f"Received: split_rule={split_rule!r}"
        )
    if not 0 < test_fraction < 1:
        raise ValueError(
            "`test_fraction` must lie between 0 and 1. "
            f"Received: test_fraction={test_fraction}"
        )
    labels = np.asarray(labels)
    if split_rule == "tet":
        test = np.asarray(numbers) >= 900
    elif split_rule == "tebn":
        test = np.asarray(numbers) < 100
    else:
        test = np.zeros(len(labels), bool)
        random = np.random.default_rng(split_seed)
        for label in np.unique(labels):
            members = random.permutation(np.flatnonzero(labels == label))
            number = round(test_fraction * len(members))
            test[members[: min(max(number, 1), len(members) - 1)]] = True
    return {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)}


def check_split(split: str, splits: Mapping[str, Any]) -> None:
    """Raise a ValueError unless `split` is among `splits`."""
    if split not in splits:
        raise ValueError(
            f"`split` must be one of {tuple(splits)}. Received: split={split!r}"
        )
