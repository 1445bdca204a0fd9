"""What makes a graph a network: raw pixels in, stages and logits out."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_tcl import checks, graph
from keras_tcl.graph import LOGITS
from keras_tcl.layers import Classifier, Neuron, PixelNormalization


def classification_network(
    backbone: keras.Model,
    classes: int,
    stage: str | None = None,
    classifier: keras.layers.Layer | None = None,
    value_range: Sequence[float] = (0, 255),
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.25,
    name: str | None = "network",
) -> keras.Model:
    """Makes a whole network of a backbone of your own.

    The layers of the backbone become layers of one graph, between rescaled
    pixels (unless it rescales them itself) and a classifier:

    ```
    x -> ((x - low) / (high - low) - mean) / std -> backbone -> classifier
    ```

    Args:
        backbone: Functional `keras.Model` from images `(H, W, C)` or event
            frames `(T, H, W, C)` to `{stage name: [batch, T, h, w, c]}`.
        classes: Integer of at least 1, number of classes.
        stage: Name of the stage that is classified. Defaults to the last one
            in the order of computation.
        classifier: Layer from that stage to logits `[batch, T, classes]`.
            Defaults to `keras_tcl.layers.Classifier(classes)`: the average
            over space and a dense layer.
        value_range: Pair of numbers, the least and the greatest value of a
            pixel. Event frames are counts and not rescaled. Defaults to
            `(0, 255)`.
        mean: Number, or one for each channel: mean of the pixels after
            rescaling to [0, 1]. Defaults to `0.5`.
        std: Number, or one for each channel: standard deviation of the pixels
            after rescaling to [0, 1]. Defaults to `0.25`.
        name: String, name of the network.

    Returns:
        Functional `keras.Model` from raw pixels or event frames to
        `{stage name: [batch, T, h, w, c], ..., "logits":
        [batch, T, classes]}`.

    Raises:
        ValueError: If an argument does not fit.

    Example:

    >>> from keras_tcl.layers import LIF, DirectEncoding, EachStep
    >>> inputs = keras.Input((8, 8, 3))
    >>> x = DirectEncoding(4)(inputs)
    >>> x = LIF()(EachStep(keras.layers.Conv2D(16, 3))(x))
    >>> backbone = keras.Model(inputs, {"stage1": x})
    >>> network = keras_tcl.models.classification_network(backbone, classes=10)
    >>> network.output["logits"].shape
    (None, 4, 10)
    """
    stages = getattr(backbone, "output", None)
    if isinstance(stages, Mapping) and LOGITS in stages:
        raise ValueError(
            'This network has "logits" of its own and needs no classifier: '
            "leave `classes` out."
        )
    if (
        not isinstance(stages, Mapping)
        or not stages
        or any(len(t.shape) != 5 for t in stages.values())
    ):
        raise ValueError(
            "`backbone` must be a functional `keras.Model` whose outputs are "
            "a dictionary {stage name: tensor [batch, T, h, w, c]}. (Data "
            "without space, [batch, T, F], come in by "
            "`keras.Input((T, 1, 1, F))` and are given as x[:, :, None, None]; "
            f"their stages have h = w = 1.) Received: backbone={backbone!r}."
        )
    drawn = backbone.inputs[0]
    start = keras.Input(drawn.shape[1:], name="inputs", dtype=drawn.dtype)
    # The stages of a network, to be classified anew, begin with raw pixels.
    is_raw = bool(graph.layers(backbone, PixelNormalization))
    x = start if is_raw else rescaled(start, value_range, mean, std)
    drawn_again = graph.walk(backbone, x, deep=False)
    stages = {name: drawn_again[name] for name in graph.outputs(backbone)}
    return classified(start, stages, classes, classifier, name, stage)


def classified(
    start: Any,
    stages: Mapping[str, Any],
    classes: int,
    classifier: Any = None,
    name: str | None = None,
    stage: str | None = None,
) -> keras.Model:
    """The network from `start` to `stages` and the logits of one of them."""
    if classifier is None:
        # float32: a mean over many spikes, and the logits, need the precision.
        classifier = Classifier(classes, dtype="float32", name="classifier")
    names = list(stages)
    stage = checks.choice("stage", names[-1] if stage is None else stage, names)
    logits = classifier(stages[stage])
    return keras.Model(start, {**stages, LOGITS: logits}, name=name)


def rescaled(x: Any, value_range: Any, mean: Any, std: Any) -> Any:
    """Pixels normalized; event frames, which are counts, as they are."""
    layer = PixelNormalization(value_range, mean, std, name="rescaling")
    return layer(x) if len(x.shape) == 4 else x


def dtype_policy_of(network: keras.Model, dtype: Any) -> Any:
    """The dtype policy of a network's neurons.

    Raises:
        ValueError: If another one is asked for.
    """
    neurons = graph.layers(network, Neuron)
    if not neurons:
        return dtype
    policy = neurons[0].dtype_policy
    wanted = policy if dtype is None else keras.dtype_policies.get(dtype)
    if wanted.compute_dtype not in {x.compute_dtype for x in neurons}:
        raise ValueError(
            "The layers of a network have their dtype from when it was drawn, "
            f"and the neurons of this one compute in {policy.compute_dtype}. "
            "Give `dtype` to the function that draws it "
            "(`keras_tcl.sew_resnet18(dtype=...)`), or call "
            "`keras.config.set_dtype_policy` before you draw your own. "
            f"Received: dtype={wanted.name!r}."
        )
    return wanted
