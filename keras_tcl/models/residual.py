"""Residual networks: SEW-ResNet, Spiking-ResNet and ResNet-19."""

import functools
from collections.abc import Sequence
from typing import Any

import keras

from keras_tcl.layers import Classifier, SpikeElementWise
from keras_tcl.models import blocks
from keras_tcl.models.registry import trainable, variant


@trainable
def sew_resnet(
    stackwise_num_blocks: Sequence[int],
    stackwise_num_filters: Sequence[int],
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    connection: str = "add",
    stem: str = "cifar",
    stem_filters: int | None = None,
    normalization: str = "batch",
    neuron: keras.layers.Layer | None = None,
    classifier: keras.layers.Layer | None = None,
    value_range: Sequence[float] = (0, 255),
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.25,
    name: str | None = "sew_resnet",
) -> keras.Model:
    """A SEW-ResNet of any depth and width, to be trained.

    A stem (convolution, batch normalization, neurons) and stages of basic
    blocks: conv3x3-BN-LIF-conv3x3-BN-LIF, joined with the shortcut by
    `keras_tcl.layers.SpikeElementWise`. The first block of every stage but
    the first halves the resolution; a shortcut that changes shape is
    conv1x1-BN-LIF. The stages are named `"stage1"`, `"stage2"`, ... The last
    one is averaged over space and classified by a dense layer.

    `sew_resnet.network(...)` draws the plain network.

    Args:
        stackwise_num_blocks: Sequence of integers, blocks in each stage.
        stackwise_num_filters: Sequence of integers, channels of each stage.
        input_shape: `(H, W, C)` for images, `(T or None, H, W, C)` for event
            frames, where `None` lets T vary. Defaults to `(32, 32, 3)`.
        classes: Integer, number of classes. Defaults to `10`.
        timesteps: Integer, number of time steps T a still image is shown.
            Event frames bring their own T. Defaults to `4`.
        weights: Path of a `.weights.h5` file of the same network, the name of
            a preset (`keras_tcl.list_presets()`), whose arguments are then
            the defaults, or `None` for random weights.
            (`keras_tcl.models.load_torch_weights` takes those of PyTorch.)
        connection: `"add"`, `"and"` or `"iand"`. Defaults to `"add"`.
        stem: `"cifar"` (3x3 convolution) or `"imagenet"` (7x7 with stride 2,
            then max pooling) for large images. Defaults to `"cifar"`.
        stem_filters: Integer, channels of the stem. Defaults to those of the
            first stage.
        normalization: `"batch"`, or `"threshold_dependent"` for
            `keras_tcl.layers.ThresholdDependentBatchNormalization`. Defaults
            to `"batch"`.
        neuron: A layer whose copies serve as the neurons, for example
            `keras_tcl.layers.LIF(decay=0.25)`. Defaults to `LIF()`. (A class
            of your own returns its arguments in `get_config`.)
        classifier, value_range, mean, std: See
            `keras_tcl.models.classification_network`.
        name: String, name of the model.
        augmenter, projection_dimension, embedding_stages, skip_mismatch: See
            `keras_tcl.TCLModel`.
        dtype: Dtype policy of all layers, such as `"mixed_bfloat16"`, but for
            the rescaling of pixels and the classifier, which are float32.
            Defaults to Keras' (`keras.config.dtype_policy()`).
        synchronized: Boolean, whether batch statistics are those of all
            devices that train together (`keras_tcl.distribution`). Defaults
            to `False`.

    Returns:
        A `keras_tcl.TCLModel`.

    Raises:
        ValueError: If an argument is out of range, or `weights` does not
            belong to this network. (With `skip_mismatch=True`, a preset may
            begin a network of other arguments.)

    Example:

    >>> model = keras_tcl.sew_resnet([1, 1, 1], [16, 32, 64], classes=100)
    >>> model.classes
    100

    Reference:

    - [Fang et al., 2021](https://arxiv.org/abs/2102.04159)
    """
    return blocks.residual_network(
        functools.partial(_sew_block, connection=connection),
        stackwise_num_blocks,
        stackwise_num_filters,
        input_shape,
        classes,
        timesteps,
        stem,
        stem_filters,
        blocks.Units(neuron, normalization),
        classifier,
        value_range,
        mean,
        std,
        name,
    )


