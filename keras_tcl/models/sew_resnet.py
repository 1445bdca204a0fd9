"""SEW-ResNet: residual blocks that join spikes element by element."""

from collections.abc import Sequence
from typing import Any

import keras

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
    neuron: Any = None,
    name: str | None = "sew_resnet",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates a SEW-ResNet of any depth and width.

    A stem (convolution, batch normalization, neurons) and stages of basic
    blocks: conv3x3-BN-LIF-conv3x3-BN-LIF, joined with the shortcut by
    `keras_tcl.layers.SpikeElementWise`. The first block of every stage but
    the first halves the resolution; a shortcut that changes shape is
    conv1x1-BN-LIF. The stages are named `"stage1"`, `"stage2"`, ...

    Args:
        stackwise_num_blocks: Sequence of integers, blocks in each stage.
        stackwise_num_filters: Sequence of integers, channels of each stage;
            the first is also the stem's.
        input_shape: `(H, W, C)` for images, `(T or None, H, W, C)` for event
            frames, where `None` lets T vary. Defaults to `(32, 32, 3)`.
        classes: Integer, number of classes. Defaults to `10`.
        timesteps: Integer, number of time steps T a still image is shown.
            Event frames bring their own T. Defaults to `4`.
        weights: Path of a `.weights.h5` file of the same network, or `None`
            for random weights.
        connection: One of `"ADD"`, `"AND"`, `"IAND"`. Defaults to `"ADD"`.
        stem: `"cifar"` (3x3 convolution) or `"imagenet"` (7x7 with stride 2,
            then max pooling) for large images. Defaults to `"cifar"`.
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

    Reference:

    - [Fang et al., 2021](https://arxiv.org/abs/2102.04159)
    """
    _check_stages(stackwise_num_blocks, stackwise_num_filters)
    halvings = len(stackwise_num_filters) - 1
    shape = blocks.check_input_shape(
        input_shape, blocks.stem_downsampling(stem) * 2**halvings
    )
    inputs = blocks.inputs(shape, timesteps)
    x = blocks.stem(inputs, stackwise_num_filters[0], timesteps, stem, neuron)
    stages = {}
    for stage, (num_blocks, filters) in enumerate(
        zip(stackwise_num_blocks, stackwise_num_filters, strict=True), start=1
    ):
        for block in range(1, num_blocks + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(
                x,
                filters,
                strides,
                connection,
                neuron,
                name=f"stage{stage}_block{block}",
            )
        stages[f"stage{stage}"] = x
    backbone = keras.Model(inputs, stages, name="backbone")
    return TCLModel(
        backbone,
        classes,
        weights=weights,
        name=name,
        **kwargs,
    )


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
    x: Any, filters: int, strides: int, connection: str, neuron: Any, name: str
) -> Any:
    shortcut = x
    for i, s in ((1, strides), (2, 1)):
        x = blocks.convolution(x, filters, 3, s, name=f"{name}_{i}")
        x = blocks.normalization(x, name=f"{name}_{i}")
        x = blocks.spike(x, neuron, name=f"{name}_{i}")
    if strides > 1 or shortcut.shape[-1] != filters:
        shortcut = blocks.convolution(
            shortcut, filters, 1, strides, name=f"{name}_0"
        )
        shortcut = blocks.normalization(shortcut, name=f"{name}_0")
        shortcut = blocks.spike(shortcut, neuron, name=f"{name}_0")
    return SpikeElementWise(connection, name=f"{name}_out")([x, shortcut])


def _check_stages(num_blocks: Any, num_filters: Any) -> None:
    if len(num_blocks) != len(num_filters) or not all(
        isinstance(n, int) and n > 0 for n in (*num_blocks, *num_filters)
    ):
        raise ValueError(
            "`stackwise_num_blocks` and `stackwise_num_filters` must be "
            "sequences of positive integers of one length, an entry a stage. "
            f"Received: stackwise_num_blocks={num_blocks}, "
            f"stackwise_num_filters={num_filters}."
        )
