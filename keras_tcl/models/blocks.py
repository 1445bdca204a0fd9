"""The pieces that the network families are drawn with.

Each function adds layers to a functional graph and returns its new end. A
tensor is `[B, H, W, C]` before direct encoding and `[B, T, H, W, C]` after.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_tcl import checks
from keras_tcl.layers import (
    LIF,
    BatchNormalization,
    Conv2D,
    DirectEncoding,
    EachStep,
    ThresholdDependentBatchNormalization,
)
from keras_tcl.layers.neuron import copy_of
from keras_tcl.models.network import classified, rescaled

# What PyTorch's reference code uses, so that its weights can be carried over.
KERNEL_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {
        "scale": 2.0,
        "mode": "fan_out",
        "distribution": "untruncated_normal",
    },
}
MOMENTUM, EPSILON = 0.9, 1e-5
STEMS = ("cifar", "imagenet")
NORMALIZATIONS = ("batch", "threshold_dependent")


class Units:
    """Draws the units of one network: normalized convolutions and neurons.

    Args:
        neuron: Layer whose copies, in Keras' dtype policy at the time, serve
            as neurons. Defaults to `LIF()`.
        normalization: One of `NORMALIZATIONS`.
    """

    def __init__(self, neuron: Any, normalization: str) -> None:
        policy = keras.config.dtype_policy().name
        self.neuron = copy_of(LIF() if neuron is None else neuron, dtype=policy)
        self.normalization = checks.choice(
            "normalization", normalization, NORMALIZATIONS
        )

    def convolution(
        self,
        x: Any,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        alpha: float = 1.0,
        use_bias: bool = False,
        name: str | None = None,
    ) -> Any:
        """A convolution, and normalization over batch, time and space.

        Args:
            alpha: That of `ThresholdDependentBatchNormalization`.
        """
        x = convolution(x, filters, kernel_size, strides, use_bias, name)
        settings: dict[str, Any] = {"momentum": MOMENTUM, "epsilon": EPSILON}
        if self.normalization == "batch":
            layer = BatchNormalization(**settings, name=f"{name}_bn")
        else:
            layer = ThresholdDependentBatchNormalization(
                alpha,
                getattr(self.neuron, "threshold", 1.0),
                **settings,
                name=f"{name}_bn",
            )
        return each_step(layer, x)

    def spikes(self, x: Any, name: str) -> Any:
        """A layer of neurons."""
        return copy_of(self.neuron, name=f"{name}_spike")(x)


def check_input_shape(input_shape: Any, downsampling: int) -> tuple:
    """Return `input_shape` as a tuple, or raise a ValueError.

    Args:
        input_shape: `(H, W, C)` for images, `(T or None, H, W, C)` for event
            frames.
        downsampling: Integer, the factor by which the network shrinks H and
            W, hence the smallest size it can take.
    """
    is_sequence = isinstance(input_shape, (list, tuple))
    shape = tuple(input_shape) if is_sequence else ()
    numbers = shape[1:] if len(shape) == 4 and shape[0] is None else shape
    if len(shape) not in (3, 4) or not checks.are_integers(numbers):
        raise ValueError(
            "`input_shape` must be (H, W, C) for images or (T or None, H, W, "
            "C) for event frames, channels last, in positive integers. "
            f"Received: input_shape={input_shape}."
        )
    if min(shape[-3:-1]) < downsampling:
        raise ValueError(
            f"This network halves its input until 1/{downsampling} of the "
            f"size is left, so H and W must be at least {downsampling}. "
            f"Received: input_shape={input_shape}. Resize the input, or "
            "build a network with fewer stages."
        )
    return shape


def inputs(
    input_shape: tuple,
    timesteps: int,
    value_range: Any,
    mean: Any,
    std: Any,
) -> tuple[Any, Any]:
    """The network's input, and its pixels rescaled.

    A `None` among event frames' axes stands for T. A neuron needs a T to be
    drawn, but no weight depends on it: a graph of event frames drawn with one
    T runs at any other.
    """
    timesteps = checks.integer("timesteps", timesteps)
    if len(input_shape) == 4 and input_shape[0] is None:
        input_shape = (timesteps, *input_shape[1:])
    start = keras.Input(input_shape, name="inputs")
    return start, rescaled(start, value_range, mean, std)


def each_step(layer: Any, x: Any) -> Any:
    """Apply `layer` to a still tensor, or to every step of a sequence."""
    if len(x.shape) == 5:
        layer = EachStep(layer, name=layer.name)
    return layer(x)


def convolution(
    x: Any,
    filters: int,
    kernel_size: int,
    strides: int = 1,
    use_bias: bool = False,
    name: str | None = None,
) -> Any:
    """A convolution padded by `kernel_size // 2` on every side.

    With strides, "same" padding would put more on the bottom and right than
    on the top and left, and differ from PyTorch.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        pad = keras.layers.ZeroPadding2D(
            kernel_size // 2, data_format="channels_last", name=f"{name}_pad"
        )
        x = each_step(pad, x)
        padding = "valid"
    layer = Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=use_bias,
        data_format="channels_last",
        kernel_initializer=keras.initializers.get(KERNEL_INITIALIZER),
        name=f"{name}_conv",
    )
    return each_step(layer, x)


