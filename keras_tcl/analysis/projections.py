"""What the contrastive loss compares, at every time step."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import graph
from keras_tcl.analysis.measurement import check_data, measure, network_of
from keras_tcl.models.network import LOGITS


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
        model: `keras_tcl.TCLModel`, or a network, which has no heads.
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

    >>> model = keras_tcl.models.sew_resnet([1, 1], [4, 8], (8, 8, 1), 10)
    >>> images = np.random.randint(0, 256, (16, 8, 8, 1), "uint8")
    >>> of_stages = keras_tcl.analysis.embeddings(model, images)
    >>> {stage: values.shape for stage, values in of_stages.items()}
    {'stage1': (16, 4, 4), 'stage2': (16, 4, 8)}
    """
    network = network_of(model)
    check_data(model, x)
    heads = getattr(model, "heads", {})
    if projected is None:
        projected = bool(heads)
    if projected and not heads:
        raise ValueError(
            "The model has no projection heads: it was not compiled with a "
            "contrastive loss, such as `keras_tcl.losses.STCL()`. Compile it "
            "with one and train it, or leave `projected` out for the pooled "
            "features of the stages. Received: projected=True."
        )
    call = graph.called(training=False)
    named = heads if projected else network.output
    stages = [k for k in network.output if k in named and k != LOGITS]

    def embed(stage: str, features: Any) -> Any:
        if projected:
            return ops.cast(call(heads[stage], features), "float32")
        return ops.mean(ops.cast(features, "float32"), axis=(2, 3))

    def function(network: keras.Model, x: Any) -> Any:
        outputs = graph.walk(network, x, call)
        return outputs, {k: embed(k, outputs[k]) for k in stages}

    results = measure(network, function, x, batch_size)
    return {stage: results[stage] for stage in stages}
