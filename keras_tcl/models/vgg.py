"""Spiking-VGG: convolutions, neurons and average pooling."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_tcl import checks
from keras_tcl.layers import Classifier
from keras_tcl.models import blocks
from keras_tcl.models.network import classified
from keras_tcl.models.registry import trainable, variant


@trainable
def spiking_vgg(
    stackwise_num_filters: Sequence[Sequence[int]],
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    pooling: str = "average",
    normalization: str = "batch",
    neuron: keras.layers.Layer | None = None,
    value_range: Sequence[float] = (0, 255),
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.25,
    name: str | None = "spiking_vgg",
) -> keras.Model:
    """A Spiking-VGG of any depth and width, to be trained.

    Stages of units conv3x3-BN-LIF at one resolution, with 2x2 average pooling
    (and no neurons) after each. The stages are named `"stage1"`, `"stage2"`,
    ... The last one is classified by a dense layer.

    `spiking_vgg.network(...)` draws the plain network. The arguments that are
    not named here, and the errors, are those of `keras_tcl.sew_resnet`.

    Args:
        stackwise_num_filters: Sequence of sequences of integers: for each
            stage, the channels of its convolutions.
        pooling: What the classifier sees: `"average"`, the last stage
            averaged over space (instead of its 2x2 pooling), or `"flatten"`,
            all of it, for which H and W are fixed. Defaults to `"average"`.

    Returns:
        A `keras_tcl.TCLModel`.

    Example:

    >>> model = keras_tcl.spiking_vgg([[16], [32, 32]], classes=100)
    >>> model.classes
    100

    Reference:

    - [Deng et al., 2022](https://arxiv.org/abs/2202.11946)
    """
    if not isinstance(stackwise_num_filters, (list, tuple)) or not all(
        map(checks.are_integers, stackwise_num_filters or [None])
    ):
        raise ValueError(
            "`stackwise_num_filters` must be a sequence of stages, each a "
            "sequence of positive integers, for example [[64], [128, 128]]. "
            f"Received: stackwise_num_filters={stackwise_num_filters}."
        )
    classifier = Classifier(
        classes, pooling, dtype="float32", name="classifier"
    )
    count = len(stackwise_num_filters)
    pools = count if pooling == "flatten" else count - 1
    units = blocks.Units(neuron, normalization)
    shape = blocks.check_input_shape(input_shape, 2**pools)
    start, x = blocks.inputs(shape, timesteps, value_range, mean, std)
    stages = {}
    for stage, stage_filters in enumerate(stackwise_num_filters, start=1):
        for number, filters in enumerate(stage_filters, start=1):
            unit = f"stage{stage}_{number}"
            x = units.convolution(x, filters, 3, use_bias=True, name=unit)
            x = units.spikes(blocks.encoding(x, timesteps), name=unit)
        if stage <= pools:
            pool = keras.layers.AveragePooling2D(
                2, data_format="channels_last", name=f"stage{stage}_pool"
            )
            x = blocks.each_step(pool, x)
        stages[f"stage{stage}"] = x
    return classified(start, stages, classes, classifier, name)


@variant(of=spiking_vgg)
def spiking_vgg11(*args: Any, **kwargs: Any) -> keras.Model:
    """The Spiking-VGG-11 for CIFAR (9.2 M parameters).

    The layout of the public code of neuromorphic data augmentation (NDA).

    Reference:

    - [Li et al., 2022](https://arxiv.org/abs/2203.06145)
    """
    stages = [[64], [128], [256, 256], [512, 512, 512, 512]]
    return spiking_vgg.network(stages, *args, **kwargs)


@variant(of=spiking_vgg)
def vggsnn(
    input_shape: Sequence[int | None] = (None, 48, 48, 2),
    *args: Any,
    pooling: str = "flatten",
    **kwargs: Any,
) -> keras.Model:
    """The VGGSNN of TET for event frames (9.3 M parameters).

    Made for DVS-CIFAR10 resized to 48x48; takes images too.

    Reference:

    - [Deng et al., 2022](https://arxiv.org/abs/2202.11946)
    """
    stages = [[64, 128], [256, 256], [512, 512], [512, 512]]
    return spiking_vgg.network(
        stages, input_shape, *args, pooling=pooling, **kwargs
    )
