"""Weights of PyTorch networks: names, layouts, and what is refused.

That converted networks compute the same is in `test_parity.py`. Here the
names are those which the public code's own modules give their tensors.
"""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import models
from keras_tcl.layers import Classifier
from tests.models.tiny import classifier_of

pytestmark = pytest.mark.usefixtures("no_initialization")
GOLDEN = Path(__file__).parent / "golden"


def state_of(name):
    golden = np.load(GOLDEN / f"{name}.npz")
    return {
        key.removeprefix("state/"): golden[key]
        for key in golden.files
        if key.startswith("state/")
    }


def sew_resnet(**kwargs):
    settings = {"input_shape": (16, 16, 3), "classes": 5, **kwargs}
    return models.sew_resnet([2, 1], [8, 12], **settings)


def resnet19():
    return models.spiking_resnet(
        [1, 1, 1],
        [12, 16, 20],
        (12, 12, 3),
        5,
        stem_filters=8,
        normalization="batch",
        classifier=Classifier(5, hidden_units=[24]),
    )


def vggsnn():
    return models.spiking_vgg(
        [[8, 8], [12], [16]], (None, 16, 24, 2), 5, pooling="flatten"
    )


def vgg11():
    return models.spiking_vgg([[4], [6, 6]], (8, 8, 3), 5)


def values(model):
    return [
        ops.convert_to_numpy(v.value).copy() for v in model.network.variables
    ]


def assert_same(model, other):
    for a, b in zip(values(model), values(other), strict=True):
        np.testing.assert_array_equal(a, b)


def renamed(state, *rules):
    """The state dict under the names that other code would give it."""
    result = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        result[name] = value
    return result


# --- Layout ------------------------------------------------------------------


def test_every_tensor_arrives():
    state = state_of("sew_resnet")
    model = models.load_torch_weights(sew_resnet(), state)
    total = sum(
        value.size
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    )
    assert sum(value.size for value in values(model)) == total
    sums = [value.sum(dtype="float64") for value in values(model)]
    expected = [
        value.sum(dtype="float64")
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    ]
    np.testing.assert_allclose(sorted(sums), sorted(expected), rtol=1e-5)


def test_convolution_kernels_are_transposed():
    state = state_of("sew_resnet")
    model = models.load_torch_weights(sew_resnet(), state)
    kernel = model.network.get_layer("stage2_block1_1_conv").layer.kernel
    weight = state["layer2.0.conv1.weight"]
    assert weight.shape == (12, 8, 3, 3)
    kernel = ops.convert_to_numpy(kernel.value)
    assert kernel[1, 2, 5, 7] == weight[7, 5, 1, 2]


def test_flattened_features_are_reordered():
    state = state_of("vggsnn")
    model = models.load_torch_weights(vggsnn(), state)
    # 16 channels of 2 x 3 positions: [channel, row, column] in PyTorch.
    weight = state["classifier.module.weight"].reshape(5, 16, 2, 3)
    kernel = ops.convert_to_numpy(
        classifier_of(model).dense_layers[0].kernel.value
    )
    kernel = kernel.reshape(2, 3, 16, 5)
    assert kernel[1, 2, 9, 4] == weight[4, 9, 1, 2]


def test_threshold_dependent_normalization_divides_gamma():
    state = state_of("spiking_resnet")
    model = models.spiking_resnet([2, 1], [8, 12], (16, 16, 3), 5)
    models.load_torch_weights(model, state)
    for name, key, factor in (
        ("stage2_block1_1_bn", "layer2.0.bn1", 1.0),
        ("stage2_block1_2_bn", "layer2.0.bn2", 0.5**0.5),
        ("stage2_block1_0_bn", "layer2.0.downsample.1", 0.5**0.5),
    ):
        gamma = model.network.get_layer(name).layer.gamma
        np.testing.assert_allclose(
            ops.convert_to_numpy(gamma.value) * factor,
            state[f"{key}.weight"],
            rtol=1e-6,
        )


def test_projection_heads_keep_their_weights():
    from keras_tcl.losses import TCL

    model = sew_resnet()
    model.compile("sgd", TCL())
    head = ops.convert_to_numpy(model.heads["stage1"].weights[0].value).copy()
    models.load_torch_weights(model, state_of("sew_resnet"))
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.heads["stage1"].weights[0].value), head
    )


