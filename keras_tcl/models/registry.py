"""The networks by name, and what they cost."""

import math
from collections.abc import Callable
from typing import Any

import keras

from keras_tcl.models.resnet19 import resnet19
from keras_tcl.models.sew_resnet import sew_resnet18, sew_resnet34
from keras_tcl.models.spiking_resnet import spiking_resnet18, spiking_resnet34
from keras_tcl.models.spiking_vgg import spiking_vgg11, vggsnn
from keras_tcl.models.tcl_model import TCLModel

_MODELS: dict[str, Callable[..., TCLModel]] = {
    function.__name__: function
    for function in (
        resnet19,
        sew_resnet18,
        sew_resnet34,
        spiking_resnet18,
        spiking_resnet34,
        spiking_vgg11,
        vggsnn,
    )
}


def list_models() -> list[str]:
    """Returns the names that `create_model` knows, sorted.

    Each is also a function of `keras_tcl.models`.
    """
    return sorted(_MODELS)


def create_model(name: str, **kwargs: Any) -> TCLModel:
    """Instantiates a network by name.

    Args:
        name: One of `list_models()`.
        **kwargs: Passed on to the function of that name: `input_shape`,
            `classes`, `timesteps`, `weights`, ...

    Returns:
        A `keras_tcl.models.TCLModel`.

    Raises:
        ValueError: If the name is unknown, or an argument does not fit.

    Example:

    ```python
    model = keras_tcl.models.create_model("resnet19", classes=100)
    ```
    """
    if name not in _MODELS:
        raise ValueError(
            f"There is no model of this name; there are {list_models()}. "
            f"Received: name={name!r}."
        )
    return _MODELS[name](**kwargs)


def count_parameters(model: TCLModel) -> int:
    """Number of trained parameters, as papers count them.

    Those of backbone and classifier: without moving statistics, and without
    projection heads, which inference does not need.
    """
    parts = (model.backbone, model.classifier)
    variables = [v for part in parts for v in part.trainable_variables]
    return sum(math.prod(v.shape) for v in variables)


def count_macs(model: TCLModel) -> int:
    """Number of multiply-accumulate operations for one time step.

    Those of convolutions and dense layers, each counted once. (Of still
    images, the first convolution runs once for all T steps. Most other
    inputs are spikes, whose products are additions.)
    """
    macs = 0
    for outer in model.backbone.layers:
        layer = getattr(outer, "layer", outer)
        if isinstance(layer, keras.layers.Conv2D):
            height, width = outer.output.shape[-3:-1]
            macs += math.prod(layer.kernel.shape) * height * width
    for layer in model.classifier.dense_layers:
        macs += math.prod(layer.kernel.shape)
    return macs


def model_table(**kwargs: Any) -> str:
    """Returns a Markdown table of all networks and what they cost.

    Args:
        **kwargs: As for `create_model`, for all of them.

    Example:

    ```python
    print(keras_tcl.models.model_table())
    ```
    """
    lines = [
        "| model | input | parameters | MACs per step | output stages |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in list_models():
        model = create_model(name, **kwargs)
        shape = model.sample_shape[-3:]
        stages = [
            f"{stage.shape[-3]}x{stage.shape[-2]}x{stage.shape[-1]}"
            for _, stage in sorted(model.backbone.output.items())
        ]
        lines.append(
            f"| `{name}` | {'x'.join(map(str, shape))} "
            f"| {count_parameters(model) / 1e6:.2f} M "
            f"| {count_macs(model) / 1e6:.0f} M | {', '.join(stages)} |"
        )
    return "\n".join(lines)
