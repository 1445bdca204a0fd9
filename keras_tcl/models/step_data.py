"""What a step is given, what fits it, and what becomes of the logits."""

from typing import Any

import keras
from keras import ops


def check_temporal_loss(
    loss: Any, loss_weights: Any, sample_shape: Any, classes: int
) -> None:
    """Raise a ValueError for what a temporal loss cannot learn with."""
    if loss_weights is not None:
        raise ValueError(
            f"The loss {loss.name!r} is the only one, and its terms are "
            "weighed by its own arguments, such as `weight`: leave "
            "`loss_weights` out. "
            f"Received: loss_weights={loss_weights!r}."
        )
    if loss.reduction in (None, "none"):
        raise ValueError(
            f"The loss {loss.name!r} must give one number for a model to "
            "learn from: with `reduction=None` it gives one for each sample. "
            'Leave `reduction` out, or say "sum_over_batch_size", "sum", '
            '"mean" or "mean_with_sample_weight". '
            f"Received: reduction={loss.reduction!r}."
        )
    if classes < 2:
        raise ValueError(
            f"The loss {loss.name!r} tells classes apart, and the network has "
            "one output. For one number, or two classes told by one, compile a "
            'loss of Keras: "mse", or '
            "`keras.losses.BinaryCrossentropy(from_logits=True)`."
        )
    for teacher in loss.teachers():
        _check_teacher(teacher, sample_shape, classes)


def _check_teacher(teacher: Any, sample_shape: Any, classes: int) -> None:
    """Raise a ValueError for a teacher of another task. Builds it, too."""
    try:
        logits = teacher(keras.Input(sample_shape), training=False)
    except Exception as error:
        raise ValueError(
            f"The teacher {teacher.name!r} must take what the model takes, "
            f"samples of shape {tuple(sample_shape)}; put layers that change "
            "them before it, in a `keras.Model` of both. Calling it on them "
            f"failed: {error}"
        ) from error
    shape = getattr(logits, "shape", None)
    if shape is None or tuple(shape)[1:] != (classes,):
        raise ValueError(
            f"The teacher {teacher.name!r} must return logits of the model's "
            f"{classes} classes, of shape (batch, {classes}). It returns "
            + (f"shape {tuple(shape)}." if shape else f"{type(logits)}.")
        )
    if _ends_in_probabilities(teacher):
        raise ValueError(
            f"The teacher {teacher.name!r} returns probabilities, and a loss "
            "reads logits, which are softened before they are compared. Set "
            "`teacher.layers[-1].activation = None`, or make a `keras.Model` "
            "that ends before its softmax."
        )


def _ends_in_probabilities(model: Any) -> bool:
    """Whether a softmax or sigmoid is seen at the end of a model."""
    outputs = getattr(model, "outputs", None)
    if not outputs:
        return False
    last = outputs[0]._keras_history.operation
    functions = keras.activations.softmax, keras.activations.sigmoid
    is_layer = isinstance(last, keras.layers.Softmax)
    return is_layer or getattr(last, "activation", None) in functions


def check_views(x: Any, loss: Any, has_augmenter: bool) -> None:
    """Compare the views in training data with those the loss asks for.

    Raises:
        ValueError: If there are others, and no augmenter to make them.
    """
    views = getattr(loss, "views", 1)
    if isinstance(x, (tuple, list)):
        shapes = [tuple(view.shape) for view in x]
        if len(x) != views or len(set(shapes)) != 1:
            raise ValueError(
                f"The loss {loss.name!r} wants {views} view(s) of each sample. "
                f"Received a tuple of views of shapes {shapes}: their number "
                "must agree with the loss, and their shapes with each other."
            )
    elif views > 1 and not has_augmenter:
        raise ValueError(
            f"The loss {loss.name!r} compares {views} views of a sample, but "
            "the data has one and the model has no augmenter to make others "
            'from it. Build the model with `augmenter="auto"` or another, or '
            "give the views as data: `((x1, x2), y)`."
        )


def mean_logits(y_pred: Any) -> Any:
    """Mean over views and time of what `call` returned."""
    if isinstance(y_pred, dict):
        return ops.mean(y_pred["logits"], axis=(1, 2))
    return y_pred