# --- Names -------------------------------------------------------------------


def test_names_of_the_sew_resnet_repository():
    state = state_of("sew_resnet")
    container = renamed(
        state,
        (r"(layer\d\.\d\.conv\d)\.", r"\1.module.0."),
        (r"(layer\d\.\d\.)bn(\d)\.", r"\1conv\2.module.1."),
        (r"downsample\.(\d)\.", r"downsample.0.module.\1."),
    )
    assert "layer2.0.downsample.0.module.1.running_var" in container
    assert_same(
        models.load_torch_weights(sew_resnet(), container),
        models.load_torch_weights(sew_resnet(), state),
    )


def test_names_of_the_spiking_resnet_in_the_sew_resnet_repository():
    state = state_of("spiking_resnet")
    container = renamed(
        state,
        (r"(layer\d\.\d\.conv\d)\.", r"\1.module.0."),
        (r"(layer\d\.\d\.)bn(\d)\.", r"\1conv\2.module.1."),
        (r"downsample\.(\d)\.", r"downsample.module.\1."),
    )
    settings = ([2, 1], [8, 12], (16, 16, 3), 5)
    assert_same(
        models.load_torch_weights(models.spiking_resnet(*settings), container),
        models.load_torch_weights(models.spiking_resnet(*settings), state),
    )


def tet_names(state):
    """All names under which TET's ResNet-19 registers each tensor."""
    result = {}
    for name, value in state.items():
        module, _, parameter = name.rpartition(".")
        stem, _, last = module.rpartition(".")
        stem += "." if stem else ""
        if last.startswith("bn"):
            number = last[2:]
            prefixes = [
                f"{stem}{last}.bn",
                f"{stem}{last}.seqbn.module",
                f"{stem}conv{number}_s.bn.bn",
                f"{stem}conv{number}_s.bn.seqbn.module",
            ]
        elif stem.endswith("downsample.") and last == "0":
            prefixes = [f"{stem}layer.module"]
        elif stem.endswith("downsample."):
            prefixes = [f"{stem}bn.bn", f"{stem}bn.seqbn.module"]
        else:
            prefixes = [module, f"{module}_s.layer.module"]
        result.update({f"{p}.{parameter}": value for p in prefixes})
    return result


def test_names_of_tets_resnet19():
    state = state_of("resnet19")
    names = tet_names(state)
    assert "layer1.0.conv2_s.bn.seqbn.module.running_mean" in names
    assert "layer2.0.downsample.bn.bn.weight" in names
    assert "fc1_s.layer.module.bias" in names
    assert_same(
        models.load_torch_weights(resnet19(), names),
        models.load_torch_weights(resnet19(), state),
    )


def test_names_for_one_tensor_must_agree():
    names = tet_names(state_of("resnet19"))
    names["bn1.bn.weight"] = names["bn1.bn.weight"] + 1
    with pytest.raises(ValueError, match="'bn1.weight' more than once"):
        models.load_torch_weights(resnet19(), names)


def nda_state():
    rng = np.random.default_rng(0)
    state = {}
    # 4, pool, 6, 6: a convolution is followed by normalization and neurons.
    for index, channels, filters in ((0, 3, 4), (4, 4, 6), (7, 6, 6)):
        convolution = f"features.{index}.ann_module"
        state[f"{convolution}.weight"] = rng.random((filters, channels, 3, 3))
        state[f"{convolution}.bias"] = rng.random(filters)
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"features.{index + 1}.{name}"] = rng.random(filters)
        state[f"features.{index + 1}.num_batches_tracked"] = np.int64(7)
    state["classifier.0.module.weight"] = rng.random((5, 6))
    state["classifier.0.module.bias"] = rng.random(5)
    return state


def test_names_of_ndas_vgg11():
    state = nda_state()
    model = models.load_torch_weights(vgg11(), state)
    layer = model.network.get_layer("stage2_2_bn").layer
    for variable, name in (
        (layer.gamma, "weight"),
        (layer.beta, "bias"),
        (layer.moving_mean, "running_mean"),
        (layer.moving_variance, "running_var"),
    ):
        np.testing.assert_allclose(
            ops.convert_to_numpy(variable.value),
            state[f"features.8.{name}"],
            rtol=1e-6,
        )


