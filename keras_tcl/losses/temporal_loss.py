"""What all losses of the package share: shapes, labels, views, reduction."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

# How far the sum of a one-hot or soft label's row may be from 1 (rounding).
_TOLERANCE = 0.01


class TemporalLoss(keras.losses.Loss):
    """Base class of the losses of spiking networks with explicit time.

    A temporal loss sees the outputs of all time steps and views. It is the
    sum of a classification term and, in some losses, a weighted contrastive
    term; `components` returns the terms, `total` adds them up, `reduce`
    applies the reduction and the sample weights. A model that shows the terms
    computes them once:

    ```
    components = loss.components(y_true, y_pred)
    objective = loss.reduce(loss.total(components), sample_weight)
    shown = {k: loss.reduce(v, sample_weight) for k, v in components.items()}
    ```

    `y_pred` is `{"logits": (batch, views, timesteps, classes), "embeddings":
    {stage name: (batch, views, timesteps, features)}}`. The embeddings may be
    absent where `needs_embeddings` is `False`, the views axis where there is
    one view, and then the logits may come without the dictionary.

    `y_true` holds class ids, `(batch,)` or `(batch, 1)`, or one-hot or soft
    labels, `(batch, classes)`. A last axis of 1 always means class ids.

    Labels that do not fit the classes are a ValueError where their values can
    be seen: when the loss is called outside compiled code, and in
    `validate_labels`. Inside compiled code, and in `components`, the values of
    such a sample are NaN, so that it cannot be trained on silently.

    The computation is in float32 under every dtype policy.

    Subclasses implement `classification`; with a contrastive term also
    `needs_embeddings`, `contrastive` and `total`.

    Args:
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Attributes:
        views: Integer. How many views of each sample the loss asks a model
            for. The loss itself accepts any number.
    """

    views = 1

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype="float32")

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> Any:
        logits, embeddings = self._outputs(y_pred)
        labels = _visible_values(y_true)
        if labels is not None:
            self.validate_labels(labels, logits.shape[-1])
        y_pred = {"logits": logits, "embeddings": embeddings}
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.total(self.components(y_true, y_pred))

    @property
    def needs_embeddings(self) -> bool:
        """Whether `y_pred` must hold embeddings."""
        return False

    @property
    def needs_hard_labels(self) -> bool:
        """Whether each sample must have one certain class (no soft labels)."""
        return False

    def classification(self, targets: Any, logits: Any) -> Any:
        """Return the classification term of each view.

        Args:
            targets: One-hot or soft labels, float32 `(batch, classes)`.
            logits: float32 `(batch, views, timesteps, classes)`.

        Returns:
            Tensor of shape `(batch, views)`; the views are summed.
        """
        raise NotImplementedError

    def contrastive(self, targets: Any, embeddings: Mapping[str, Any]) -> Any:
        """Return the contrastive term of each sample, unweighted.

        Args:
            targets: One-hot labels, float32 `(batch, classes)`.
            embeddings: Dictionary of stage names and tensors of shape
                `(batch, views, timesteps, features)`.

        Returns:
            Tensor of shape `(batch,)`.
        """
        raise NotImplementedError

    def components(self, y_true: Any, y_pred: Any) -> dict[str, Any]:
        """Return the terms of the loss, one value per sample.

        Returns:
            `{"classification": (batch,)}` and, where `needs_embeddings`,
            `"contrastive": (batch,)`, not yet multiplied by its weight. The
            values of a sample whose label the loss cannot use are NaN.
        """
        logits, embeddings = self._outputs(y_pred)
        targets = _targets(y_true, logits)
        # An id that is no class matches none: its row of targets sums to 0.
        valid = ops.abs(ops.sum(targets, axis=-1) - 1.0) <= _TOLERANCE
        if self.needs_hard_labels:
            certain = ops.any(targets >= 1.0 - _TOLERANCE, axis=-1)
            valid = ops.logical_and(valid, certain)
        components = {
            "classification": ops.sum(
                self.classification(targets, logits), axis=1
            )
        }
        if self.needs_embeddings:
            components["contrastive"] = self.contrastive(targets, embeddings)
        return {
            name: ops.where(valid, values, np.nan)
            for name, values in components.items()
        }

    def total(self, components: Mapping[str, Any]) -> Any:
        """Combine what `components` returned into one value per sample."""
        return components["classification"]

    def reduce(self, values: Any, sample_weight: Any = None) -> Any:
        """Apply the loss' reduction to values per sample.

        Args:
            values: Tensor of shape `(batch,)`.
            sample_weight: Optional weights of shape `(batch,)` or
                `(batch, 1)`.

        Returns:
            A scalar; values per sample when the reduction is `None`.
        """
        reduction = _Reduction(
            reduction=self.reduction, name="reduction", dtype="float32"
        )
        return reduction(values, values, sample_weight)

    def validate_labels(self, y_true: Any, classes: int) -> None:
        """Raise a ValueError for labels the loss cannot learn from.

        For whole arrays before training: inside compiled code the values of
        labels cannot be seen.

        Args:
            y_true: Array of labels.
            classes: Integer. Number of classes of the model.

        Raises:
            ValueError: wrong rank or width, ids that are fractional or outside
                the classes, rows that do not sum to 1, soft labels for a loss
                that needs classes.
        """
        labels = np.asarray(ops.convert_to_numpy(y_true))
        _check_label_shape(labels.shape, classes)
        try:
            labels = labels.astype("float64")
        except (TypeError, ValueError):
            raise ValueError(
                "Labels must be numbers: class ids or one-hot rows. "
                f"Received: an array of dtype {labels.dtype}."
            ) from None
        if _holds_ids(labels.shape):
            labels = labels.reshape(-1)
            _refuse(
                labels,
                labels != np.floor(labels),
                "Class ids must be whole numbers. Give soft labels as rows "
                f"of {classes} probabilities.",
            )
            _refuse(
                labels,
                (labels < 0) | (labels >= classes),
                f"Class ids must lie between 0 and {classes - 1}, because the "
                f"model has {classes} classes. Renumber the labels or give "
                "the model as many classes as the data has.",
            )
            return
        sums_to_one = np.abs(labels.sum(axis=1) - 1.0) <= _TOLERANCE
        _refuse(
            labels,
            ~(sums_to_one & (labels >= 0).all(axis=1)),
            "One-hot or soft labels must be rows of probabilities that sum "
            "to 1.",
        )
        if self.needs_hard_labels:
            _refuse(
                labels,
                labels.max(axis=1) < 1.0 - _TOLERANCE,
                f"The supervised contrastive term of {type(self).__name__} "
                "needs one certain class per sample and cannot use soft "
                "labels. Use class ids or one-hot labels, or "
                "`supervised=False`.",
            )

    def _outputs(self, y_pred: Any) -> tuple[Any, dict[str, Any]]:
        """Return checked logits and the embeddings the loss needs."""
        if not isinstance(y_pred, Mapping):
            y_pred = {"logits": y_pred}
        if "logits" not in y_pred:
            raise ValueError(
                '`y_pred` must hold "logits". '
                f"Received: the keys {sorted(y_pred)}."
            )
        logits = ops.convert_to_tensor(y_pred["logits"])
        shape = tuple(logits.shape)
        if len(shape) not in (3, 4) or None in shape[1:]:
            raise ValueError(
                f"{type(self).__name__} needs the logits of every time step, "
                "with the shape (batch, views, timesteps, classes), or (batch, "
                "timesteps, classes) for one view; only the batch size may be "
                f"unknown. Received: logits of shape {shape}."
            )
        logits = ops.cast(logits, "float32")
        if len(shape) == 3:
            logits = ops.expand_dims(logits, 1)
        if not self.needs_embeddings:
            return logits, {}

        embeddings = y_pred.get("embeddings")
        if not isinstance(embeddings, Mapping) or not embeddings:
            raise ValueError(
                f"The contrastive term of {type(self).__name__} needs "
                '`y_pred["embeddings"]`, a dictionary {stage name: embeddings '
                "of shape (batch, views, timesteps, features)}. Give the model "
                "projection heads, or the loss weight=0. Received: the keys "
                f"{sorted(y_pred)}, embeddings of type "
                f"{type(embeddings).__name__}."
            )
        embeddings = {
            stage: ops.convert_to_tensor(value)
            for stage, value in embeddings.items()
        }
        for stage, value in embeddings.items():
            if not _agree(value.shape[:-1], shape[:-1]):
                raise ValueError(
                    f"Embeddings of stage {stage!r} must share all axes but "
                    "the last with the logits. Received: embeddings of shape "
                    f"{tuple(value.shape)}, logits of shape {shape}."
                )
        return logits, embeddings


class _Reduction(keras.losses.Loss):
    """Keras' reduction and weighting of values that are losses already."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred


