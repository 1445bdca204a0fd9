"""What Keras' users expect of any model: parts of others, dtypes, names."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl import graph
from keras_tcl.layers import LIF, Neuron, PixelNormalization
from keras_tcl.losses import TCL
from tests.models import tiny

BACKEND = keras.config.backend()
EAGER = BACKEND == "tensorflow"


def values_of(variables):
    return [ops.convert_to_numpy(v.value).copy() for v in variables]


# --- A model as a part of others --------------------------------------------


def functional(model):
    start = keras.Input(model.sample_shape)
    return keras.Model(start, keras.layers.Softmax()(model(start)))


def sequential(model):
    return keras.Sequential([model, keras.layers.Softmax()])


@pytest.mark.parametrize("embed", [functional, sequential])
def test_within_another_model_it_trains_predicts_and_is_saved(embed, tmp_path):
    model = tiny.network()
    whole = embed(model)
    x, y = tiny.images()
    logits = model.predict(x, verbose=0)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(whole.predict(x, verbose=0), expected, atol=1e-5)
    whole.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        run_eagerly=EAGER,
    )
    before = values_of(whole.trainable_variables)
    assert len(before) == len(model.trainable_variables)
    whole.fit(x, y, verbose=0)
    for variable, value in zip(whole.trainable_variables, before, strict=True):
        assert (ops.convert_to_numpy(variable.value) != value).any(), (
            variable.path
        )
    path = tmp_path / "whole.keras"
    whole.save(path)
    np.testing.assert_allclose(
        keras.models.load_model(path).predict(x, verbose=0),
        whole.predict(x, verbose=0),
        atol=1e-5,
    )


def test_within_another_model_the_shape_is_checked():
    with pytest.raises(ValueError, match="built for samples"):
        tiny.network()(keras.Input((9, 8, 1)))


def test_two_models_in_one():
    model, other = tiny.network(), tiny.network(name="other")
    start = keras.Input(model.sample_shape)
    both = keras.layers.Average()([model(start), other(start)])
    x, _ = tiny.images(4)
    np.testing.assert_allclose(
        keras.Model(start, both).predict(x, verbose=0),
        (model.predict(x, verbose=0) + other.predict(x, verbose=0)) / 2,
        atol=1e-5,
    )


# --- Inputs, outputs and layers by name --------------------------------------


def test_inputs_and_outputs():
    model = tiny.network()
    assert model.input_shape == (None, 8, 8, 1)
    assert model.output_shape == (None, tiny.CLASSES)
    assert [t.shape for t in model.inputs] == [model.input_shape]
    assert [t.shape for t in model.outputs] == [model.output_shape]
    x, _ = tiny.images(4)
    np.testing.assert_allclose(
        keras.Model(model.input, model.output).predict(x, verbose=0),
        model.predict(x, verbose=0),
        atol=1e-5,
    )
    events = tiny.network(input_shape=(3, 8, 8, 2))
    assert events.input_shape == (None, 3, 8, 8, 2)


def test_features_of_a_layer_by_its_name():
    model = tiny.network()
    layer = model.get_layer("stage1_block1_out")
    features = keras.Model(model.inputs, layer.output)
    x, _ = tiny.images(4)
    np.testing.assert_array_equal(
        features.predict(x, verbose=0),
        model.network.predict(x, verbose=0)["stage1"],
    )
    assert isinstance(model.get_layer("stem_spike"), LIF)
    assert model.get_layer("classifier") is tiny.classifier_of(model)
    assert model.get_layer("dense_1").units == tiny.CLASSES
    assert model.get_layer(index=0) is model.network


def test_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="No such layer: stem.*'stem_spike'"):
        tiny.network().get_layer("stem")


def test_summary_shows_the_neurons(capsys):
    tiny.network().summary()
    assert "stem_spike (LIF)" in capsys.readouterr().out


# --- Precision ----------------------------------------------------------------


# JAX has no float64 unless it is asked for, and says so.
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype:UserWarning")
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_dtype_reaches_every_layer(policy, tmp_path):
    model = tiny.network(dtype=policy, neuron=LIF(decay=0.3))
    wanted = policy.removeprefix("mixed_")
    assert model.compute_dtype == wanted
    exact = (PixelNormalization, keras.layers.Dense)
    for layer in graph.layers(model.network, keras.layers.Layer):
        expected = "float32" if isinstance(layer, exact) else wanted
        inner = getattr(layer, "layer", layer)
        assert (layer.compute_dtype, inner.compute_dtype) == (expected,) * 2
    assert keras.config.dtype_policy().name == "float32"
    model.compile("sgd", TCL(), run_eagerly=EAGER)
    assert {h.compute_dtype for h in model.heads.values()} == {wanted}
    x, y = tiny.images(4)
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    neurons = graph.layers(copy.network, Neuron)
    assert {layer.compute_dtype for layer in neurons} == {wanted}
    np.testing.assert_allclose(
        copy.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-2
    )


def test_dtype_of_a_drawn_network_cannot_be_changed():
    network = keras_tcl.sew_resnet.network([1], [4], (8, 8, 3))
    with pytest.raises(ValueError, match=r"compute in float32.*sew_resnet18\("):
        keras_tcl.TCLModel(network, dtype="mixed_bfloat16")
    assert keras_tcl.TCLModel(network, dtype="float32").classes == 10
    # The default policy of the day is not that of a network drawn before.
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert keras_tcl.TCLModel(network).compute_dtype == "float32"


def test_a_policy_that_fails_leaves_keras_as_it_was():
    with pytest.raises(ValueError):
        tiny.network(dtype="mixed_bfloat16", timesteps=0)
    assert keras.config.dtype_policy().name == "float32"


# --- Inputs by name -----------------------------------------------------------


def test_a_dictionary_of_inputs():
    model = tiny.network(augmenter=None)
    model.compile(keras.optimizers.SGD(0.0), TCL(), run_eagerly=EAGER)
    x, y = tiny.images(6)
    named = {"inputs": x}
    plain = model.fit(x, y, validation_data=(x, y), verbose=0).history
    model.compile(keras.optimizers.SGD(0.0), TCL(), run_eagerly=EAGER)
    history = model.fit(named, y, verbose=0).history
    assert history["loss"] == pytest.approx(plain["loss"], rel=1e-5)
    assert np.isfinite(model.evaluate(named, y, verbose=0))
    np.testing.assert_allclose(
        model.predict(named, verbose=0),
        model.predict(x, verbose=0),
        atol=1e-5,
    )
    steps = model.predict_timesteps(x)
    np.testing.assert_allclose(model.predict_timesteps(named), steps, atol=1e-5)
    np.testing.assert_array_equal(
        model.evaluate_timesteps(named, y), model.evaluate_timesteps(x, y)
    )
    with pytest.raises(ValueError, match=r"one input.*\['a', 'b'\]"):
        model.predict({"a": x, "b": x}, verbose=0)
    with pytest.raises(ValueError, match="the first at index 0"):
        model.fit({"inputs": x * np.nan}, y, verbose=0)


def test_a_network_of_several_inputs_is_refused():
    a, b = keras.Input((4, 8, 8, 1), name="a"), keras.Input((4, 8, 8, 1))
    x = keras.layers.Add()([a, b])
    logits = keras_tcl.layers.Classifier(3)(x)
    network = keras.Model([a, b], {"stage": x, "logits": logits})
    with pytest.raises(ValueError, match="It has 2 inputs"):
        keras_tcl.TCLModel(network)


# --- Loops of one's own, masks -----------------------------------------------


def test_a_call_without_training_is_inference_with_a_gradient():
    # Every neuron is near its threshold, and many spike.
    model = tiny.network(neuron=LIF(threshold=0.1, surrogate="sigmoid"))
    x, _ = tiny.images(4)
    logits, found = gradients_of(model, x)
    np.testing.assert_allclose(logits, model.predict(x, verbose=0), atol=1e-5)
    for variable, value in zip(model.trainable_variables, found, strict=True):
        assert value is not None and np.abs(value).max() > 0, variable.path


def gradients_of(model, x):
    """Logits, and the gradients of the sum of their squares."""
    variables = model.trainable_variables
    x = ops.convert_to_tensor(x)

    def squares():
        logits = model(x)
        return ops.sum(ops.square(logits)), logits

    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss, logits = squares()
        found = tape.gradient(loss, [v.value for v in variables])
    elif BACKEND == "torch":
        import torch

        loss, logits = squares()
        found = torch.autograd.grad(loss, [v.value for v in variables])
        logits = logits.detach()
    else:
        import jax

        def of(values):
            pairs = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=pairs):
                return squares()

        found, logits = jax.grad(of, has_aux=True)([v.value for v in variables])
    return ops.convert_to_numpy(logits), [
        ops.convert_to_numpy(value) for value in found
    ]


def test_a_mask_passes_the_neurons():
    x = np.full((2, 4, 3), 2.0, "float32")
    x[1, 2:] = 0.0
    spikes = LIF()(keras.layers.Masking()(x))
    mean = keras.layers.GlobalAveragePooling1D()(spikes)
    # Of the steps that count: all of them spike.
    np.testing.assert_array_equal(ops.convert_to_numpy(mean), np.ones((2, 3)))


# --- Weights ------------------------------------------------------------------


def test_weights_of_another_number_of_classes(tmp_path):
    model = tiny.network()
    path = str(tmp_path / "of_3.weights.h5")
    model.save_weights(path)
    with pytest.warns(UserWarning, match="dense_1"):
        other = tiny.network(classes=7, weights=path, skip_mismatch=True)
    assert other.output_shape == (None, 7)
    pairs = zip(other.network.weights, model.network.weights, strict=True)
    for new, old in pairs:
        if "dense_1" not in new.path:
            a, b = values_of([new, old])
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="Nothing was loaded"):
        tiny.network(classes=7, weights=path)


# As Keras warns of any weights without the state of an optimizer.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
@pytest.mark.parametrize("trained", [True, False])
def test_weights_saved_before_compile_and_after(trained, tmp_path):
    """Projection heads are no part of what a network is."""
    model, other = tiny.network(), tiny.network()
    (model if trained else other).compile("sgd", TCL(), run_eagerly=EAGER)
    path = str(tmp_path / "some.weights.h5")
    model.save_weights(path)
    heads = values_of(v for h in other.heads.values() for v in h.variables)
    other.load_weights(path)
    x, y = tiny.images(4)
    np.testing.assert_array_equal(
        other.predict(x, verbose=0), model.predict(x, verbose=0)
    )
    other.compile("sgd", TCL(), run_eagerly=EAGER)
    if not trained:
        after = values_of(v for h in other.heads.values() for v in h.variables)
        for a, b in zip(heads, after, strict=True):
            np.testing.assert_array_equal(a, b)
    other.fit(x, y, verbose=0)


def test_another_classifier_on_the_same_stages():
    model = tiny.network(mean=0.3)
    backbone = keras.Model(model.inputs, model.stages)
    other = keras_tcl.TCLModel(backbone, classes=5)
    x, y = tiny.images(4)
    np.testing.assert_allclose(  # The pixels are rescaled once.
        other.network.predict(x, verbose=0)["stage2"],
        model.network.predict(x, verbose=0)["stage2"],
    )
    assert other.value_range == model.value_range
    backbone.trainable = False
    other.compile(keras.optimizers.SGD(0.1), TCL(), run_eagerly=EAGER)
    before = values_of(backbone.variables)
    classifier = values_of(tiny.classifier_of(other).variables)
    other.fit(x, y, verbose=0)
    for a, b in zip(before, values_of(backbone.variables), strict=True):
        np.testing.assert_array_equal(a, b)
    trained = values_of(tiny.classifier_of(other).variables)
    # The bias at least: the kernel may have seen no spike.
    assert any((a != b).any() for a, b in zip(trained, classifier, strict=True))
