"""What all losses of the package share: shapes, labels, views, reduction."""

import inspect
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl.losses import labels
from keras_tcl.losses.outputs import Outputs, agree, checked_outputs


class TemporalLoss(keras.losses.Loss):
    """Base class of the losses of spiking networks with explicit time.

    A temporal loss sees the outputs of all time steps and views. Most are one
    term. Losses are combined by adding them, each times a number:

    ```python
    from keras_tcl.losses import TET, TemporalContrast, TemporalDistillation

    loss = TET() + 0.5 * TemporalDistillation() + 0.3 * TemporalContrast()
    ```

    The result is a `LossSum`, which is a temporal loss as well.

    A subclass writes `classification`; or, for a term of another kind,
    `values`, and says in `term` what it is and in `needs` what it reads
    beside the logits. One that cannot be trained with any T says which it can
    take in `check_timesteps`.

    `y_pred` is a dictionary, or logits alone where nothing else is needed:

    | key | value |
    | --- | --- |
    | `"logits"` | `(batch, views, timesteps, classes)` |
    | `"embeddings"` | `{stage: (batch, views, timesteps, features)}` |
    | `"stage_logits"` | `{stage: (batch, views, timesteps, classes)}` |
    | `"teacher"` | logits of a teacher, `(batch, views, classes)` |

    The axis of views may be absent from all where there is one view. A stage
    may have other time steps than the logits (`model.stage_timesteps`).
    `y_true` holds class ids, `(batch,)` or `(batch, 1)`, or one-hot or soft
    labels, `(batch, classes)`. The computation is in float32 under every dtype
    policy.

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
        term: String. What the loss is, as a model shows it: `term_loss`.
        needs: Tuple of keys of `y_pred` that the loss reads beside
            `"logits"`.

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
    term = "classification"
    needs: tuple[str, ...] = ()

    # NumPy's numbers, on the left of `*`, leave it to the loss.
    __array_ufunc__ = None

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype="float32")
        self._reduction = _Reduction("reduction", reduction, "float32")

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

    # --- Sums: `a + 0.5 * b` ------------------------------------------------

    def __add__(self, other: Any) -> "TemporalLoss":
        # It is a subclass of this one.
        from keras_tcl.losses.loss_sum import LossSum

        return LossSum([self, other])

    def __radd__(self, other: Any) -> "TemporalLoss":
        # `sum` of a list begins with 0. Losses of ours come by `__add__`.
        return self if isinstance(other, int) and other == 0 else self + other

    def __mul__(self, weight: Any) -> "TemporalLoss":
        from keras_tcl.losses.loss_sum import LossSum

        return LossSum([self], [weight])

    __rmul__ = __mul__

    def __repr__(self) -> str:
        # Keras asks for it, so that it must work for any subclass.
        arguments = inspect.signature(type(self)).parameters
        given = [
            f"{key}={value!r}"
            for key, value in self.get_config().items()
            if key != "name"
            and key in arguments
            and repr(value) != repr(arguments[key].default)
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    # --- What a loss is made of ---------------------------------------------

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the `terms`."""
        return (self.term,)

    @property
    def needs_embeddings(self) -> bool:
        """Whether `y_pred` must hold embeddings."""
        return "embeddings" in self.needs

    @property
    def needs_hard_labels(self) -> bool:
        """Whether each sample must have one certain class (no soft labels)."""
        return False

    def classified_stages(self, stages: list[str]) -> list[str]:
        """Return which stages of a network are to have a weak classifier.

        Args:
            stages: Names of all stages, first to last.

        Returns:
            Those whose `"stage_logits"` the loss reads: none, as a rule.
        """
        return []

    def check_timesteps(self, timesteps: int) -> None:
        """Raise a ValueError for a T that the loss cannot be trained with.

        Any will do, as a rule. A loss that needs certain ones says so here;
        `terms` asks it, and `keras_tcl.callbacks.TimestepSchedule` before the
        first step, of each T that is to come.

        Args:
            timesteps: Integer T, how many time steps the logits have.
        """

    def teachers(self) -> list[keras.Model]:
        """Return the models whose logits the loss reads as `"teacher"`."""
        return []

    def classification(self, targets: Any, logits: Any) -> Any:
        """Return the classification term of each view.

        Args:
            targets: One-hot or soft labels, float32 `(batch, classes)`.
            logits: float32 `(batch, views, timesteps, classes)`.

        Returns:
            Tensor of shape `(batch, views)`; the mean over views counts.
        """
        raise NotImplementedError

    def values(self, targets: Any, outputs: Outputs) -> Any:
        """Return the term, of whatever kind, of each sample.

        Args:
            targets: One-hot or soft labels, float32 `(batch, classes)`.
            outputs: Named tuple `(logits, embeddings, stage_logits, teacher)`
                of what `y_pred` holds under these names, with the axis of
                views. What is not in `needs` is empty.

        Returns:
            Tensor of shape `(batch,)`, or `(batch, views)`, of which the mean
            over views counts.
        """
        return self.classification(targets, outputs.logits)

    def terms(self, y_true: Any, y_pred: Any) -> dict[str, Any]:
        """Return the terms `{name: (batch,)}` that the loss is the sum of.

        The values of a sample that is not `valid` mean nothing.
        """
        outputs = self._outputs(y_pred)
        logits = outputs.logits
        targets = labels.targets_of(y_true, logits.shape[-1])
        if not agree(targets.shape[:1], logits.shape[:1]):
            raise ValueError(
                "Labels and logits must hold the same number of samples "
                "(views have an axis of their own and share the label). "
                f"Received: {targets.shape[0]} labels, logits of shape "
                f"{tuple(logits.shape)}."
            )
        self.check_timesteps(logits.shape[2])
        values = self.values(targets, outputs)
        if len(values.shape) == 2:
            values = ops.mean(values, axis=1)
        return {self.term: values}

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
        return checked_outputs(y_pred, self.needs, type(self).__name__)


class _Reduction(keras.losses.Loss):
    """Keras' reduction and weighting of values that are losses already."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return y_pred
