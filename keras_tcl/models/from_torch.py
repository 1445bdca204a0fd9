"""Weights of public PyTorch networks, carried into ours."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_tcl.layers import Classifier
from keras_tcl.models.tcl_model import TCLModel

# How the public code wraps its layers, and what it wraps: (pattern, name in
# the plain network). Several wrapped names may stand for one plain name,
# since TET registers its modules more than once.
_WRAPPERS = [
    # SEW-ResNet's repository: SeqToANNContainer(convolution, normalization).
    (r"(layer\d+\.\d+\.)conv(\d)\.module\.0\.", r"\1conv\2."),
    (r"(layer\d+\.\d+\.)conv(\d)\.module\.1\.", r"\1bn\2."),
    (r"(downsample)\.(?:0\.)?module\.", r"\1."),
    # TET's ResNet-19: tdLayer(convolution, tdBatchNorm).
    (r"\b(conv\d|fc\d)_s\.layer\.module\.", r"\1."),
    (r"\bconv(\d)_s\.bn\.(?:bn|seqbn\.module)\.", r"bn\1."),
    (r"\bbn(\d)\.(?:bn|seqbn\.module)\.", r"bn\1."),
    (r"(downsample)\.layer\.module\.", r"\1.0."),
    (r"(downsample)\.bn\.(?:bn|seqbn\.module)\.", r"\1.1."),
    # TET's VGGSNN, then NDA's VGG-11.
    (r"(features\.\d+)\.fwd\.module\.", r"\1."),
    (r"(features\.\d+)\.ann_module\.", r"\1."),
    (r"classifier\.(?:0\.)?module\.", r"classifier."),
]


class _Target(NamedTuple):
    """Where a PyTorch tensor goes."""

    variable: Any
    shape: tuple[int, ...]  # The tensor's.
    turn: Callable[[np.ndarray], np.ndarray] = np.asarray


def load_torch_weights(
    model: TCLModel, state_dict: Mapping[str, Any]
) -> TCLModel:
    """Carries the weights of a PyTorch network into the same network here.

    Every tensor is placed by its position in the network, transposed as
    Keras needs it, and accounted for. Public code whose naming is known:

    | networks | code |
    | --- | --- |
    | `sew_resnet`, `spiking_resnet` | SpikingJelly 2.0, SEW-ResNet repository |
    | `resnet19`, `vggsnn` | TET |
    | `spiking_vgg11` | NDA |

    The `num_batches_tracked` counters have no counterpart in Keras and are
    ignored; so is the prefix that `torch.nn.DataParallel` adds. Neurons have
    no weights, so build the model with those of the public code, for example
    `LIF(decay=1.0, detach_reset=True, surrogate="atan")` for the SEW-ResNet
    repository.

    In all of this code, the weight of a normalization is the whole factor.
    For a model with `ThresholdDependentBatchNormalization` it is divided by
    `alpha * threshold`.

    Args:
        model: A model of `keras_tcl.models`. Its projection heads, if any,
            keep their weights.
        state_dict: Mapping from names to PyTorch tensors or NumPy arrays, as
            from `torch_model.state_dict()` or `torch.load(...)`.

    Returns:
        `model`, with the new weights.

    Raises:
        ValueError: If the state dict is of another network. The message lists
            all missing, unexpected and wrong-shaped tensors; the model is
            unchanged.

    Example:

    ```python
    checkpoint = torch.load("sew18_checkpoint.pth", map_location="cpu")
    model = keras_tcl.sew_resnet18((224, 224, 3), 1000, stem="imagenet")
    keras_tcl.models.load_torch_weights(model, checkpoint["model"])
    ```
    """
    given = _plain_names(state_dict)
    targets = _targets(model, given)
    missing = sorted(set(targets) - set(given))
    unexpected = sorted(set(given) - set(targets))
    wrong = [
        f"{name}: {given[name].shape} instead of {target.shape}"
        for name, target in targets.items()
        if name in given and given[name].shape != target.shape
    ]
    if missing or unexpected or wrong:
        raise ValueError(
            f"The state dict does not fit the model {model.name!r}, which is "
            f"unchanged. Missing: {missing}. Unexpected: {unexpected}. Wrong "
            f"shape: {wrong}. Build the model with the stages, widths, "
            "classes, stem and input shape of the PyTorch network. (Of a "
            "checkpoint, give the part that holds the weights, for example "
            'checkpoint["model"].)'
        )
    for name, target in targets.items():
        target.variable.assign(target.turn(given[name]))
    return model


def _plain_names(state_dict: Any) -> dict[str, np.ndarray]:
    """Arrays by the name they would have without the public code's wrappers."""
    if not isinstance(state_dict, Mapping):
        raise ValueError(
            "`state_dict` must map names to tensors, as "
            "`torch_model.state_dict()` does. Received: an object of type "
            f"{type(state_dict).__name__}."
        )
    parallel = all(str(name).startswith("module.") for name in state_dict)
    arrays: dict[str, np.ndarray] = {}
    for name, value in state_dict.items():
        plain = str(name).removeprefix("module." if parallel else "")
        if plain.endswith("num_batches_tracked"):
            continue
        for pattern, replacement in _WRAPPERS:
            plain = re.sub(pattern, replacement, plain)
        array = _to_numpy(value)
        if not np.array_equal(arrays.setdefault(plain, array), array):
            raise ValueError(
                f"The state dict holds {plain!r} more than once, with "
                f"different values, the last time as {name!r}. The model is "
                "unchanged."
            )
    return arrays


