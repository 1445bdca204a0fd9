"""What all losses of the package share: shapes, labels, views, reduction."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl.losses import labels
from keras_tcl.losses.outputs import Outputs, agree, checked_outputs


class TemporalLoss(keras.losses.Loss):
    """Base class of the losses of spiking networks with explicit time.

    A temporal loss sees the outputs of all time steps and views. It is the
    sum of a classification term and, in some losses, a weighted contrastive
    term. A subclass writes `classification`; with a contrastive term also
    `needs_embeddings`, `contrastive` and `weighted`.

    `y_pred` is `{"logits": (batch, views, timesteps, classes), "embeddings":
    {stage name: (batch, views, timesteps, features)}}`. The embeddings may be
    absent where `needs_embeddings` is `False`, the views axis where there is
    one view, and then the logits may come without the dictionary. `y_true`
    holds class ids, `(batch,)` or `(batch, 1)`, or one-hot or soft labels,
    `(batch, classes)`. The computation is in float32 under every dtype policy.

    A model that shows the terms, and knows what to do about bad labels,
    computes them once:

    ```
    valid = loss.valid(y_true, classes)          # (batch,), bool
    terms = loss.terms(y_true, y_pred)           # {name: (batch,)}
    shown = {k: loss.reduce(v, sample_weight) for k, v in terms.items()}
    objective = sum(shown.values())
    ```

    By itself, the loss refuses labels that do not fit the classes by a
    ValueError where their values can be seen. In compiled code they cannot:
    there the value of such a sample is NaN, so that nothing is trained on it
    silently.

    Args:
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Attributes:
        views: Integer. How many views of each sample the loss asks a model
            for. The loss itself accepts any number.

    Example:

    >>> class LastStep(keras_tcl.losses.TemporalLoss):
    ...     def classification(self, targets, logits):
    ...         log_p = keras.ops.log_softmax(logits[:, :, -1])
    ...         return keras.ops.sum(-targets[:, None] * log_p, axis=-1)
    >>> logits = np.zeros((2, 4, 10))  # Two samples, T = 4.
    >>> round(float(LastStep()([3, 7], logits)), 4)  # log(10)
    2.3026
    """

    views = 1

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype="float32")
        self._reduction = _Reduction(self.name, reduction, "float32")

    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> Any:
        y_pred = self._outputs(y_pred)
        seen = labels.visible_values(y_true)
        if seen is not None:
            self.validate_labels(seen, y_pred.logits.shape[-1])
        return self.reduce(self.call(y_true, y_pred), sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = self._outputs(y_pred)
        values = sum(self.terms(y_true, y_pred).values())
        valid = self.valid(y_true, y_pred.logits.shape[-1])
        return ops.where(valid, values, np.nan)

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
            Tensor of shape `(batch, views)`; the mean over views counts.
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
            values of a sample that is not `valid` mean nothing.
        """
        logits, embeddings = self._outputs(y_pred)
        targets = labels.targets_of(y_true, logits.shape[-1])
        if not agree(targets.shape[:1], logits.shape[:1]):
            raise ValueError(
                "Labels and logits must hold the same number of samples "
                "(views have an axis of their own and share the label). "
                f"Received: {targets.shape[0]} labels, logits of shape "
                f"{tuple(logits.shape)}."
            )
        values = self.classification(targets, logits)
        components = {"classification": ops.mean(values, axis=1)}
        if self.needs_embeddings:
            components["contrastive"] = self.contrastive(targets, embeddings)
        return components

    def weighted(self, components: Mapping[str, Any]) -> dict[str, Any]:
        """Return what `components` returned, as it enters the loss."""
        return dict(components)

    def terms(self, y_true: Any, y_pred: Any) -> dict[str, Any]:
        """Return the terms `(batch,)` that the loss is the sum of."""
        return self.weighted(self.components(y_true, y_pred))

    def reduce(self, values: Any, sample_weight: Any = None) -> Any:
        """Apply the loss' reduction to values per sample.

        Args:
            values: Tensor of shape `(batch,)`.
            sample_weight: Optional weights of shape `(batch,)` or
                `(batch, 1)`.

        Returns:
            A scalar; values per sample when the reduction is `None`.
        """
        return self._reduction(values, values, sample_weight)

    def valid(self, y_true: Any, classes: int) -> Any:
        """Return which labels the loss can learn from, bool `(batch,)`."""
        return labels.are_valid(y_true, classes, self.needs_hard_labels)

    def validate_labels(self, y_true: Any, classes: int) -> None:
        """Raise a ValueError for labels the loss cannot learn from.

        For whole arrays before training: in compiled code the values of
        labels cannot be seen.

        Args:
            y_true: Array of labels.
            classes: Integer. Number of classes of the model.
        """
        labels.validate_labels(y_true, classes, self.needs_hard_labels)

    def _outputs(self, y_pred: Any) -> Outputs:
        return checked_outputs(
            y_pred, self.needs_embeddings, type(self).__name__
        )


class _Reduction(keras.losses.Loss):
    """Keras' reduction and weighting of values that are losses already."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred
