"""What a network says at every latency: after 1, 2, ..., T time steps.

A network in inference is causal: what it does in the first t steps does not
depend on how many follow. So one pass over T steps knows every latency.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import graph, inputs
from keras_tcl.distribution import replicas
from keras_tcl.inference.readout import Readout
from keras_tcl.losses.labels import validate_labels
from keras_tcl.progress import shown


def step_logits(network: keras.Model, x: Any) -> Any:
    """Logits `[batch, T, classes]` of every time step, in inference.

    A sample with values that are NaN, infinite or far from any pixel has NaN
    logits. (Spikes would hide it: `NaN >= threshold` is false.)
    """
    x = ops.convert_to_tensor(x)
    inputs.check_sample_shape(x.shape[1:], network.inputs[0].shape[1:])
    valid = inputs.without_invalid(x, inputs.pixel_range(network))
    outputs = graph.run(network, valid, training=False, only=["logits"])
    return with_invalid(outputs["logits"], network, x)


def with_invalid(logits: Any, network: keras.Model, x: Any) -> Any:
    """Logits `[batch, T, ...]` in float32, NaN where `x` is not valid."""
    is_valid = inputs.are_valid(x, inputs.pixel_range(network))
    axes = (-1, *[1] * (len(logits.shape) - 1))
    logits = ops.cast(logits, "float32")
    return ops.where(ops.reshape(is_valid, axes), logits, float("nan"))


def evaluate_timesteps(
    readout: Readout, x: Any, y: Any = None, batch_size: int | None = None
) -> np.ndarray:
    """Accuracy `[T]` at every latency, from one pass over the data.

    Args:
        readout: That of `step_logits`.
        x: Images or event frames, or a data set of `(x, y)` batches.
        y: Labels, integer or one-hot; left out for a data set.
        batch_size: Integer, as for `predict`.

    Of data of which each process has a shard, it is that of all of them.

    Raises:
        ValueError: If there are no samples, labels that are no classes, or
            batches of recordings of different T.
    """
    batches: Iterable[tuple[Any, Any]]
    if y is not None:
        batches = [(readout.predict(x, batch_size), y)]
    else:
        length = getattr(x, "num_batches", None)
        pairs = shown(inputs.batches_of(x), "accuracy at every latency", length)
        batches = ((readout.predict_on_batch(x), y) for x, y in pairs)
    correct, total = np.zeros(0), 0
    for logits, labels in batches:
        correct = add_by_latency(correct, correct_by_latency(logits, labels))
        total += len(logits)
    if not total:
        raise ValueError("The data set is empty: there is no accuracy.")
    sums = replicas.of_all_parts(x, np.append(correct, total))
    return sums[:-1] / sums[-1]


def add_by_latency(sums: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Adds arrays `[T]`, of which the first may be `[0]`, still of nothing.

    Raises:
        ValueError: If they are of different T.
    """
    if not len(sums):
        return more
    if len(sums) != len(more):
        raise ValueError(
            "All recordings must have the same number of time steps T for an "
            "accuracy at every t. Received batches of "
            f"T = {len(sums)} and T = {len(more)}. Evaluate those of each T "
            "by themselves, or bring all to one T."
        )
    return sums + more


def correct_by_latency(logits: np.ndarray, labels: Any) -> np.ndarray:
    """Number of right answers `[T]` of the first t = 1..T steps together.

    Args:
        logits: Array `[samples, T, classes]`.
        labels: Class ids `[samples]` or `[samples, 1]`, or one-hot labels
            `[samples, classes]`.

    Raises:
        ValueError: If there are not as many labels as samples, or labels that
            are no classes.
    """
    labels = class_ids(labels, logits)
    sums = sums_by_latency(logits)
    hits = sums.argmax(-1) == labels[:, None]
    # The largest of NaN would be class 0.
    return (hits & np.isfinite(sums).all(-1)).sum(axis=0)


def sums_by_latency(logits: np.ndarray) -> np.ndarray:
    """Sums `[samples, T, classes]` of the first t = 1..T steps' logits.

    All that names a class at a latency takes the largest of these: in float32,
    or of means, which are rounded once more, a near tie may end otherwise.
    """
    return np.cumsum(logits, axis=1, dtype="float64")


def class_ids(labels: Any, logits: np.ndarray) -> np.ndarray:
    """Class ids `[samples]` of labels of any kind, one for each sample.

    Args:
        labels: As for `correct_by_latency`.
        logits: Array `[samples, ..., classes]`.

    Raises:
        ValueError: As `correct_by_latency`.
    """
    labels = np.asarray(ops.convert_to_numpy(labels))
    validate_labels(labels, logits.shape[-1], hard=False)
    if labels.ndim == 2:
        labels = labels.argmax(-1) if labels.shape[1] > 1 else labels[:, 0]
    if len(labels) != len(logits):
        raise ValueError(
            "`x` and `y` must hold the same number of samples. "
            f"Received: {len(logits)} samples, {len(labels)} labels."
        )
    return labels
