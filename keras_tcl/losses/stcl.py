"""Siamese temporal contrastive learning."""

import keras

from keras_tcl.losses.tcl import TCL


@keras.saving.register_keras_serializable(package="keras_tcl")
class STCL(TCL):
    """Temporal contrastive learning with two augmented views of each sample.

    ```
    loss = CE(view 1) + CE(view 2)
           + weight * mean_stages temporal_contrastive(embeddings, y)
    ```

    with the contrastive term over all `batch * 2 * timesteps` embeddings. The
    network learns to decide alike at all time steps and under augmentation.
    The formula is that of `TCL` for two views; what differs is that the loss
    asks the model for them (`views = 2`), and the weight.

    Args:
        temperature: Float above 0. Temperature of the similarities. Defaults
            to `0.07`.
        weight: Float, 0 or more. Weight of the contrastive term; with 0 it is
            left out ("STCL w/o L_CL" in the paper). Defaults to `5.0`, the
            paper's setting; its figure 3 is best at 2.
        normalization: `"paper"` or `"mean"`: what the sum over positives is
            divided by, see `temporal_contrastive`. Defaults to `"paper"`.
        supervised: Boolean. Whether samples of one class are positives
            (eq. 10) or only the same sample (eq. 7). Defaults to `True`.
        reduction: Reduction over the batch, as in `keras.losses.Loss`.
            Defaults to `"sum_over_batch_size"`.
        name: Optional name of the loss.

    Call arguments:
        y_true: Class ids `(batch,)` or one-hot labels `(batch, classes)`;
            soft labels only with `supervised=False` or `weight=0`.
        y_pred: `{"logits": (batch, views, timesteps, classes), "embeddings":
            {stage name: (batch, views, timesteps, features)}}`.
        sample_weight: Optional weights `(batch,)`. They scale a sample's
            terms; as a candidate for the others it always counts in full.

    Example:

    ```python
    import numpy as np
    from keras_tcl.losses import STCL

    y_pred = {
        "logits": np.random.normal(size=(8, 2, 4, 10)),
        "embeddings": {"stage4": np.random.normal(size=(8, 2, 4, 16))},
    }
    loss = STCL(weight=2.0)(np.arange(8), y_pred)
    ```

    Reference: equation 9 of the temporal contrastive learning paper.
    """

    views = 2

    def __init__(
        self,
        temperature: float = 0.07,
        weight: float = 5.0,
        normalization: str = "paper",
        supervised: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "stcl",
    ) -> None:
        super().__init__(
            temperature=temperature,
            weight=weight,
            normalization=normalization,
            supervised=supervised,
            reduction=reduction,
            name=name,
        )
