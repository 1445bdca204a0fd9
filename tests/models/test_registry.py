"""A sweep over all networks: a new one is tested by being listed."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import models
from keras_tcl.layers import LIF, Classifier
from keras_tcl.losses import TCL
from keras_tcl.models import registry
from tests.models.tiny import classifier_of

# Trained parameters for ten classes. Counted in public PyTorch code: the
# ResNets are those of CIFAR with a 3x3 stem (11.17 M, 21.28 M), ResNet-19 the
# one for which papers report 12.63 M, VGGSNN TET's, VGG-11 that of NDA. Of the
# small ResNets, He et al. report 0.27 M for 20 layers, without convolutions in
# the two shortcuts that change shape; those have 2,752 of the 272,474.
PARAMETERS = {
    "resnet19": 12_630_858,
    "sew_resnet8": 78_042,
    "sew_resnet14": 175_258,
    "sew_resnet18": 11_173_962,
    "sew_resnet20": 272_474,
    "sew_resnet34": 21_282_122,
    "spiking_resnet18": 11_173_962,
    "spiking_resnet34": 21_282_122,
    "spiking_vgg11": 9_231_114,
    "vggsnn": 9_271_498,
}


def narrow_resnet19(classes=3, **kwargs):
    return models.spiking_resnet(
        [1, 1],
        [4, 4],
        classes=classes,
        normalization="batch",
        stem_filters=2,
        # So few features that a threshold of 1 would never be reached.
        classifier=Classifier(
            classes, hidden_units=[4], neuron=LIF(threshold=0.01)
        ),
        **kwargs,
    )


def narrow_sew_resnet(**kwargs):
    return models.sew_resnet([1, 1], [4, 4], **kwargs)


def narrow_spiking_resnet(**kwargs):
    return models.spiking_resnet([1, 1], [4, 4], **kwargs)


def narrow_vgg11(**kwargs):
    return models.spiking_vgg([[4], [4, 4]], **kwargs)


def narrow_vggsnn(**kwargs):
    return models.spiking_vgg([[4], [4, 4]], pooling="flatten", **kwargs)


# The same network with few and narrow stages, fast to compile.
NARROW = {
    "resnet19": narrow_resnet19,
    "sew_resnet8": narrow_sew_resnet,
    "sew_resnet14": narrow_sew_resnet,
    "sew_resnet18": narrow_sew_resnet,
    "sew_resnet20": narrow_sew_resnet,
    "sew_resnet34": narrow_sew_resnet,
    "spiking_resnet18": narrow_spiking_resnet,
    "spiking_resnet34": narrow_spiking_resnet,
    "spiking_vgg11": narrow_vgg11,
    "vggsnn": narrow_vggsnn,
}
NAMES = models.list_models()
BUILDERS = list(dict.fromkeys(NARROW[name] for name in NAMES))


def sample(count=4, shape=(8, 8, 3), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape)).astype("uint8")


# --- Full size ---------------------------------------------------------------


def test_list_names_public_functions():
    assert NAMES == sorted(PARAMETERS) == sorted(NARROW)
    for name in NAMES:
        assert name in models.__all__
        arguments = list(inspect.signature(getattr(models, name)).parameters)
        assert arguments[:4] == [
            "input_shape",
            "classes",
            "timesteps",
            "weights",
        ]


@pytest.mark.usefixtures("no_initialization")
@pytest.mark.parametrize("name", NAMES)
def test_full_size(name):
    model = models.create_model(name, classes=17, timesteps=2)
    assert model.name == name
    assert model.network.output["stage1"].shape[1] == 2
    # Seven classes more than those counted, each with weights and a bias.
    features = classifier_of(model).dense_layers[-1].kernel.shape[0]
    expected = PARAMETERS[name] + 7 * (features + 1)
    assert models.count_parameters(model) == expected


@pytest.mark.parametrize("name", NAMES)
def test_refuses_inputs_that_are_too_small(name):
    with pytest.raises(ValueError, match="must be at least"):
        models.create_model(name, input_shape=(3, 32, 3))


@pytest.mark.usefixtures("no_initialization")
def test_macs_of_known_networks():
    # 0.56 G is what is reported for ResNet-18 at 32x32, 1.82 G at 224x224.
    model = models.sew_resnet18()
    assert models.count_macs(model) == 555_422_720
    model = models.sew_resnet18((224, 224, 3), 1000, stem="imagenet")
    assert models.count_macs(model) == 1_814_073_344
    assert models.count_parameters(model) == 11_689_512


def test_unknown_name():
    with pytest.raises(ValueError, match="there are .*'vggsnn'.*'resnet20'"):
        models.create_model("resnet20")


def test_table(monkeypatch):
    monkeypatch.setattr(registry, "_MODELS", {"tiny": narrow_sew_resnet})
    table = models.model_table(input_shape=(8, 8, 3))
    assert table.splitlines()[2:] == [
        "| `tiny` | 8x8x3 | 0.00 M | 0 M | 8x8x4, 4x4x4 |"
    ]


# --- Narrow ------------------------------------------------------------------


@pytest.mark.parametrize("build", BUILDERS)
def test_train_predict_save(build, tmp_path):
    model = build(input_shape=(8, 8, 3), classes=3, timesteps=2)
    model.compile("sgd", TCL())
    x, y = sample(), np.array([0, 1, 2, 0])
    before = {
        v.path: ops.convert_to_numpy(v.value).copy() for v in weights(model)
    }
    logs = model.train_on_batch(x, y, return_dict=True)
    assert np.isfinite(logs["loss"])
    for v in weights(model):
        if not v.path.endswith("conv/bias"):  # Without effect on the output.
            assert (ops.convert_to_numpy(v.value) != before[v.path]).any(), (
                v.path
            )
    steps = model.predict_timesteps(x)
    assert steps.shape == (4, 2, 3)

    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    copy.timesteps = 1
    np.testing.assert_allclose(
        copy.predict_timesteps(x), steps[:, :1], atol=1e-5
    )


def weights(model):
    return model.network.trainable_variables


@pytest.mark.parametrize("build", BUILDERS)
def test_event_frames_of_any_length(build):
    model = build(input_shape=(None, 8, 8, 2), classes=3, timesteps=2)
    rng = np.random.default_rng(0)
    x = rng.poisson(1.0, (2, 3, 8, 8, 2)).astype("float32")
    assert model.predict_timesteps(x).shape == (2, 3, 3)
