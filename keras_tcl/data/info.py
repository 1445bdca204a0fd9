"""What is known of a data set before a file is opened."""

import dataclasses
from collections.abc import Mapping
from typing import Any


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

    def replace(self, **changes: Any) -> "DataInfo":
        """A copy with some facts changed, e.g. `info.replace(classes=20)`."""
        return dataclasses.replace(self, **changes)
