"""The paper's data sets as batches that `fit` takes on any backend.

Three functions do the work: `load` gives batches, `info` the facts, `source`
the examples one by one. `Source` is the contract for data of your own, and
`from_source` batches it.
"""

from keras_tcl.data.array_source import ArraySource
from keras_tcl.data.info import DataInfo
from keras_tcl.data.joined import Joined
from keras_tcl.data.loading import info, list_datasets, load, source
from keras_tcl.data.pipeline import from_source
from keras_tcl.data.source import Source
from keras_tcl.data.subset import Subset

__all__ = [
    "ArraySource",
    "DataInfo",
    "Joined",
    "Source",
    "Subset",
    "from_source",
    "info",
    "list_datasets",
    "load",
    "source",
]
