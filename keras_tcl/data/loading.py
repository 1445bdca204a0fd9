"""`load`, `source`, `info` and `list_datasets`."""

import os
import pathlib
from typing import Any

from keras_tcl import checks
from keras_tcl.data.batches import Batches
from keras_tcl.data.catalogue import DATASETS, find
from keras_tcl.data.files import default_data_dir
from keras_tcl.data.sources import DataInfo, Source
from keras_tcl.data.splits import open_split


def list_datasets() -> list[str]:
    """The names of the data sets that `load` knows.

    Example:

    >>> "cifar10" in keras_tcl.data.list_datasets()
    True
    """
    return list(DATASETS)


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
    >>> x.shape
    (400, 8, 8, 1)
    """
    dataset = find(name)
    for option, value in options.items():
        if option not in dataset.options:
            accepted = ", ".join(dataset.options)
            raise ValueError(
                f"`{name}` takes "
                f"{f'the options {accepted}' if accepted else 'no options'}. "
                f"Received: {option}={value!r}."
            )
    place = default_data_dir() if data_dir is None else pathlib.Path(data_dir)
    splits = dataset.info.splits

    def open_one(one: str) -> Source:
        if one == "val" and "validation" in splits:
            one = "validation"
        if splits:
            checks.choice("split", one, splits)
        return dataset.open(one, place.expanduser(), **options)

    return open_split(split, open_one)


def load(
    name: str,
    split: str = "train",
    batch_size: int = 128,
    data_dir: str | os.PathLike[str] | None = None,
    shuffle: bool | None = None,
    seed: int = 0,
    drop_remainder: bool = False,
    initial_epoch: int = 0,
    shard: tuple[int, int] | None = None,
    **options: Any,
) -> Batches:
    """Load a data set as batches that `fit` takes on any backend.

    A split that begins with `train` is shuffled, anew in each epoch; all
    others keep their order; `shuffle=True` or `False` says otherwise. Every
    example comes once an epoch, so the last batch may be smaller. The order
    depends on the seed and the epoch alone, see `Batches`.

    Images are raw pixels, uint8; event recordings are frames of counts. Files
    are looked for in this order: the official files, unpacked, in `data_dir`;
    their archives there, which are then unpacked; data prepared by
    tensorflow-datasets; and only then is something downloaded.
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
        shuffle: Bool, or `None`, true where the split begins with `train`.
            Defaults to `None`.
        seed: Int of at least 0. Defaults to `0`.
        drop_remainder: Bool, whether to leave out the last, smaller batch, so
            that all have one shape. Defaults to `False`.
        initial_epoch: Int, the epoch of the first pass, to resume training
            as with `fit(initial_epoch=...)`. Defaults to `0`.
        shard: Pair of ints `(index, count)`, for several processes: which of
            how many equal parts of each batch is read here, see `Batches`.
            `batch_size` is that of all together. Defaults to `None`, all.
        options: what the data set takes beside: `image_size` for the
            fine-grained sets (`224`) and `image_folder` (`None`, images of
            one size), see `keras_tcl.data.images`; `labels` for `cifar100`
            (`"fine"` or `"coarse"`); `test_fraction` and `split_seed` for
            folders; `timesteps` and others for event recordings, see
            `keras_tcl.data.events`.

    Returns:
        `Batches`, a `keras.utils.PyDataset` of `(x, y)`: `x` is `[batch_size,
        height, width, channels]` or `[batch_size, timesteps, height, width,
        2]`, `y` is int32 `[batch_size]`. `load(...).as_tf()` is the same as a
        `tf.data.Dataset`.

    Raises:
        ValueError: for an unknown name, split or option, for files that are
            missing, damaged or of another data set, and where a download
            fails.
        ImportError: where an optional package is missing; the message names
            the pip extra.

    Example:

    >>> train = keras_tcl.data.load("digits", "train[:400]", batch_size=64)
    >>> [len(y) for _, y in train]
    [64, 64, 64, 64, 64, 64, 16]
    """
    return Batches(
        source(name, split, data_dir, **options),
        batch_size,
        shuffle=split.startswith("train") if shuffle is None else shuffle,
        seed=seed,
        drop_remainder=drop_remainder,
        initial_epoch=initial_epoch,
        shard=shard,
    )
