import keras
import numpy as np
import pytest

from keras_tcl import graph
from keras_tcl.layers import LIF, PLIF, Classifier
from tests.kernels import reference
from tests.kernels.reference import to_numpy
from tests.layer_checks import run_layer_checks

SHAPE = (2, 4, 2, 3, 5)


def features(seed=0):
    return np.random.default_rng(seed).uniform(0, 4, SHAPE).astype("float32")


def test_layer(tmp_path):
    run_layer_checks(
        Classifier,
        {
            "classes": 4,
            "pooling": "flatten",
            "hidden_units": [4],
            "neuron": LIF(threshold=0.25),
        },
        (2, 3, 1, 1, 4),
        (2, 3, 4),
        expected_weights=4,
        folder=tmp_path,
    )


def pooled(x, pooling):
    return x.mean((2, 3)) if pooling == "average" else x.reshape(2, 4, -1)


@pytest.mark.parametrize("pooling", ["average", "flatten"])
def test_logits_of_every_step(pooling):
    x = features()
    classifier = Classifier(3, pooling)
    classifier.build(SHAPE)
    classifier.weights[1].assign([1.0, 2.0, 3.0])
    kernel, bias = map(to_numpy, classifier.weights)
    np.testing.assert_allclose(
        to_numpy(classifier(x)),
        pooled(x, pooling) @ kernel + bias,
        rtol=1e-4,
        atol=1e-5,
    )


def test_hidden_layers_spike():
    x = features()
    settings = {"decay": 0.25, "threshold": 0.5, "reset": "soft"}
    classifier = Classifier(
        3, "flatten", hidden_units=[8, 8], neuron=LIF(**settings)
    )
    classifier.build(SHAPE)
    for weight in classifier.weights:  # Large enough for some to fire.
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    logits = to_numpy(classifier(x))
    kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = map(
        to_numpy, classifier.weights
    )
    current = pooled(x, "flatten") @ kernel_1 + bias_1
    _, spikes_1 = reference.lif(current, **settings)
    _, spikes_2 = reference.lif(spikes_1 @ kernel_2 + bias_2, **settings)
    for spikes in (spikes_1, spikes_2):
        assert 0 < spikes.mean() < 1
    np.testing.assert_allclose(
        logits, spikes_2 @ kernel_3 + bias_3, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("pooling", ["average", "flatten"])
def test_walk_visits_dense_layers_and_neurons(pooling):
    x = features()
    classifier = Classifier(3, pooling, [8, 6], LIF(threshold=0.125))
    expected = to_numpy(classifier(x, training=False))
    seen = []

    def visit(layer, x):
        seen.append((layer.name, tuple(x.shape)))
        return layer(x, training=False)

    np.testing.assert_array_equal(
        to_numpy(classifier.walk(keras.ops.convert_to_tensor(x), visit)),
        expected,
    )
    names, shapes = zip(*seen, strict=True)
    assert names == (
        "dense_1",
        "dense_1_spike",
        "dense_2",
        "dense_2_spike",
        "dense_3",
    )
    pooled_features = 5 if pooling == "average" else 30
    assert [shape[-1] for shape in shapes] == [pooled_features, 8, 8, 6, 6]


@pytest.mark.parametrize("pooling", ["average", "flatten"])
def test_walk_makes_a_graph_of_the_same_layers(pooling):
    classifier = Classifier(3, pooling, [8], PLIF())
    expected = to_numpy(classifier(features()))
    inputs = keras.Input(SHAPE[1:])
    network = keras.Model(inputs, classifier.walk(inputs, graph.call))
    np.testing.assert_array_equal(to_numpy(network(features())), expected)
    outer = keras.Model(inputs, classifier(inputs))
    assert [layer.name for layer in graph.layers(outer)][-3:] == [
        "dense_1",
        "dense_1_spike",
        "dense_2",
    ]


def test_neurons_may_have_weights_or_be_any_layer(tmp_path):
    for neuron, weights in ((PLIF(), 5), (keras.layers.ReLU(), 4)):
        inputs = keras.Input(SHAPE[1:])
        model = keras.Model(
            inputs, Classifier(3, hidden_units=[4], neuron=neuron)(inputs)
        )
        assert len(model.trainable_weights) == weights
        model.save(tmp_path / "model.keras")
        revived = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(
            to_numpy(revived(features())), to_numpy(model(features()))
        )


def test_starts_as_pytorch_does():
    classifier = Classifier(200)
    classifier.build((None, 4, 2, 2, 64))
    kernel, bias = map(to_numpy, classifier.weights)
    # Uniform in +-1/sqrt(inputs).
    assert np.abs(kernel).max() <= 1 / 8
    assert np.abs(kernel).max() > 0.99 / 8
    np.testing.assert_allclose(kernel.std(), 1 / 8 / np.sqrt(3), rtol=0.02)
    np.testing.assert_array_equal(bias, 0.0)


def test_training_flag_reaches_the_neurons():
    seen = []

    class Spy(LIF):
        def call(self, inputs, training=None):
            seen.append(training)
            return super().call(inputs, training=training)

    classifier = Classifier(3, hidden_units=[4], neuron=Spy())
    for training in (True, False):
        classifier(features(), training=training)
    assert seen == [True, False]


def test_neurons_are_copies_in_the_classifiers_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    neuron = LIF(decay=0.125)
    classifier = Classifier(
        3, hidden_units=[4, 4], neuron=neuron, dtype="float32"
    )
    for copy in classifier.neurons:
        assert copy is not neuron
        assert copy.decay == 0.125
        assert copy.compute_dtype == "float32"
    revived = Classifier.from_config(classifier.get_config())
    assert [copy.decay for copy in revived.neurons] == [0.125, 0.125]


def test_takes_maps_of_any_size():
    y = Classifier(3)(keras.Input((4, None, None, 5)))
    assert y.shape == (None, 4, 3)
    assert Classifier(3, "flatten")(keras.Input(SHAPE[1:])).shape == (
        None,
        4,
        3,
    )


# --- Errors ------------------------------------------------------------------


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"classes": 0}, "`classes` must be an integer.*classes=0"),
        ({"classes": 2.5}, "classes=2.5"),
        ({"classes": True}, "classes=True"),
        ({"pooling": "max"}, "`pooling` must.*'flatten'.*pooling='max'"),
        ({"hidden_units": [8, 0]}, "`hidden_units` must.*hidden_units=.8, 0"),
        ({"hidden_units": 8}, "sequence of.*hidden_units=8"),
        ({"hidden_units": 0}, "sequence of.*hidden_units=0"),
        ({"neuron": "lif"}, "`neuron` must be a layer.*neuron='lif'"),
    ],
    ids=str,
)
def test_refuses_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Classifier(**{"classes": 3, **kwargs})


@pytest.mark.parametrize("shape", [(2, 5), (2, 4, 5), (2, 2, 2, 5)])
def test_refuses_other_ranks(shape):
    with pytest.raises(ValueError, match=r"\[B, T, h, w, c\].*shape \(2, "):
        Classifier(3)(np.zeros(shape))


def test_refuses_to_flatten_maps_of_unknown_size():
    with pytest.raises(ValueError, match=r'"flatten".*None.*"average"'):
        Classifier(3, "flatten")(keras.Input((4, None, None, 5)))
