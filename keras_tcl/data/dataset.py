"""One entry of the catalogue of data sets."""

import dataclasses
from collections.abc import Callable

from keras_tcl.data.info import DataInfo
from keras_tcl.data.source import Source


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set that `keras_tcl.data.load` knows by name.

    Attributes:
        info: `DataInfo`, what is known before a file is opened.
        open: Function `open(split, data_dir, **options) -> Source`, where
            `split` is one of `info.splits` (or any name, for `open` to
            check, where `info.splits` is empty), `data_dir` is a
            `pathlib.Path`, and each option is a keyword argument with a
            default. `load` refuses an option that `open` does not name.
    """

    info: DataInfo
    open: Callable[..., Source]