def encoding(x: Any, timesteps: int) -> Any:
    """Show a still tensor `timesteps` times; leave a sequence as it is.

    Placed after the first normalization, so that a still image passes what
    comes before once: T equal copies would give T equal results, batch
    statistics included.
    """
    if len(x.shape) == 5:
        return x
    return DirectEncoding(timesteps, name="direct_encoding")(x)


def residual_network(
    block: Callable[..., Any],
    stackwise_num_blocks: Sequence[int],
    stackwise_num_filters: Sequence[int],
    input_shape: Sequence[int | None],
    classes: int,
    timesteps: int,
    stem: str,
    stem_filters: int | None,
    units: Units,
    classifier: Any,
    value_range: Any,
    mean: Any,
    std: Any,
    name: str | None,
) -> keras.Model:
    """A stem, stages `"stage1"`, ... of residual blocks, and a classifier.

    The first block of every stage but the first halves the resolution.

    Args:
        block: Function `block(x, filters, strides, units, name)` that adds
            one block.
        stem: `"cifar"` (3x3 convolution, stride 1) or `"imagenet"` (7x7,
            stride 2, then 3x3 max pooling with stride 2).
        stem_filters: Integer, channels of the stem, or `None` for those of
            the first stage.
    """
    _check_stages(stackwise_num_blocks, stackwise_num_filters, stem_filters)
    checks.choice("stem", stem, STEMS)
    downsampling = 2 ** (len(stackwise_num_filters) - 1)
    if stem == "imagenet":
        downsampling *= 4
    shape = check_input_shape(input_shape, downsampling)
    start, x = inputs(shape, timesteps, value_range, mean, std)
    filters = stem_filters or stackwise_num_filters[0]
    x = _stem(x, filters, timesteps, stem, units)
    stages = {}
    for stage, (num_blocks, filters) in enumerate(
        zip(stackwise_num_blocks, stackwise_num_filters, strict=True), start=1
    ):
        for number in range(1, num_blocks + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            x = block(x, filters, strides, units, f"stage{stage}_block{number}")
        stages[f"stage{stage}"] = x
    return classified(start, stages, classes, classifier, name)


def _stem(x: Any, filters: int, timesteps: int, kind: str, units: Units) -> Any:
    kernel_size, strides = (3, 1) if kind == "cifar" else (7, 2)
    x = units.convolution(x, filters, kernel_size, strides, name="stem")
    x = units.spikes(encoding(x, timesteps), name="stem")
    if kind == "imagenet":
        # Less than any spike, not 0: of equal values, pooling gives all of the
        # gradient to the first, and that is to be a neuron.
        around = ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0))
        x = keras.ops.pad(x, around, constant_values=-1.0)
        x = each_step(
            keras.layers.MaxPooling2D(
                3, 2, data_format="channels_last", name="stem_pool"
            ),
            x,
        )
    return x


def _check_stages(num_blocks: Any, num_filters: Any, stem_filters: Any) -> None:
    if (
        not checks.are_integers(num_blocks)
        or not checks.are_integers(num_filters)
        or len(num_blocks) != len(num_filters)
        or not (stem_filters is None or checks.are_integers([stem_filters]))
    ):
        raise ValueError(
            "`stackwise_num_blocks` and `stackwise_num_filters` must be "
            "sequences of positive integers of one length, an entry for each "
            "stage, and `stem_filters` a positive integer or None. Received: "
            f"stackwise_num_blocks={num_blocks}, "
            f"stackwise_num_filters={num_filters}, "
            f"stem_filters={stem_filters}."
        )