def _to_numpy(value: Any) -> np.ndarray:
    if not hasattr(value, "shape"):
        # Something else than weights, to be reported as unexpected.
        return np.empty((), dtype=object)
    if hasattr(value, "detach"):
        # A PyTorch tensor, whatever the backend: NumPy has no bfloat16.
        value = value.detach().cpu().float().numpy()
    return np.asarray(value, dtype="float32")


def _targets(model: TCLModel, given: Mapping[str, Any]) -> dict[str, _Target]:
    """What the model takes, by plain PyTorch name."""
    # TET's VGG counts units of convolution, normalization and neurons, NDA's
    # counts layers.
    units = not any(re.fullmatch(r"features\.\d+\.\w+", name) for name in given)
    targets = {}
    for name, layer in _convolutional_layers(model, units):
        if isinstance(layer, keras.layers.Conv2D):
            height, width, channels, filters = layer.kernel.shape
            targets[f"{name}.weight"] = _Target(
                layer.kernel,
                (filters, channels, height, width),
                lambda array: array.transpose(2, 3, 1, 0),
            )
            if layer.use_bias:
                targets[f"{name}.bias"] = _Target(layer.bias, (filters,))
        else:
            shape = tuple(layer.gamma.shape)
            factor = getattr(layer, "factor", 1.0)
            targets[f"{name}.weight"] = _Target(
                layer.gamma, shape, functools.partial(np.multiply, 1 / factor)
            )
            targets[f"{name}.bias"] = _Target(layer.beta, shape)
            targets[f"{name}.running_mean"] = _Target(layer.moving_mean, shape)
            targets[f"{name}.running_var"] = _Target(
                layer.moving_variance, shape
            )
    is_vgg = any(name.startswith("features.") for name in targets)
    (classifier,) = (
        layer for layer in model.network.layers if isinstance(layer, Classifier)
    )
    for number, layer in enumerate(classifier.dense_layers, start=1):
        name = "classifier" if is_vgg else "fc"
        name += str(number) if len(classifier.dense_layers) > 1 else ""
        turn = np.transpose
        if number == 1 and classifier.pooling == "flatten":
            turn = functools.partial(
                _turn_flattened, classifier.input.shape[2:]
            )
        targets[f"{name}.weight"] = _Target(
            layer.kernel, tuple(layer.kernel.shape)[::-1], turn
        )
        targets[f"{name}.bias"] = _Target(layer.bias, (layer.units,))
    return targets


def _convolutional_layers(
    model: TCLModel, units: bool
) -> Iterator[tuple[str, Any]]:
    """The layers that have weights, with their plain PyTorch names."""
    position = 0  # Among the features of a VGG.
    for outer in model.network.layers:
        layer = getattr(outer, "layer", outer)
        if isinstance(layer, keras.layers.AveragePooling2D):
            position += 1
        if not layer.weights or isinstance(layer, Classifier):
            continue
        normalizes = isinstance(layer, keras.layers.BatchNormalization)
        if found := re.fullmatch(r"stem_(conv|bn)", layer.name):
            yield f"{found[1]}1", layer
        elif found := re.fullmatch(
            r"stage(\d+)_block(\d+)_(\d)_(conv|bn)", layer.name
        ):
            block = f"layer{found[1]}.{int(found[2]) - 1}"
            if found[3] == "0":
                yield f"{block}.downsample.{int(normalizes)}", layer
            else:
                yield f"{block}.{found[4]}{found[3]}", layer
        elif re.fullmatch(r"stage\d+_\d+_(conv|bn)", layer.name):
            if units:
                yield f"features.{position}.{int(normalizes)}", layer
                position += normalizes
            else:
                yield f"features.{position}", layer
                position += 1 + normalizes
        else:
            raise ValueError(
                "`load_torch_weights` knows the models of "
                "`keras_tcl.models`. Received: "
                f"a model whose network has a layer {layer.name!r}."
            )


def _turn_flattened(shape: tuple[int, ...], array: np.ndarray) -> np.ndarray:
    """PyTorch flattens [channels, height, width], Keras has channels last."""
    height, width, channels = shape
    array = array.reshape(-1, channels, height, width)
    return array.transpose(2, 3, 1, 0).reshape(height * width * channels, -1)