def _targets(y_true: Any, logits: Any) -> Any:
    """Return labels as float32 rows `(batch, classes)`."""
    batch, classes = logits.shape[0], logits.shape[-1]
    labels = ops.cast(ops.convert_to_tensor(y_true), "float32")
    shape = tuple(labels.shape)
    _check_label_shape(shape, classes)
    if not _agree(shape[:1], (batch,)):
        raise ValueError(
            "Labels and logits must hold the same number of samples (views "
            "have an axis of their own and share the label). Received: "
            f"{shape[0]} labels, logits of shape {tuple(logits.shape)}."
        )
    if not _holds_ids(shape):
        return labels
    class_ids = ops.arange(classes, dtype="float32")
    matches = ops.equal(ops.reshape(labels, (-1, 1)), class_ids)
    return ops.cast(matches, "float32")


def _holds_ids(shape: tuple) -> bool:
    return len(shape) == 1 or shape[1] == 1


def _agree(shape: tuple, other: tuple) -> bool:
    """Whether two shapes are equal as far as they are known."""
    return len(shape) == len(other) and all(
        a == b or None in (a, b) for a, b in zip(shape, other, strict=True)
    )


def _check_label_shape(shape: tuple, classes: int) -> None:
    if len(shape) == 1 or (len(shape) == 2 and shape[1] in (1, classes)):
        return
    raise ValueError(
        "Labels must be class ids of shape (batch,) or (batch, 1), or one-hot "
        f"rows of shape (batch, {classes}) for {classes} classes. Received: "
        f"labels of shape {tuple(shape)}."
    )


def _visible_values(y_true: Any) -> Any:
    """Return labels as a NumPy array, or `None` while a compiler traces."""
    try:
        return np.asarray(ops.convert_to_numpy(y_true))
    except Exception:  # Each backend's tracers raise an error of their own.
        return None


def _refuse(labels: np.ndarray, wrong: np.ndarray, message: str) -> None:
    """Raise a ValueError naming the first label that is wrong."""
    if wrong.any():
        first = int(np.argmax(wrong))
        value = np.array2string(labels[first], threshold=10, precision=4)
        raise ValueError(
            f"{message} Received: y_true[{first}]={value}, "
            f"{int(wrong.sum())} such label(s) of {len(labels)}."
        )
