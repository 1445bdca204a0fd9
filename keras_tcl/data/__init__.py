"""The paper's data sets as batches that `fit` takes on any backend.

`load` gives batches, `info` the facts, `source` the examples one by one.
`Source` is the contract for data of your own, and `Batches` batches it.
"""

from keras_tcl.data import events, images
from keras_tcl.data.batches import Batches
from keras_tcl.data.loading import info, list_datasets, load, source
from keras_tcl.data.sources import (
    ArraySource,
    DataInfo,
    Joined,
    Source,
    Subset,
)

__all__ = [
    "ArraySource",
    "Batches",
    "DataInfo",
    "Joined",
    "Source",
    "Subset",
    "events",
    "images",
    "info",
    "list_datasets",
    "load",
    "source",
]
