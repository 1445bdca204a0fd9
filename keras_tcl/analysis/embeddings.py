"""What the contrastive loss compares, at every time step."""

from typing import Any

import numpy as np
from keras import ops

from keras_tcl.analysis.probe import Probe, check_arguments, measure


def embeddings(
    model: Any,
    x: Any,
    projected: bool | None = None,
    batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """Embeddings of each stage at every time step, in inference.

    They come from the projection heads, which a model has once it was
    compiled with a contrastive loss, or else are the features of the stages,
    averaged over space. They are not normalised; the loss does that.

    Args:
        model: `keras_tcl.TCLModel`.
        x: Images or event frames, or a data set of them.
        projected: Boolean, whether to take the projection heads. Defaults to
            `None`: if the model has them.
        batch_size: Integer, as for `predict`.

    Returns:
        Dictionary `{stage name: [samples, T, dimension]}` of float32 arrays.

    Raises:
        ValueError: If `projected=True` and the model has no heads, or the
            data does not fit.

    Example:

    ```python
    of_stage = keras_tcl.analysis.embeddings(model, x_test[:500])
    keras_tcl.analysis.plot_embeddings(of_stage["stage4"], y_test[:500])
    ```
    """
    check_arguments(model, x)
    if projected is None:
        projected = bool(model.heads)
    if projected and not model.heads:
        raise ValueError(
            "The model has no projection heads: it was not compiled with a "
            "contrastive loss, such as `keras_tcl.losses.STCL()`. Compile it "
            "with one and train it, or leave `projected` out for the pooled "
            "features of the stages. Received: projected=True."
        )

    # Not the backbone, which is not always run as a whole.
    last_layers = {
        stage: output._keras_history.operation
        for stage, output in model.backbone.output.items()
    }

    def embed(stages: dict[str, Any]) -> dict[str, Any]:
        if projected:
            found = {k: head(stages[k]) for k, head in model.heads.items()}
        else:
            found = {
                k: ops.mean(ops.cast(v, "float32"), axis=(2, 3))
                for k, v in stages.items()
            }
        return {k: ops.cast(v, "float32") for k, v in sorted(found.items())}

    return measure(Probe(model, last_layers, embed), x, batch_size)
