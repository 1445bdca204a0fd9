"""A network: made of a backbone, named stage, without a trainer, refused."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl import graph, models
from keras_tcl.layers import LIF, Classifier, DirectEncoding, EachStep
from tests.models import tiny


def backbone(names=("zebra", "ant"), **kwargs):
    """Two stages, the last of which comes first in the alphabet."""
    inputs = keras.Input((8, 8, 3), **kwargs)
    x = DirectEncoding(4)(inputs)
    stages = {}
    for filters, name in enumerate(names, start=2):
        convolution = keras.layers.Conv2D(filters, 3)
        x = LIF(name=f"{name}_spike")(EachStep(convolution)(x))
        stages[name] = x
    return keras.Model(inputs, stages)


def features_of(network):
    (dense,) = network.get_layer("classifier").dense_layers
    return dense.kernel.shape[0]


def test_the_last_stage_given_is_classified():
    network = models.classification_network(backbone(), 5)
    assert features_of(network) == 3
    assert list(graph.outputs(network)) == ["zebra", "ant", "logits"]
    assert network.output["logits"].shape == (None, 4, 5)
    assert features_of(keras_tcl.TCLModel(backbone(), 5).network) == 3


def test_or_the_stage_that_is_named():
    network = models.classification_network(backbone(), 5, stage="zebra")
    assert features_of(network) == 2
    model = keras_tcl.TCLModel(network)
    assert model.classes == 5
    assert model.embedding_stages == ["zebra", "ant"]
    with pytest.raises(ValueError, match="'zebra', 'ant'.*stage='bee'"):
        models.classification_network(backbone(), 5, stage="bee")


def test_all_layers_are_those_of_one_graph():
    network = models.classification_network(backbone(), 5)
    names = [layer.name for layer in network.layers]
    assert names[:2] == ["inputs", "rescaling"] and names[-1] == "classifier"
    assert "zebra_spike" in names
    assert not any(isinstance(x, keras.Model) for x in network.layers)


def test_a_classifier_of_ones_own():
    mine = Classifier(5, hidden_units=[7], name="mine")
    network = models.classification_network(backbone(), 5, classifier=mine)
    assert network.get_layer("mine") is mine


def test_pixels_are_rescaled_and_frames_are_not():
    network = models.classification_network(
        backbone(), 2, value_range=(-1, 3), mean=(0.1, 0.2, 0.3), std=0.5
    )
    x = np.random.default_rng(0).uniform(-1, 3, (2, 8, 8, 3)).astype("float32")
    expected = ((x + 1) / 4 - (0.1, 0.2, 0.3)) / 0.5
    rescaled = network.get_layer("rescaling")(x)
    np.testing.assert_allclose(
        ops.convert_to_numpy(rescaled), expected, atol=1e-5
    )
    frames = keras.Input((4, 8, 8, 2))
    events = keras.Model(frames, {"stage1": LIF()(frames)})
    names = [x.name for x in models.classification_network(events, 2).layers]
    assert "rescaling" not in names


def test_a_network_without_a_trainer():
    for draw in (models.sew_resnet18, models.create_model):
        assert callable(draw)
    network = keras_tcl.sew_resnet.network([1], [4], input_shape=(8, 8, 3))
    assert type(network).__name__ == "Functional"
    assert list(graph.outputs(network)) == ["stage1", "logits"]
    model = keras_tcl.TCLModel(network, augmenter=None)
    x = tiny.images(3, (8, 8, 3))[0]
    np.testing.assert_allclose(
        ops.convert_to_numpy(network(x)["logits"]),
        model.predict_timesteps(x),
        atol=1e-6,
    )
    assert model.network is network


def test_order_of_stages_survives_a_file(tmp_path):
    model = keras_tcl.TCLModel(backbone(), 5, augmenter=None)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert list(loaded.stages) == ["zebra", "ant"]
    x = tiny.images(3, (8, 8, 3))[0]
    np.testing.assert_allclose(
        loaded.predict_timesteps(x), model.predict_timesteps(x), atol=1e-6
    )


def test_summary_shows_the_spiking_layers(capsys):
    tiny.network().summary(line_length=120)
    printed = capsys.readouterr().out
    for name in ("rescaling", "stem_spike", "stage2_block1_out", "classifier"):
        assert name in printed


def logits_alone():
    x = keras.Input((3, 8, 8, 2))
    return keras.Model(x, keras.ops.mean(x, axis=(2, 3)))


def two_inputs():
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    x = DirectEncoding(2)(a + b)
    return keras.Model([a, b], {"a": x, "logits": ops.mean(x, axis=(2, 3))})


@pytest.mark.parametrize(
    "network",
    [backbone, logits_alone, two_inputs, lambda: None, lambda: "sew_resnet18"],
)
def test_refuses_what_is_no_network(network):
    with pytest.raises(ValueError, match="`network` must be a functional"):
        keras_tcl.TCLModel(network())


@pytest.mark.parametrize("given", [logits_alone, lambda: None])
def test_refuses_what_is_no_backbone(given):
    with pytest.raises(ValueError, match="whose outputs are a dictionary"):
        keras_tcl.TCLModel(given(), 5)


def test_a_network_without_stages_trains_without_contrast():
    inputs = keras.Input((3, 8, 8, 2))
    logits = Classifier(3)(LIF(threshold=0.1)(inputs))
    model = keras_tcl.TCLModel(keras.Model(inputs, {"logits": logits}))
    model.compile("sgd", keras_tcl.losses.TET())
    x, y = tiny.recordings(4)
    assert np.isfinite(model.train_on_batch(x, y)).all()
    with pytest.raises(ValueError, match="there are none"):
        model.compile("sgd", keras_tcl.losses.TCL())


class Own(keras.Model):
    def __init__(self):
        inputs = keras.Input((3, 8, 8, 2))
        super().__init__(inputs, {"logits": Classifier(3)(inputs)})

    def call(self, inputs):
        return super().call(inputs)


def test_refuses_a_network_with_a_call_of_its_own():
    with pytest.raises(ValueError, match="a `call` of its own"):
        keras_tcl.TCLModel(Own())


def test_refuses_a_second_classifier():
    network = models.classification_network(backbone(), 5)
    with pytest.raises(ValueError, match="leave `classes` out"):
        keras_tcl.TCLModel(network, 5)
