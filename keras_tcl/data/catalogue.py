"""The data sets by name.

A module of `images` or `events` adds a data set by putting `@register(INFO)`
over the function that opens it; the package's `__init__` imports the module.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from keras_tcl import checks
from keras_tcl.data.sources import DataInfo, Source

Open = Callable[..., Source]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set that `keras_tcl.data.load` knows by name.

    Attributes:
        info: `DataInfo`, what is known before a file is opened.
        open: Function, see `register`.
        options: Strings, the keyword arguments that a user may give.
    """

    info: DataInfo
    open: Open
    options: Sequence[str]


DATASETS: dict[str, Dataset] = {}
"""All data sets by name, in the order of their modules' import."""


def register(
    info: DataInfo, further: Callable[..., Any] | None = None
) -> Callable[[Open], Open]:
    """Decorate the function that opens a data set.

    The function is `open(split, data_dir, **options) -> Source`, where `split`
    is one of `info.splits` (or any name, for `open` to check, where
    `info.splits` is empty) and `data_dir` is a `pathlib.Path`. An option is an
    argument with a default, of `open` or of `further`, the class to which
    `open` hands the rest of its options.
    """

    def decorate(open: Open) -> Open:
        options = _options(open) + (_options(further) if further else [])
        DATASETS[info.name] = Dataset(info, open, tuple(dict.fromkeys(options)))
        return open

    return decorate


def _options(function: Callable[..., Any]) -> list[str]:
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is not parameter.empty
    ]


def find(name: str) -> Dataset:
    """The data set of this name, or a ValueError that lists the names."""
    return DATASETS[checks.choice("name", name, sorted(DATASETS))]
