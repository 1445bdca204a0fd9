"""From a source to what `fit` takes."""

import importlib.util
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_tcl.data.batch_sequence import BatchSequence
from keras_tcl.data.batches import Batches
from keras_tcl.data.source import Source

_FORMATS = ("auto", "tf", "keras")


def from_source(
    source: Source,
    batch_size: int = 128,
    shuffle: bool = False,
    seed: int = 0,
    drop_remainder: bool = False,
    initial_epoch: int = 0,
    format: str = "auto",
) -> Any:
    """Batch a source for `fit`, `evaluate` and `predict` on any backend.

    `keras_tcl.data.load` is this function over one of the known data sets.
    With `shuffle=True` the order depends on the seed and the epoch alone, and
    a pass counts as an epoch once its last batch was handed out: a pass given
    up early is begun again by the next one. A stage of your own that reads
    ahead (`dataset.prefetch(...)`) is a reader like any other, so a short
    data set can finish a pass in it before you have seen the end.

    Keras warns that it ignores `shuffle=True`, the default of `fit`, for any
    `tf.data.Dataset`; `fit(dataset, shuffle=False)` is the same without the
    warning. A `PyDataset` costs less a batch where the data lie in memory.

    Args:
        source: `Source`.
        batch_size: Int. Defaults to `128`.
        shuffle: Bool, whether each epoch has an order of its own. Defaults
            to `False`.
        seed: Int, at least 0. Defaults to `0`.
        drop_remainder: Bool, whether to leave out the last, smaller batch.
            Defaults to `False`.
        initial_epoch: Int, the epoch of the first pass, to resume training
            as with `fit(initial_epoch=...)`. Defaults to `0`.
        format: String, `"tf"` for a `tf.data.Dataset`, `"keras"` for a
            `keras.utils.PyDataset`, which needs no TensorFlow, or `"auto"`
            for the former where TensorFlow is installed. Both give the same
            batches. Defaults to `"auto"`.

    Returns:
        A data set of batches `(x, y)`, `x` of `source.dtype`
        `[batch_size, *source.element_shape]` and `y` int32 `[batch_size]`,
        of known length.

    Raises:
        ValueError: for an argument out of range, or where no batch is left.
        ImportError: for `format="tf"` without TensorFlow.

    Example:

    >>> source = keras_tcl.data.source("digits", "train")
    >>> dataset = keras_tcl.data.from_source(source, 64, shuffle=True)
    >>> model.fit(dataset, epochs=3)
    """
    if format not in _FORMATS:
        raise ValueError(
            f"`format` must be one of {_FORMATS}. Received: format={format!r}."
        )
    batches = Batches(
        source, batch_size, shuffle, seed, drop_remainder, initial_epoch
    )
    if format == "auto":
        found = importlib.util.find_spec("tensorflow") is not None
        format = "tf" if found else "keras"
    return _tf_dataset(batches) if format == "tf" else BatchSequence(batches)


def _tf_dataset(batches: Batches) -> Any:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "`format='tf'` needs TensorFlow: `pip install "
            "keras_tcl[tensorflow]`, or pass `format='keras'`."
        ) from error
    if keras.config.backend() != "tensorflow":
        _keep_tensorflow_off_the_gpu(tf)

    def generate() -> Iterator[Any]:
        epoch = batches.epoch
        for position, batch in enumerate(batches.read_ahead(epoch), start=1):
            yield *batch, epoch, position == len(batches)

    def finish(epoch: Any) -> Any:
        batches.finish(int(epoch))
        return np.bool_(True)

    def hand_out(x: Any, y: Any, epoch: Any, last: Any) -> Any:
        done = tf.cond(
            last,
            lambda: tf.numpy_function(finish, [epoch], tf.bool),
            lambda: last,
        )
        with tf.control_dependencies([done]):
            return tf.identity(x), tf.identity(y)

    size = batches.batch_size if batches.drop_remainder else None
    source = batches.source
    dataset = tf.data.Dataset.from_generator(
        generate,
        output_signature=(
            tf.TensorSpec((size, *source.element_shape), source.dtype),
            tf.TensorSpec((size,), tf.int32),
            tf.TensorSpec((), tf.int64),
            tf.TensorSpec((), tf.bool),
        ),
    )
    dataset = dataset.apply(
        tf.data.experimental.assert_cardinality(len(batches))
    )
    # What notes the end of an epoch comes after the prefetch, so that it runs
    # when a batch is handed out, not when it is read.
    return dataset.prefetch(2).map(hand_out)


def _keep_tensorflow_off_the_gpu(tf: Any) -> None:
    """Let JAX or PyTorch have the GPU: TensorFlow would take its memory."""
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:  # Already initialised: what it took, it took.
        pass
