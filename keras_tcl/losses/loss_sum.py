"""A sum of losses, each times a number."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_tcl import checks
from keras_tcl.losses.temporal_loss import TemporalLoss


@keras.saving.register_keras_serializable(package="keras_tcl")
class LossSum(TemporalLoss):
    """Temporal losses, each times its weight, as one loss.

    ```
    loss = sum_i weight_i * loss_i
    ```

    It is what `+` and `*` of temporal losses make, and is rarely written out.
    It asks a model for all that its losses ask for, and for the most views.
    Terms of one name are added up, so that a model shows each kind once:
    `classification_loss`, `contrastive_loss`, `distillation_loss`, ... A loss
    of weight 0 is kept, left out of the computation, and asks for nothing.

    Args:
        losses: Sequence of `keras_tcl.losses.TemporalLoss`; the sum has their
            reduction. Sums among them are taken apart.
        weights: Sequence of finite numbers, 0 or more, one for each loss.
            Defaults to 1 for each.
        name: String. Defaults to the expression, in the losses' names.

    Raises:
        ValueError: A loss is of another kind, a weight negative or no number;
            losses that have different reductions, or different teachers.

    Example:

    >>> from keras_tcl.losses import TET, MeanCrossEntropy
    >>> loss = 0.5 * MeanCrossEntropy() + TET(regularization=0.1)
    >>> loss
    0.5 * MeanCrossEntropy() + TET(regularization=0.1)
    >>> logits = np.zeros((2, 4, 10))  # Two samples, T = 4.
    >>> round(float(loss([3, 7], logits)), 4)  # 1.4 log(10) + 0.1
    3.3236
    """

    def __init__(
        self,
        losses: Sequence[TemporalLoss],
        weights: Sequence[float] | None = None,
        name: str | None = None,
    ) -> None:
        losses, weights = _parts(losses, weights)
        super().__init__(losses[0].reduction)
        self.losses, self.weights = losses, weights
        self.name = name or self._expression([x.name for x in losses])
        pairs = list(zip(losses, weights, strict=True))
        self._counted = [pair for pair in pairs if pair[1] > 0] or pairs
        counted = [loss for loss, _ in self._counted]
        self.views = max(self.views, *(loss.views for loss in counted))
        self.needs = _union(loss.needs for loss in counted)
        if len(self.teachers()) > 1:
            raise ValueError(
                "The losses of a sum must have one teacher. For several, give "
                "one model that returns the mean of their logits. Received: "
                f"the teachers {[x.name for x in self.teachers()]}."
            )

    @property
    def term_names(self) -> tuple[str, ...]:
        return _union(loss.term_names for loss, _ in self._counted)

    @property
    def needs_hard_labels(self) -> bool:
        return any(loss.needs_hard_labels for loss, _ in self._counted)

    def classified_stages(self, stages: list[str]) -> list[str]:
        wanted = [x.classified_stages(stages) for x, _ in self._counted]
        wanted = [group for group in wanted if group]
        if any(group != wanted[0] for group in wanted):
            raise ValueError(
                "The losses of a sum must have weak classifiers of the same "
                "stages; name them all in one loss. Received: losses of the "
                f"stages {wanted}."
            )
        return list(_union(wanted))

    def check_timesteps(self, timesteps: int) -> None:
        for loss, _ in self._counted:
            loss.check_timesteps(timesteps)

    def teachers(self) -> list[keras.Model]:
        return list(_union(loss.teachers() for loss, _ in self._counted))

    def terms(self, y_true: Any, y_pred: Any) -> dict[str, Any]:
        outputs = self._outputs(y_pred)
        terms: dict[str, Any] = {}
        for loss, weight in self._counted:
            for name, values in loss.terms(y_true, outputs).items():
                terms[name] = terms.get(name, 0.0) + weight * values
        return terms

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            "losses": [serialize(loss) for loss in self.losses],
            "weights": self.weights,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LossSum":
        deserialize = keras.saving.deserialize_keras_object
        losses = config.get("losses")
        if losses is not None:
            losses = [deserialize(loss) for loss in losses]
            config = {**config, "losses": losses}
        return cls(**config)

    def __repr__(self) -> str:
        if type(self) is not LossSum:  # It has arguments of its own.
            return super().__repr__()
        return self._expression([repr(loss) for loss in self.losses])

    def _expression(self, losses: list[str]) -> str:
        parts = zip(losses, self.weights, strict=True)
        return " + ".join(
            loss if weight == 1 else f"{weight:g} * {loss}"
            for loss, weight in parts
        )


def _parts(losses: Any, weights: Any) -> tuple[list[TemporalLoss], list[float]]:
    """Losses and weights that have been checked, sums taken apart."""
    for name, value in (("losses", losses), ("weights", weights)):
        if not isinstance(value, (list, tuple, type(None))):
            raise ValueError(
                f"`{name}` of a sum must be a list. Received: {value!r}."
            )
    losses = list(losses or [])
    weights = [1.0] * len(losses) if weights is None else list(weights)
    if not losses or len(losses) != len(weights):
        raise ValueError(
            "A sum needs one loss or more, and a weight for each. Received: "
            f"{len(losses)} losses, {len(weights)} weights."
        )
    parts: list[tuple[TemporalLoss, float]] = []
    for loss, weight in zip(losses, weights, strict=True):
        weight = checks.number("weight", weight, 0)
        if not isinstance(loss, TemporalLoss):
            raise ValueError(
                "A sum can hold losses of `keras_tcl.losses` alone, which see "
                "every time step: `MeanCrossEntropy()` in place of Keras' "
                "cross entropy, or a subclass of `TemporalLoss`. Received: "
                f"{loss!r}."
            )
        if loss.reduction != losses[0].reduction:
            raise ValueError(
                "The losses of a sum must have one reduction. Received: "
                f"{losses[0].reduction!r} and {loss.reduction!r}."
            )
        if type(loss) is LossSum:
            within = zip(loss.losses, loss.weights, strict=True)
            parts += [(part, weight * factor) for part, factor in within]
        else:
            parts.append((loss, weight))
    return [loss for loss, _ in parts], [weight for _, weight in parts]


def _union(groups: Any) -> tuple:
    """The members of groups, each once, in the order of their first."""
    return tuple(dict.fromkeys(member for group in groups for member in group))
