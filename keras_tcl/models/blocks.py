"""The pieces that the network families are built from.

Each function adds layers to a functional graph and returns its new end. A
tensor is `[B, H, W, C]` before direct encoding and `[B, T, H, W, C]` after.
"""

from typing import Any

import keras

from keras_tcl.layers import LIF, DirectEncoding, TimeDistributed
from keras_tcl.layers.direct_encoding import check_timesteps

# What PyTorch's reference code uses, so that its weights can be carried over.
KERNEL_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {
        "scale": 2.0,
        "mode": "fan_out",
        "distribution": "untruncated_normal",
    },
}
STEMS = ("cifar", "imagenet")


def check_input_shape(input_shape: Any, downsampling: int) -> tuple:
    """Return `input_shape` as a tuple, or raise a ValueError.

    Args:
        input_shape: `(H, W, C)` for images, `(T or None, H, W, C)` for event
            frames.
        downsampling: Integer, the factor by which the network shrinks H and
            W, hence the smallest size it can take.
    """
    shape = tuple(input_shape)
    numbers = shape[1:] if len(shape) == 4 and shape[0] is None else shape
    if len(shape) not in (3, 4) or not all(
        isinstance(n, int) and not isinstance(n, bool) and n > 0
        for n in numbers
    ):
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


def inputs(input_shape: tuple, timesteps: int) -> Any:
    """The network's input. A `None` among event frames' axes stands for T.

    A neuron needs a T to be drawn, but no weight depends on it: a graph of
    event frames drawn with one T runs at any other.
    """
    timesteps = check_timesteps(timesteps)
    if len(input_shape) == 4 and input_shape[0] is None:
        input_shape = (timesteps, *input_shape[1:])
    return keras.Input(input_shape, name="inputs")


def each_step(layer: Any, x: Any) -> Any:
    """Apply `layer` to a still tensor, or to every step of a sequence."""
    if len(x.shape) == 5:
        layer = TimeDistributed(layer, name=layer.name)
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
    layer = keras.layers.Conv2D(
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


def normalization(x: Any, name: str | None = None) -> Any:
    """Batch normalization over batch, time and space."""
    layer = keras.layers.BatchNormalization(
        axis=-1, momentum=0.9, epsilon=1e-5, name=f"{name}_bn"
    )
    return each_step(layer, x)


def spike(x: Any, neuron: Any = None, name: str | None = None) -> Any:
    """A layer of neurons like `neuron`, by default `LIF()`."""
    if neuron is None:
        neuron = LIF()
    config = {**neuron.get_config(), "name": f"{name}_spike"}
    return type(neuron).from_config(config)(x)


def stem(
    x: Any,
    filters: int,
    timesteps: int,
    kind: str = "cifar",
    neuron: Any = None,
) -> Any:
    """Convolution, normalization and the first spikes.

    Of a still image, the convolution and the normalization run once and the
    result is shown T times: T equal copies would give T equal results, batch
    statistics included.

    Args:
        kind: `"cifar"` (3x3, stride 1) or `"imagenet"` (7x7, stride 2, then
            3x3 max pooling with stride 2).
    """
    if kind not in STEMS:
        raise ValueError(
            f"`stem` must be one of {STEMS}. Received: stem={kind!r}."
        )
    kernel_size, strides = (3, 1) if kind == "cifar" else (7, 2)
    x = convolution(x, filters, kernel_size, strides, name="stem")
    x = normalization(x, name="stem")
    if len(x.shape) == 4:
        x = DirectEncoding(timesteps, name="direct_encoding")(x)
    x = spike(x, neuron, name="stem")
    if kind == "imagenet":
        # Spikes are never negative, so zero padding is as good as -inf.
        x = each_step(
            keras.layers.ZeroPadding2D(
                1, data_format="channels_last", name="stem_pool_pad"
            ),
            x,
        )
        x = each_step(
            keras.layers.MaxPooling2D(
                3, 2, data_format="channels_last", name="stem_pool"
            ),
            x,
        )
    return x


def stem_downsampling(kind: str) -> int:
    """The factor by which a stem shrinks its input."""
    return 4 if kind == "imagenet" else 1
