"""ResNet-19: the network of most papers on training SNNs directly."""

from collections.abc import Sequence
from typing import Any

from keras_tcl.layers import Classifier
from keras_tcl.models.spiking_resnet import spiking_resnet
from keras_tcl.models.tcl_model import TCLModel


def resnet19(
    input_shape: Sequence[int | None] = (32, 32, 3),
    classes: int = 10,
    timesteps: int = 4,
    weights: str | None = None,
    stem_filters: int = 64,
    normalization: str = "batch",
    neuron: Any = None,
    name: str | None = "resnet19",
    **kwargs: Any,
) -> TCLModel:
    """Instantiates the ResNet-19 of the paper (12.6 M parameters).

    A Spiking-ResNet (see `keras_tcl.models.spiking_resnet` for its blocks and
    the arguments) of three stages of 128, 256 and 512 channels and 3, 3 and 2
    blocks, with two dense layers behind: FC 256 - LIF - FC.

    The public versions differ. With the defaults it is the one of TET's code
    (and of the 12.63 M parameters that papers report); `stem_filters=128` and
    `normalization="threshold_dependent"` is the one of Zheng et al. (12.70 M).

    Args:
        stem_filters: Integer, channels of the stem. Defaults to `64`.
        normalization: `"batch"`, or `"threshold_dependent"` for
            `keras_tcl.layers.TDBatchNormalization`. Defaults to `"batch"`.

    Reference:

    - [Deng et al., 2022](https://arxiv.org/abs/2202.11946)
    - [Zheng et al., 2021](https://arxiv.org/abs/2011.05280)
    """
    classifier = Classifier(
        classes,
        hidden_units=[256],
        neuron=neuron,
        dtype="float32",
        name="classifier",
    )
    return spiking_resnet(
        [3, 3, 2],
        [128, 256, 512],
        input_shape,
        classes,
        timesteps,
        weights,
        stem_filters=stem_filters,
        normalization=normalization,
        neuron=neuron,
        name=name,
        classifier=classifier,
        **kwargs,
    )
