"""What it takes to count right answers at every latency."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops


def batches_of(data: Any) -> Iterator[tuple[Any, Any]]:
    """The batches `(x, y)` of a data set, in tensors of this backend or NumPy.

    (A `tf.data.Dataset` has TensorFlow's, which JAX does not take.)
    """

    def of_this_backend(x: Any) -> Any:
        return x if ops.is_tensor(x) else np.asarray(x)

    batches: Iterable[Any] = data
    if isinstance(data, keras.utils.PyDataset):
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
    return (sums.argmax(-1) == labels[:, None]).sum(axis=0)