def test_the_prefix_of_data_parallel_is_dropped():
    state = state_of("sew_resnet")
    parallel = {f"module.{name}": value for name, value in state.items()}
    assert_same(
        models.load_torch_weights(sew_resnet(), parallel),
        models.load_torch_weights(sew_resnet(), state),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_takes_pytorch_tensors(dtype):
    torch = pytest.importorskip("torch")
    state = state_of("sew_resnet")
    tensors = {
        name: torch.tensor(value, requires_grad=value.dtype.kind == "f")
        for name, value in state.items()
    }
    if dtype != "float32":
        tensors = {k: v.to(getattr(torch, dtype)) for k, v in tensors.items()}
    model = models.load_torch_weights(sew_resnet(), tensors)
    expected = values(models.load_torch_weights(sew_resnet(), state))
    for a, b in zip(values(model), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2 if "b" in dtype else 1e-7)


# --- What is refused ---------------------------------------------------------


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


def refused(model, state):
    """The message; the model must be as it was."""
    before = values(model)
    with pytest.raises(ValueError, match="unchanged") as caught:
        models.load_torch_weights(model, state)
    for old, new in zip(before, values(model), strict=True):
        np.testing.assert_array_equal(old, new)
    return str(caught.value)


def test_lists_what_is_missing():
    state = without(state_of("sew_resnet"), "layer1.1.bn2.running_var")
    state = without(state, "fc.bias")
    message = refused(sew_resnet(), state)
    assert "Missing: ['fc.bias', 'layer1.1.bn2.running_var']" in message
    assert "Unexpected: []. Wrong shape: []" in message


def test_lists_what_is_unexpected():
    state = {**state_of("sew_resnet"), "head.weight": np.zeros(3)}
    message = refused(sew_resnet(), state)
    assert "Missing: []. Unexpected: ['head.weight']" in message


def test_lists_wrong_shapes():
    message = refused(sew_resnet(classes=7), state_of("sew_resnet"))
    assert "fc.weight: (5, 12) instead of (7, 12)" in message
    assert "fc.bias: (5,) instead of (7,)" in message


def test_a_deeper_network():
    model = models.sew_resnet([2, 2], [8, 12], (16, 16, 3), 5)
    message = refused(model, state_of("sew_resnet"))
    assert "'layer2.1.conv1.weight'" in message


def test_another_family():
    message = refused(vggsnn(), state_of("sew_resnet"))
    assert "'classifier.weight'" in message
    assert "'layer1.0.bn1.bias'" in message


def test_another_input_size_of_a_flattened_vgg():
    model = models.spiking_vgg(
        [[8, 8], [12], [16]], (None, 24, 24, 2), 5, pooling="flatten"
    )
    message = refused(model, state_of("vggsnn"))
    assert "classifier.weight: (5, 96) instead of (5, 144)" in message


def test_a_checkpoint_that_holds_more_than_weights():
    checkpoint = {"model": state_of("sew_resnet"), "epoch": 3}
    message = refused(sew_resnet(), checkpoint)
    assert "Unexpected: ['epoch', 'model']" in message
    assert 'checkpoint["model"]' in message


def test_an_empty_state_dict():
    assert "'conv1.weight'" in refused(sew_resnet(), {})


@pytest.mark.parametrize("state_dict", [None, "weights.pth", [np.zeros(3)]])
def test_something_else_than_a_state_dict(state_dict):
    with pytest.raises(ValueError, match="`state_dict` must map names"):
        models.load_torch_weights(sew_resnet(), state_dict)


def test_a_backbone_of_ones_own():
    inputs = keras.Input((3, 8, 8, 2))
    layer = keras.layers.TimeDistributed(keras.layers.Conv2D(4, 3), name="mine")
    backbone = keras.Model(inputs, {"stage1": layer(inputs)})
    model = models.TCLModel(backbone, 5)
    with pytest.raises(ValueError, match="knows the models of"):
        models.load_torch_weights(model, state_of("sew_resnet"))
