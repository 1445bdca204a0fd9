"""The data sets by name."""

import importlib

from keras_tcl.data.dataset import Dataset

# Each of these packages has a dict `DATASETS` of name to `Dataset`. They are
# imported when first asked, and import optional packages later still.
_FAMILIES = ("keras_tcl.data.images", "keras_tcl.data.events")


def catalogue() -> dict[str, Dataset]:
    """All data sets by name, in the order of the documentation."""
    datasets: dict[str, Dataset] = {}
    for family in _FAMILIES:
        datasets.update(importlib.import_module(family).DATASETS)
    return datasets


def find(name: str) -> Dataset:
    """The data set of this name, or a ValueError that lists the names."""
    datasets = catalogue()
    if name not in datasets:
        raise ValueError(
            "`name` must be one of the data sets "
            f"{', '.join(sorted(datasets))}. Received: name={name!r}."
        )
    return datasets[name]
