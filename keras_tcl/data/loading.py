"""`load`, `source`, `info` and `list_datasets`."""

import inspect
import os
import pathlib
from typing import Any

from keras_tcl.data.catalogue import catalogue, find
from keras_tcl.data.info import DataInfo
from keras_tcl.data.local import default_data_dir
from keras_tcl.data.pipeline import from_source
from keras_tcl.data.source import Source
from keras_tcl.data.splits import open_split


def list_datasets() -> list[str]:
    """The names of the data sets that `load` knows.

    Example:

    >>> "cifar10" in keras_tcl.data.list_datasets()
    True
    """
    return list(catalogue())


def info(name: str) -> DataInfo:
    """The facts about a data set, without opening a file.

    Args:
        name: String, one of `list_datasets()`.

    Returns:
        A `DataInfo`: classes, shape, splits, mean and std, licence, citation,
        and which files to put where by hand.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> keras_tcl.data.info("cifar10").splits
    {'train': 50000, 'test': 10000}
    """
    return find(name).info


def source(
    name: str,
    split: str,
    data_dir: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Source:
    """Open one split of a data set, to be indexed rather than iterated.

    Args:
        name: String, one of `list_datasets()`.
        split: String, as in `load`.
        data_dir: Path, as in `load`.
        options: as in `load`.

    Returns:
        A `Source` with `labels`, `info`, `read(indices)` and a length.

    Raises:
        ValueError: as `load`.
        ImportError: where an optional package is missing.

    Example:

    >>> train = keras_tcl.data.source("digits", "train[:400]")
    >>> x, y = train.read(range(len(train)))
    """
    dataset = find(name)
    accepted = [
        parameter.name
        for parameter in inspect.signature(dataset.open).parameters.values()
        if parameter.default is not parameter.empty
    ]
    for option, value in options.items():
        if option not in accepted:
            raise ValueError(
                f"`{name}` takes "
                f"{'the options ' + ', '.join(accepted) if accepted else ''}"
                f"{'' if accepted else 'no options'}. "
                f"Received: {option}={value!r}."
            )
    place = default_data_dir() if data_dir is None else pathlib.Path(data_dir)
    splits = dataset.info.splits

    def open_one(one: str) -> Source:
        if one == "val" and "validation" in splits:
            one = "validation"
        if splits and one not in splits:
            raise ValueError(
                f"`{name}` has the splits {', '.join(splits)}. "
                f"Received: split={split!r}."
            )
        return dataset.open(one, place.expanduser(), **options)

    return open_split(split, open_one)


def load(
    name: str,
    split: str = "train",
    batch_size: int = 128,
    data_dir: str | os.PathLike[str] | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
    drop_remainder: bool | None = None,
    initial_epoch: int = 0,
    format: str = "auto",
    **options: Any,
) -> Any:
    """Load a data set as batches that `fit` takes on any backend.

    Images are raw pixels, uint8; event recordings are frames of counts. The
    order of the examples depends on the seed and the epoch alone; see
    `from_source` for what counts as an epoch.

    Files are looked for in this order: the official files, unpacked, in
    `data_dir`; their archives there, which are then unpacked; data prepared
    by tensorflow-datasets; and only then is something downloaded.
    `keras_tcl.data.info(name).where` says which files to put where by hand.

    Args:
        name: String, one of `list_datasets()`.
        split: String, the name of a split (`"train"`, `"test"`, for some
            `"validation"`), a slice of one (`"train[:400]"`,
            `"train[90%:]"`), or several joined by `+`. Slices are stratified:
            they hold their share of each class. Defaults to `"train"`.
        batch_size: Int. Defaults to `128`, the paper's (or 64).
        data_dir: Path of the folder of the data sets; for `image_folder` and
            `event_folder` the folder itself. Defaults to the environment
            variable `KERAS_TCL_DATA_DIR`, else `~/keras_tcl_data`.
        shuffle: Bool, whether each epoch has an order of its own. Defaults to
            `None`: true where the split begins with `train`.
        seed: Int of at least 0. Defaults to `0`.
        drop_remainder: Bool, whether to leave out the last, smaller batch.
            Defaults to `None`: true where `shuffle` is.
        initial_epoch: Int, the epoch of the first pass, to resume training
            as with `fit(initial_epoch=...)`. Defaults to `0`.
        format: String, `"tf"` for a `tf.data.Dataset`, `"keras"` for a
            `keras.utils.PyDataset`, which needs no TensorFlow, or `"auto"`,
            the former where TensorFlow is installed. Both give the same
            batches. Defaults to `"auto"`.
        options: what the data set takes beside: `image_size` for the
            fine-grained sets (an integer, to which the shorter side is
            resized before the centre is cropped; a pair; or `None`; defaults
            to `224`; the paper does not state its own) and for `image_folder`
            (defaults to `None`, images of one size), which also takes
            `test_fraction` and `split_seed`; `labels` for `cifar100`
            (`"fine"` or `"coarse"`); for event recordings, such as
            `timesteps`, see `keras_tcl.data.events`.

    Returns:
        A `tf.data.Dataset` or a `keras.utils.PyDataset` of known length, of
        batches `(x, y)`: `x` is `[batch_size, height, width, channels]` or
        `[batch_size, timesteps, height, width, 2]`, `y` is int32
        `[batch_size]`.

    Raises:
        ValueError: for an unknown name, split or option, for files that are
            missing, damaged or of another data set, and where a download
            fails.
        ImportError: where an optional package is missing; the message names
            the pip extra.

    Example:

    >>> train = keras_tcl.data.load("digits", "train[:400]", batch_size=40)
    >>> test = keras_tcl.data.load("digits", "test")
    >>> model.fit(train, validation_data=test, epochs=3)
    """
    opened = source(name, split, data_dir, **options)
    if shuffle is None:
        shuffle = split.startswith("train")
    return from_source(
        opened,
        batch_size,
        shuffle=shuffle,
        seed=seed,
        drop_remainder=shuffle if drop_remainder is None else drop_remainder,
        initial_epoch=initial_epoch,
        format=format,
    )