@trainable
def spiking_resnet(
    stackwise_num_blocks: Sequence[int],
    stackwise_num_filters: Sequence[int],
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    stem: str = "cifar",
    stem_filters: int | None = None,
    normalization: str = "threshold_dependent",
    neuron: keras.layers.Layer | None = None,
    classifier: keras.layers.Layer | None = None,
    value_range: Sequence[float] = (0, 255),
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.25,
    name: str | None = "spiking_resnet",
) -> keras.Model:
    """A Spiking-ResNet of any depth and width, to be trained.

    A stem (convolution, tdBN, neurons) and stages of basic blocks:
    conv3x3-tdBN-LIF-conv3x3-tdBN, added to the shortcut, and LIF after the
    addition. The first block of every stage but the first halves the
    resolution; a shortcut that changes shape is conv1x1-tdBN. tdBN is
    threshold-dependent batch normalization with the neurons' threshold; its
    alpha is 1, and `1 / sqrt(2)` in the two branches that are added.

    `spiking_resnet.network(...)` draws the plain network. Stages, arguments
    and errors are those of `keras_tcl.sew_resnet`, but for

    Args:
        normalization: `"threshold_dependent"` for
            `keras_tcl.layers.ThresholdDependentBatchNormalization`, or
            `"batch"`. Defaults to `"threshold_dependent"`.

    Returns:
        A `keras_tcl.TCLModel`.

    Reference:

    - [Zheng et al., 2021](https://arxiv.org/abs/2011.05280)
    """
    return blocks.residual_network(
        _spiking_block,
        stackwise_num_blocks,
        stackwise_num_filters,
        input_shape,
        classes,
        timesteps,
        stem,
        stem_filters,
        blocks.Units(neuron, normalization),
        classifier,
        value_range,
        mean,
        std,
        name,
    )


@variant(of=sew_resnet)
def sew_resnet8(*args: Any, **kwargs: Any) -> keras.Model:
    """The SEW-ResNet-8, a small one for small data (0.08 M parameters).

    As of the CIFAR networks of ResNet's paper: 6n + 2 layers, n blocks in each
    of three stages of 16, 32 and 64 channels.

    Reference:

    - [He et al., 2015](https://arxiv.org/abs/1512.03385)
    """
    return sew_resnet.network([1, 1, 1], [16, 32, 64], *args, **kwargs)


@variant(of=sew_resnet)
def sew_resnet14(*args: Any, **kwargs: Any) -> keras.Model:
    """The SEW-ResNet-14 (0.18 M parameters); see `keras_tcl.sew_resnet8`."""
    return sew_resnet.network([2, 2, 2], [16, 32, 64], *args, **kwargs)


@variant(of=sew_resnet)
def sew_resnet20(*args: Any, **kwargs: Any) -> keras.Model:
    """The SEW-ResNet-20 (0.27 M parameters); see `keras_tcl.sew_resnet8`."""
    return sew_resnet.network([3, 3, 3], [16, 32, 64], *args, **kwargs)


@variant(of=sew_resnet)
def sew_resnet18(*args: Any, **kwargs: Any) -> keras.Model:
    """The SEW-ResNet-18 of the paper (11.2 M parameters)."""
    return sew_resnet.network(
        [2, 2, 2, 2], [64, 128, 256, 512], *args, **kwargs
    )


@variant(of=sew_resnet)
def sew_resnet34(*args: Any, **kwargs: Any) -> keras.Model:
    """The SEW-ResNet-34 of the paper (21.3 M parameters)."""
    return sew_resnet.network(
        [3, 4, 6, 3], [64, 128, 256, 512], *args, **kwargs
    )


@variant(of=spiking_resnet)
def spiking_resnet18(*args: Any, **kwargs: Any) -> keras.Model:
    """The Spiking-ResNet-18 of the paper (11.2 M parameters)."""
    return spiking_resnet.network(
        [2, 2, 2, 2], [64, 128, 256, 512], *args, **kwargs
    )


@variant(of=spiking_resnet)
def spiking_resnet34(*args: Any, **kwargs: Any) -> keras.Model:
    """The Spiking-ResNet-34 (21.3 M parameters)."""
    return spiking_resnet.network(
        [3, 4, 6, 3], [64, 128, 256, 512], *args, **kwargs
    )


@variant(of=spiking_resnet)
def resnet19(
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    *args: Any,
    stem_filters: int = 64,
    normalization: str = "batch",
    neuron: keras.layers.Layer | None = None,
    classifier: keras.layers.Layer | None = None,
    **kwargs: Any,
) -> keras.Model:
    """The ResNet-19 of most papers on training SNNs (12.6 M parameters).

    A Spiking-ResNet of three stages of 128, 256 and 512 channels and 3, 3 and
    2 blocks, with two dense layers behind: FC 256 - LIF - FC.

    The public versions differ. With the defaults it is the one of TET's code
    (and of the 12.63 M parameters that papers report); `stem_filters=128` and
    `normalization="threshold_dependent"` is the one of Zheng et al. (12.70 M).

    Reference:

    - [Deng et al., 2022](https://arxiv.org/abs/2202.11946)
    - [Zheng et al., 2021](https://arxiv.org/abs/2011.05280)
    """
    if classifier is None:
        classifier = Classifier(
            classes,
            hidden_units=[256],
            neuron=neuron,
            dtype="float32",
            name="classifier",
        )
    return spiking_resnet.network(
        [3, 3, 2],
        [128, 256, 512],
        input_shape,
        classes,
        *args,
        stem_filters=stem_filters,
        normalization=normalization,
        neuron=neuron,
        classifier=classifier,
        **kwargs,
    )


def _sew_block(
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


def _spiking_block(
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
