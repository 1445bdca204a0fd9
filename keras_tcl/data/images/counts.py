"""Is a folder of official files the whole of the data set?"""

import pathlib
import warnings

from keras_tcl.data.info import DataInfo


def check_count(
    info: DataInfo, split: str, count: int, place: pathlib.Path
) -> None:
    """Warn where a split is smaller or larger than the official one."""
    if count != info.splits[split]:
        warnings.warn(
            f"`{info.name}` in {place} has {count} examples in its split "
            f"{split!r}; the official release has {info.splits[split]}. "
            "Results on it are not comparable.",
            stacklevel=2,
        )
