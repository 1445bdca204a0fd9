"""What a network says at every latency: after 1, 2, ..., T time steps.

A network in inference is causal: what it does in the first t steps does not
depend on how many follow. So one pass over T steps knows every latency.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import graph
from keras_tcl.inference.readout import Readout
from keras_tcl.inputs import are_finite, check_sample_shape, without_invalid


def step_logits(network: keras.Model, x: Any) -> Any:
    """Logits `[batch, T, classes]` of every time step, in inference.

    A sample with NaN or infinite values has NaN logits. (Spikes would hide
    it: `NaN >= threshold` is false.)
    """
    x = ops.convert_to_tensor(x)
    check_sample_shape(x.shape[1:], network.inputs[0].shape[1:])
    outputs = graph.run(
        network, without_invalid(x), training=False, only=["logits"]
    )
    logits = ops.cast(outputs["logits"], "float32")
    return ops.where(are_finite(x)[:, None, None], logits, float("nan"))


def evaluate_timesteps(
    readout: Readout, x: Any, y: Any = None, batch_size: int | None = None
) -> np.ndarray:
    """Accuracy `[T]` at every latency, from one pass over the data.

    Args:
        readout: That of `step_logits`.
        x: Images or event frames, or a data set of `(x, y)` batches.
        y: Labels, integer or one-hot; left out for a data set.
        batch_size: Integer, as for `predict`.
    """
    batches: Iterable[tuple[Any, Any]]
    if y is not None:
        batches = [(readout.predict(x, batch_size), y)]
    else:
        batches = ((readout.predict_on_batch(x), y) for x, y in batches_of(x))
    correct, total = np.zeros(1), 0
    for logits, labels in batches:
        correct = correct + correct_by_latency(logits, labels)
        total += len(logits)
    if not total:
        raise ValueError("The data set is empty: there is no accuracy.")
    return correct / total


def batches_of(data: Any) -> Iterator[tuple[Any, Any]]:
    """The batches `(x, y)` of a data set, in tensors of this backend or NumPy.

    (A `tf.data.Dataset` has TensorFlow's, which JAX does not take.)
    """

    def of_this_backend(x: Any) -> Any:
        return x if ops.is_tensor(x) else np.asarray(x)

    batches: Iterable[Any] = data
    if hasattr(data, "read_ahead"):
        # Ours: by itself, for Keras may be in the middle of a pass over it.
        batches = data.read_ahead(data.epoch)
    elif isinstance(data, keras.utils.PyDataset):
        batches = (data[i] for i in range(data.num_batches))
    for batch in batches:
        batch = keras.tree.map_structure(of_this_backend, tuple(batch))
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        yield x, y


def correct_by_latency(logits: np.ndarray, labels: Any) -> np.ndarray:
    """Number of right answers `[T]` of the first t = 1..T steps together.

    Args:
        logits: Array `[samples, T, classes]`.
        labels: Class ids `[samples]` or `[samples, 1]`, or one-hot labels
            `[samples, classes]`.

    Raises:
        ValueError: If there are not as many labels as samples.
    """
    labels = np.asarray(ops.convert_to_numpy(labels))
    if labels.ndim == 2:
        labels = labels.argmax(-1) if labels.shape[1] > 1 else labels[:, 0]
    if len(labels) != len(logits):
        raise ValueError(
            "`x` and `y` must hold the same number of samples. "
            f"Received: {len(logits)} samples, {len(labels)} labels."
        )
    sums = np.cumsum(logits, axis=1)
    hits = sums.argmax(-1) == labels[:, None]
    # The largest of NaN would be class 0.
    return (hits & np.isfinite(sums).all(-1)).sum(axis=0)
