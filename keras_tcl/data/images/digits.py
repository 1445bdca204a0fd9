"""scikit-learn's handwritten digits: real data that needs no download."""

import pathlib

import numpy as np

from keras_tcl.data.catalogue import register
from keras_tcl.data.sources import ArraySource, DataInfo, Source
from keras_tcl.data.splits import stratified_order
from keras_tcl.optional import require

_TRAINING = 1437

INFO = DataInfo(
    name="digits",
    classes=10,
    class_names=tuple("0123456789"),
    shape=(8, 8, 1),
    splits={"train": _TRAINING, "test": 1797 - _TRAINING},
    value_range=(0, 16),
    mean=(0.3055,),
    std=(0.3759,),
    size="nothing to download: 1,797 images come with scikit-learn",
    licence="CC BY 4.0",
    citation=(
        "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten "
        "Digits, UCI Machine Learning Repository, 1998"
    ),
    where="nowhere: `pip install keras_tcl[data]` brings scikit-learn",
    notes={
        "split": (
            "ours: scikit-learn's digits in an order drawn with seed 0, of "
            "which the first 80 % of each class train and the rest test"
        )
    },
)


@register(INFO)
def open_digits(split: str, data_dir: pathlib.Path) -> Source:
    """Open scikit-learn's 8 x 8 digits, uint8 from 0 to 16."""
    datasets = require(
        "sklearn.datasets", "the data set `digits`", "keras_tcl[data]"
    )
    x, y = datasets.load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8, 1).astype("uint8")
    # scikit-learn lists the digits writer by writer.
    drawn = np.random.default_rng(0).permutation(len(y))
    order = drawn[stratified_order(y[drawn])]
    chosen = order[:_TRAINING] if split == "train" else order[_TRAINING:]
    return ArraySource(INFO, x[chosen], y[chosen])
