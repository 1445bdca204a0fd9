"""Spiking-ResNet: residual blocks with neurons after the addition."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_tcl.models import blocks
from keras_tcl.models.tcl_model import TCLModel


def spiking_resnet(
    stackwise_num_blocks: Sequence[int],
    stackwise_num_filters: Sequence[int],
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    stem: str = "cifar",
    stem_filters: int | None = None,
    normalization: str = "threshold_dependent",
    neuron: Any = None,
    name: str | None = "spiking_resnet",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates a Spiking-ResNet of any depth and width.

    A stem (convolution, tdBN, neurons) and stages of basic blocks:
    conv3x3-tdBN-LIF-conv3x3-tdBN, added to the shortcut, and LIF after the
    addition. The first block of every stage but the first halves the
    resolution; a shortcut that changes shape is conv1x1-tdBN. tdBN is
    threshold-dependent batch normalization with the neurons' threshold; its
    alpha is 1, and `1 / sqrt(2)` in the two branches that are added. The
    stages are named `"stage1"`, `"stage2"`, ... The last one is averaged over
    space and classified by a dense layer.

    Args:
        stackwise_num_blocks: Sequence of integers, blocks in each stage.
        stackwise_num_filters: Sequence of integers, channels of each stage.
        input_shape: `(H, W, C)` for images, `(T or None, H, W, C)` for event
            frames, where `None` lets T vary. Defaults to `(32, 32, 3)`.
        classes: Integer, number of classes. Defaults to `10`.
        timesteps: Integer, number of time steps T a still image is shown.
            Event frames bring their own T. Defaults to `4`.
        weights: Path of a `.weights.h5` file of the same network, or `None`
            for random weights. (`keras_tcl.models.convert` takes those of
            PyTorch.)
        stem: `"cifar"` (3x3 convolution) or `"imagenet"` (7x7 with stride 2,
            then max pooling) for large images. Defaults to `"cifar"`.
        stem_filters: Integer, channels of the stem. Defaults to those of the
            first stage.
        normalization: `"threshold_dependent"` for
            `keras_tcl.layers.TDBatchNormalization`, or `"batch"`. Defaults
            to `"threshold_dependent"`.
        neuron: A layer whose copies serve as the neurons, for example
            `keras_tcl.layers.LIF(decay=0.25)`. Defaults to `LIF()`.
        name: String, name of the model.
        **kwargs: Passed on to `keras_tcl.models.TCLModel`: `classifier`,
            `augmenter`, `value_range`, `mean`, `std`,
            `projection_dimension`, `embedding_stages`.

    Returns:
        A `keras_tcl.models.TCLModel`.

    Raises:
        ValueError: If an argument is out of range, or `weights` does not
            belong to this network.

    Reference:

    - [Zheng et al., 2021](https://arxiv.org/abs/2011.05280)
    """
    backbone = blocks.residual_backbone(
        _block,
        stackwise_num_blocks,
        stackwise_num_filters,
        input_shape,
        timesteps,
        stem,
        stem_filters,
        blocks.Units(neuron, normalization),
    )
    return TCLModel(backbone, classes, weights=weights, name=name, **kwargs)


def spiking_resnet18(
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    name: str | None = "spiking_resnet18",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates the Spiking-ResNet-18 of the paper (11.2 M parameters).

    `spiking_resnet([2, 2, 2, 2], [64, 128, 256, 512], ...)`: see there for
    the arguments.
    """
    return spiking_resnet(
        [2, 2, 2, 2],
        [64, 128, 256, 512],
        input_shape,
        classes,
        timesteps,
        weights,
        name=name,
        **kwargs,
    )


def spiking_resnet34(
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    name: str | None = "spiking_resnet34",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates the Spiking-ResNet-34 (21.3 M parameters).

    `spiking_resnet([3, 4, 6, 3], [64, 128, 256, 512], ...)`: see there for
    the arguments.
    """
    return spiking_resnet(
        [3, 4, 6, 3],
        [64, 128, 256, 512],
        input_shape,
        classes,
        timesteps,
        weights,
        name=name,
        **kwargs,
    )


def _block(
    x: Any, filters: int, strides: int, units: blocks.Units, name: str
) -> Any:
    shortcut = x
    x = units.convolution(x, filters, 3, strides, name=f"{name}_1")
    x = units.spikes(x, name=f"{name}_1")
    # The sum of two branches of this scale has the threshold's again.
    alpha = 0.5**0.5
    x = units.convolution(x, filters, 3, alpha=alpha, name=f"{name}_2")
    if strides > 1 or shortcut.shape[-1] != filters:
        shortcut = units.convolution(
            shortcut, filters, 1, strides, alpha=alpha, name=f"{name}_0"
        )
    x = keras.layers.Add(name=f"{name}_out")([x, shortcut])
    return units.spikes(x, name=f"{name}_2")
