"""What a loss reads of a model's outputs."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from keras import ops

_STAGES_OF = {
    "embeddings": (
        "embeddings of shape (batch, views, timesteps, features)",
        "Give the model projection heads, or the contrastive term weight=0.",
    ),
    "stage_logits": (
        "logits of shape (batch, views, timesteps, classes)",
        "Give the model classifiers of its stages.",
    ),
}


class Outputs(NamedTuple):
    """Outputs of a model that have been checked, on their way to the terms.

    Attributes:
        logits: float32 `(batch, views, timesteps, classes)`.
        embeddings: `{stage name: (batch, views, timesteps, features)}`.
        stage_logits: `{stage name: (batch, views, timesteps, classes)}`,
            float32.
        teacher: float32 `(batch, views, classes)`, or `None`.
    """

    logits: Any
    embeddings: Mapping[str, Any]
    stage_logits: Mapping[str, Any]
    teacher: Any


def checked_outputs(
    y_pred: Any, needs: Collection[str], loss_name: str
) -> Outputs:
    """Return logits `(batch, views, timesteps, classes)`, and what is needed.

    Args:
        y_pred: Dictionary of `"logits"` and what is needed, or logits alone,
            with or without an axis of views; or `Outputs`, returned as is.
        needs: Some of `"embeddings"`, `"stage_logits"` and `"teacher"`. What
            is not among them is not returned.
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
    stages = {
        key: _of_stages(key, y_pred, shape, loss_name) if key in needs else {}
        for key in _STAGES_OF
    }
    teacher = None
    if "teacher" in needs:
        teacher = _of_teacher(y_pred, shape, loss_name)
    return Outputs(
        logits, stages["embeddings"], stages["stage_logits"], teacher
    )


def agree(shape: tuple, other: tuple) -> bool:
    """Whether two shapes are equal as far as they are known."""
    return len(shape) == len(other) and all(
        a == b or None in (a, b) for a, b in zip(shape, other, strict=True)
    )


def _of_stages(
    key: str, y_pred: Mapping[str, Any], shape: tuple, loss_name: str
) -> dict[str, Any]:
    """Tensors by stage, each with the axes of logits of this shape."""
    of_stages = y_pred.get(key)
    what, hint = _STAGES_OF[key]
    if not isinstance(of_stages, Mapping) or not of_stages:
        raise ValueError(
            f"A term of {loss_name} needs "
            f'`y_pred["{key}"]`, a dictionary {{stage name: {what}}}. {hint} '
            f"Received: the keys {sorted(y_pred)}, {key} of type "
            f"{type(of_stages).__name__}."
        )
    tensors = {
        stage: ops.convert_to_tensor(value)
        for stage, value in of_stages.items()
    }
    # A stage may have time steps of its own (`model.stage_timesteps`).
    is_classified = key == "stage_logits"
    expected = (*shape[:-2], None, shape[-1] if is_classified else None)
    for stage, value in tensors.items():
        if not agree(tuple(value.shape), expected):
            raise ValueError(
                f"{key} of stage {stage!r} must share all axes but that of "
                f"time{'' if is_classified else ' and the last'} with the "
                f"logits. Received: {key} of shape {tuple(value.shape)}, "
                f"logits of shape {shape}."
            )
    if not is_classified:
        return tensors
    tensors = {k: ops.cast(value, "float32") for k, value in tensors.items()}
    if len(shape) == 3:
        return {k: ops.expand_dims(value, 1) for k, value in tensors.items()}
    return tensors


def _of_teacher(y_pred: Mapping[str, Any], shape: tuple, loss_name: str) -> Any:
    """Logits of a teacher, for logits of this shape."""
    if y_pred.get("teacher") is None:
        raise ValueError(
            f'A term of {loss_name} needs `y_pred["teacher"]`, the logits of '
            "a teacher, of shape (batch, views, classes). Received: the keys "
            f"{sorted(y_pred)}."
        )
    teacher = ops.cast(ops.convert_to_tensor(y_pred["teacher"]), "float32")
    expected = (*shape[:-2], shape[-1])
    if not agree(tuple(teacher.shape), expected):
        raise ValueError(
            "The teacher's logits must have the shape (batch, views, classes), "
            "or (batch, classes) for one view, and agree with the logits. "
            f"Received: teacher of shape {tuple(teacher.shape)}, logits of "
            f"shape {shape}."
        )
    return ops.expand_dims(teacher, 1) if len(shape) == 3 else teacher
