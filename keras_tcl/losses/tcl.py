"""Temporal contrastive learning, with one view or two of each sample."""

from typing import Any

import keras

from keras_tcl import checks
from keras_tcl.losses.loss_sum import LossSum
from keras_tcl.losses.mean_cross_entropy import MeanCrossEntropy
from keras_tcl.losses.temporal_contrast import TemporalContrast
from keras_tcl.losses.tet import TET


@keras.saving.register_keras_serializable(package="keras_tcl")
class TCL(LossSum):
    """Cross entropy plus a contrastive term over time steps.

    ```
    loss = 1/V sum_v [(1 - s) CE(softmax(1/T sum_t O_t), y)
                      + s 1/T sum_t CE(softmax(O_t), y)]
           + weight * mean_stages temporal_contrastive(embeddings, y)
    ```

    with `s` the share `per_step` and V the number of views. The contrastive
    term makes the embeddings of one class (or, with `supervised=False`, of one
    image) alike at all time steps, and the share `s` makes every step decide,
    so that a network run for fewer steps still decides alike. The contrastive
    term reads the embeddings that projection heads make of one or several
    stages of the network. With the defaults, it is

    ```python
    from keras_tcl.losses import TET, MeanCrossEntropy, TemporalContrast

    loss = 0.5 * MeanCrossEntropy() + 0.5 * TET() + 0.3 * TemporalContrast()
    ```

    Args:
        temperature: Float above 0. Temperature of the similarities. Defaults
            to `0.07`.
        weight: Float, 0 or more. Weight of the contrastive term; with 0 it is
            left out and no embeddings are needed. Defaults to `0.3`. (The
            paper has 0.5 for one view and 5 for two, of sums.)
        normalization: `"mean"`: all terms are means, over views and over
            positives; or `"paper"`: the cross entropy is summed over views
            (eq. 9) and the contrastive term as printed (eq. 10), see
            `temporal_contrastive`. Defaults to `"mean"`.
        per_step: Float between 0 and 1. Share of the cross entropy that is
            taken at every single time step, as by `TET`, and not of their
            mean. The paper has 0. Defaults to `0.5`.
        supervised: Boolean. Whether samples of one class are positives
            (eq. 10) or only the same sample (eq. 7). Defaults to `True`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: String. Defaults to the name of the class in small letters.

    Call arguments:
        y_true: Class ids `(batch,)` or one-hot labels `(batch, classes)`;
            soft labels only with `supervised=False` or `weight=0`.
        y_pred: `{"logits": (batch, views, timesteps, classes), "embeddings":
            {stage name: (batch, views, timesteps, features)}}`.
        sample_weight: Optional weights `(batch,)`. They scale a sample's
            terms; as a candidate for the others it always counts in full.

    Example:

    >>> y_pred = {
    ...     "logits": np.zeros((3, 1, 4, 10)),
    ...     "embeddings": {"stage4": np.ones((3, 1, 4, 16))},
    ... }
    >>> loss = keras_tcl.losses.TCL()
    >>> round(float(loss([0, 1, 1], y_pred)), 2)  # log 10 + 0.3 log 11
    3.02

    Reference: equation 8 of the temporal contrastive learning paper, which is
    `TCL(weight=0.5, normalization="paper", per_step=0.0)`; the defaults are
    those of benchmarks/defaults.md.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        weight: float = 0.3,
        normalization: str = "mean",
        per_step: float = 0.5,
        supervised: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        share = checks.number("per_step", per_step, 0, 1)
        contrast = TemporalContrast(
            temperature, normalization, supervised, reduction=reduction
        )
        super().__init__(
            [MeanCrossEntropy(reduction), TET(reduction=reduction), contrast],
            [1.0 - share, share, weight],
            name or type(self).__name__.lower(),
        )

    # Its losses were made with them: to set one would not change these.
    weight = property(lambda self: self.weights[-1])
    per_step = property(lambda self: self.weights[1])
    temperature = property(lambda self: self.losses[-1].temperature)
    normalization = property(lambda self: self.losses[-1].normalization)
    supervised = property(lambda self: self.losses[-1].supervised)

    def terms(self, y_true: Any, y_pred: Any) -> dict[str, Any]:
        outputs = self._outputs(y_pred)
        terms = super().terms(y_true, outputs)
        if self.normalization == "paper":  # Eq. 9 sums over the views.
            views = outputs.logits.shape[1]
            terms["classification"] = views * terms["classification"]
        return terms

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "reduction": self.reduction,
            "temperature": self.temperature,
            "weight": self.weight,
            "normalization": self.normalization,
            "per_step": self.per_step,
            "supervised": self.supervised,
        }


@keras.saving.register_keras_serializable(package="keras_tcl")
class STCL(TCL):
    """Siamese `TCL`: with two augmented views of each sample.

    The loss asks a model for two views (`views = 2`). Formula, arguments and
    defaults are those of `TCL`; the cross entropy is that of both views, and
    the contrastive term is over all `batch * 2 * timesteps` embeddings. The
    network learns to decide alike at all time steps and under augmentation.

    A step takes about twice as long as with one view, and may take twice the
    learning rate. As printed, equation 9 is

    ```
    loss = CE(view 1) + CE(view 2)
           + 5 * mean_stages temporal_contrastive(..., normalization="paper")
    ```

    which is `STCL(weight=5.0, normalization="paper", per_step=0.0)`.

    Example:

    >>> y_pred = {
    ...     "logits": np.zeros((3, 2, 4, 10)),
    ...     "embeddings": {"stage4": np.ones((3, 2, 4, 16))},
    ... }
    >>> loss = keras_tcl.losses.STCL(weight=2.0)
    >>> round(float(loss([0, 1, 1], y_pred)), 2)
    8.57

    Reference: equation 9 of the temporal contrastive learning paper.
    """

    views = 2
