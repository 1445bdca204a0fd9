"""Spiking-VGG: convolutions, neurons and average pooling."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_tcl.layers import Classifier
from keras_tcl.models import blocks
from keras_tcl.models.tcl_model import TCLModel


def spiking_vgg(
    stackwise_num_filters: Sequence[Sequence[int]],
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    pooling: str = "average",
    normalization: str = "batch",
    neuron: Any = None,
    name: str | None = "spiking_vgg",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates a Spiking-VGG of any depth and width.

    Stages of units conv3x3-BN-LIF at one resolution, with 2x2 average pooling
    (and no neurons) after each. The stages are named `"stage1"`, `"stage2"`,
    ... The last one is classified by a dense layer.

    Args:
        stackwise_num_filters: Sequence of sequences of integers: for each
            stage, the channels of its convolutions.
        input_shape: `(H, W, C)` for images, `(T or None, H, W, C)` for event
            frames, where `None` lets T vary. Defaults to `(32, 32, 3)`.
        classes: Integer, number of classes. Defaults to `10`.
        timesteps: Integer, number of time steps T a still image is shown.
            Event frames bring their own T. Defaults to `4`.
        weights: Path of a `.weights.h5` file of the same network, or `None`
            for random weights. (`keras_tcl.models.convert` takes those of
            PyTorch.)
        pooling: What the classifier sees: `"average"`, the last stage
            averaged over space (instead of its 2x2 pooling), or `"flatten"`,
            all of it, for which H and W are fixed. Defaults to `"average"`.
        normalization: `"batch"`, or `"threshold_dependent"` for
            `keras_tcl.layers.TDBatchNormalization`. Defaults to `"batch"`.
        neuron: A layer whose copies serve as the neurons, for example
            `keras_tcl.layers.LIF(decay=0.25)`. Defaults to `LIF()`.
        name: String, name of the model.
        **kwargs: Passed on to `keras_tcl.models.TCLModel`: `augmenter`,
            `value_range`, `mean`, `std`, `projection_dimension`,
            `embedding_stages`.

    Returns:
        A `keras_tcl.models.TCLModel`.

    Raises:
        ValueError: If an argument is out of range, or `weights` does not
            belong to this network.

    Example:

    ```python
    model = keras_tcl.models.spiking_vgg([[16], [32, 32]], classes=100)
    ```

    Reference:

    - [Deng et al., 2022](https://arxiv.org/abs/2202.11946)
    """
    _check_stages(stackwise_num_filters)
    classifier = Classifier(
        classes, pooling, dtype="float32", name="classifier"
    )
    count = len(stackwise_num_filters)
    pools = count if pooling == "flatten" else count - 1
    units = blocks.Units(neuron, normalization)
    shape = blocks.check_input_shape(input_shape, 2**pools)
    x = inputs = blocks.inputs(shape, timesteps)
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
    backbone = keras.Model(inputs, stages, name="backbone")
    return TCLModel(
        backbone, classes, classifier, weights=weights, name=name, **kwargs
    )


def spiking_vgg11(
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    name: str | None = "spiking_vgg11",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates a Spiking-VGG-11 for CIFAR (9.2 M parameters).

    The layout of the public code of neuromorphic data augmentation (NDA):
    `spiking_vgg([[64], [128], [256, 256], [512, 512, 512, 512]], ...)`, see
    there for the arguments.

    Reference:

    - [Li et al., 2022](https://arxiv.org/abs/2203.06145)
    """
    return spiking_vgg(
        [[64], [128], [256, 256], [512, 512, 512, 512]],
        input_shape,
        classes,
        timesteps,
        weights,
        name=name,
        **kwargs,
    )


def vggsnn(
    input_shape: Sequence[int | None] = (None, 48, 48, 2),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    name: str | None = "vggsnn",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates the VGGSNN of TET for event frames (9.3 M parameters).

    `spiking_vgg([[64, 128], [256, 256], [512, 512], [512, 512]],
    pooling="flatten", ...)`: see there for the arguments. Made for
    DVS-CIFAR10 resized to 48x48; takes images too.

    Reference:

    - [Deng et al., 2022](https://arxiv.org/abs/2202.11946)
    """
    return spiking_vgg(
        [[64, 128], [256, 256], [512, 512], [512, 512]],
        input_shape,
        classes,
        timesteps,
        weights,
        pooling="flatten",
        name=name,
        **kwargs,
    )


def _check_stages(num_filters: Any) -> None:
    is_sequence = isinstance(num_filters, (list, tuple))
    if not is_sequence or not 0 < len(num_filters) <= blocks.MAX_STAGES:
        good = False
    else:
        good = all(map(blocks.are_counts, num_filters))
    if not good:
        raise ValueError(
            "`stackwise_num_filters` must be a sequence of one to "
            f"{blocks.MAX_STAGES} stages, each a sequence of positive "
            "integers, for example [[64], [128, 128]]. Received: "
            f"stackwise_num_filters={num_filters}."
        )
