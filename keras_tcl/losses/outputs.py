"""What a loss reads of a model's outputs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from keras import ops


class Outputs(NamedTuple):
    """Outputs of a model that have been checked, on their way to the terms."""

    logits: Any
    embeddings: Mapping[str, Any]


def checked_outputs(
    y_pred: Any, needs_embeddings: bool, loss_name: str
) -> Outputs:
    """Return logits `(batch, views, timesteps, classes)`, and embeddings.

    Args:
        y_pred: Dictionary of `"logits"` and `"embeddings"`, or logits alone,
            with or without an axis of views; or `Outputs`, returned as is.
        needs_embeddings: Boolean. Where it is `False`, none are returned.
        loss_name: String, named in errors.

    Raises:
        ValueError: something is missing, or of another shape.
    """
    if isinstance(y_pred, Outputs):
        return y_pred
    if not isinstance(y_pred, Mapping):
        y_pred = {"logits": y_pred}
    if "logits" not in y_pred:
        raise ValueError(
            f'`y_pred` must hold "logits". Received: the keys {sorted(y_pred)}.'
        )
    logits = ops.convert_to_tensor(y_pred["logits"])
    shape = tuple(logits.shape)
    if len(shape) not in (3, 4) or None in shape[1:]:
        raise ValueError(
            f"{loss_name} needs the logits of every time step, with the shape "
            "(batch, views, timesteps, classes), or (batch, timesteps, "
            "classes) for one view; only the batch size may be unknown. "
            f"Received: logits of shape {shape}."
        )
    logits = ops.cast(logits, "float32")
    if len(shape) == 3:
        logits = ops.expand_dims(logits, 1)
    if not needs_embeddings:
        return Outputs(logits, {})

    embeddings = y_pred.get("embeddings")
    if not isinstance(embeddings, Mapping) or not embeddings:
        raise ValueError(
            f"The contrastive term of {loss_name} needs "
            '`y_pred["embeddings"]`, a dictionary {stage name: embeddings of '
            "shape (batch, views, timesteps, features)}. Give the model "
            "projection heads, or the loss weight=0. Received: the keys "
            f"{sorted(y_pred)}, embeddings of type "
            f"{type(embeddings).__name__}."
        )
    embeddings = {
        stage: ops.convert_to_tensor(value)
        for stage, value in embeddings.items()
    }
    for stage, value in embeddings.items():
        if not agree(value.shape[:-1], shape[:-1]):
            raise ValueError(
                f"Embeddings of stage {stage!r} must share all axes but the "
                "last with the logits. Received: embeddings of shape "
                f"{tuple(value.shape)}, logits of shape {shape}."
            )
    return Outputs(logits, embeddings)


def agree(shape: tuple, other: tuple) -> bool:
    """Whether two shapes are equal as far as they are known."""
    return len(shape) == len(other) and all(
        a == b or None in (a, b) for a, b in zip(shape, other, strict=True)
    )
