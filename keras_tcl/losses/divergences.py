"""What two answers differ by: cross entropy and distillation."""

from typing import Any

from keras import ops


def cross_entropy(targets: Any, logits: Any) -> Any:
    """Cross entropy of logits with the labels of their samples.

    Args:
        targets: One-hot or soft labels, float32 `(batch, classes)`.
        logits: float32 `(batch, ..., classes)`.

    Returns:
        float32 tensor `(batch, ...)`.
    """
    return -ops.sum(spread(targets, logits) * ops.log_softmax(logits), axis=-1)


def distillation(student: Any, teacher: Any, temperature: float) -> Any:
    """`k^2 KL(softmax(teacher / k) || softmax(student / k))`, k `temperature`.

    No gradient reaches the teacher. The factor keeps that of the student
    about as large as it is at k = 1.

    Args:
        student, teacher: float32 logits `(..., classes)` that broadcast.
        temperature: Float above 0.

    Returns:
        float32 tensor `(...)`.

    Reference: [Hinton et al., 2015](https://arxiv.org/abs/1503.02531).
    """
    log_p = ops.log_softmax(ops.stop_gradient(teacher) / temperature)
    log_q = ops.log_softmax(student / temperature)
    divergence = ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
    return temperature**2 * divergence


def spread(targets: Any, logits: Any) -> Any:
    """Labels `(batch, classes)` with the axes of `(batch, ..., classes)`."""
    between = [1] * (len(logits.shape) - 2)
    return ops.reshape(targets, (-1, *between, targets.shape[-1]))


def most_likely(logits: Any) -> Any:
    """The largest of `(..., classes)` as one-hot float32 `(..., classes)`."""
    classes = logits.shape[-1]
    return ops.one_hot(ops.argmax(logits, axis=-1), classes, dtype="float32")
