"""SEW-ResNet: residual blocks that join spikes element by element."""

import functools
from collections.abc import Sequence
from typing import Any

from keras_tcl.layers import SpikeElementWise
from keras_tcl.models import blocks
from keras_tcl.models.tcl_model import TCLModel


def sew_resnet(
    stackwise_num_blocks: Sequence[int],
    stackwise_num_filters: Sequence[int],
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    connection: str = "ADD",
    stem: str = "cifar",
    stem_filters: int | None = None,
    normalization: str = "batch",
    neuron: Any = None,
    name: str | None = "sew_resnet",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates a SEW-ResNet of any depth and width.

    A stem (convolution, batch normalization, neurons) and stages of basic
    blocks: conv3x3-BN-LIF-conv3x3-BN-LIF, joined with the shortcut by
    `keras_tcl.layers.SpikeElementWise`. The first block of every stage but
    the first halves the resolution; a shortcut that changes shape is
    conv1x1-BN-LIF. The stages are named `"stage1"`, `"stage2"`, ... The last
    one is averaged over space and classified by a dense layer.

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
        connection: One of `"ADD"`, `"AND"`, `"IAND"`. Defaults to `"ADD"`.
        stem: `"cifar"` (3x3 convolution) or `"imagenet"` (7x7 with stride 2,
            then max pooling) for large images. Defaults to `"cifar"`.
        stem_filters: Integer, channels of the stem. Defaults to those of the
            first stage.
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
    model = keras_tcl.models.sew_resnet([1, 1, 1], [16, 32, 64], classes=100)
    ```

    Reference:

    - [Fang et al., 2021](https://arxiv.org/abs/2102.04159)
    """
    backbone = blocks.residual_backbone(
        functools.partial(_block, connection=connection),
        stackwise_num_blocks,
        stackwise_num_filters,
        input_shape,
        timesteps,
        stem,
        stem_filters,
        blocks.Units(neuron, normalization),
    )
    return TCLModel(backbone, classes, weights=weights, name=name, **kwargs)


def sew_resnet18(
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    name: str | None = "sew_resnet18",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates the SEW-ResNet-18 of the paper (11.2 M parameters).

    `sew_resnet([2, 2, 2, 2], [64, 128, 256, 512], ...)`: see there for the
    arguments.
    """
    return sew_resnet(
        [2, 2, 2, 2],
        [64, 128, 256, 512],
        input_shape,
        classes,
        timesteps,
        weights,
        name=name,
        **kwargs,
    )


def sew_resnet34(
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    name: str | None = "sew_resnet34",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates the SEW-ResNet-34 of the paper (21.3 M parameters).

    `sew_resnet([3, 4, 6, 3], [64, 128, 256, 512], ...)`: see there for the
    arguments.
    """
    return sew_resnet(
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
    x: Any,
    filters: int,
    strides: int,
    units: blocks.Units,
    name: str,
    connection: str,
) -> Any:
    shortcut = x
    for i, s in ((1, strides), (2, 1)):
        x = units.convolution(x, filters, 3, s, name=f"{name}_{i}")
        x = units.spikes(x, name=f"{name}_{i}")
    if strides > 1 or shortcut.shape[-1] != filters:
        shortcut = units.convolution(
            shortcut, filters, 1, strides, name=f"{name}_0"
        )
        shortcut = units.spikes(shortcut, name=f"{name}_0")
    return SpikeElementWise(connection, name=f"{name}_out")([x, shortcut])
