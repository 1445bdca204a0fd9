"""A walk over a network: the same numbers, every node, nothing kept."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_tcl
from keras_tcl import graph
from keras_tcl.inference.readout import Readout
from keras_tcl.layers import LIF, Classifier, DirectEncoding

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (2, 8, 8, 3)).astype("float32")


def network(**kwargs):
    return keras_tcl.sew_resnet.network(
        [1, 1], [4, 8], input_shape=(8, 8, 3), classes=3, timesteps=3, **kwargs
    )


def tangled():
    """Nodes of several inputs and outputs, keywords, operations, and a reuse.

    And a model within the model.
    """
    x = inputs = keras.Input((6, 4))
    dense = layers.Dense(4)
    x = dense(x) + dense(x)
    left, right = ops.split(x, 2, axis=-1)
    x = layers.Concatenate()([right, left, left])
    x = layers.MultiHeadAttention(2, 3)(x, value=x, key=inputs)
    start = keras.Input(x.shape[1:])
    inner = keras.Model(start, {"a": layers.Dropout(0.5)(start), "b": start})
    inner = inner(x)
    return keras.Model(inputs, {"z": inner["b"], "a": [inner["a"], x, x]})


def values(outputs):
    return [ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]


@pytest.mark.parametrize(
    "build, x",
    [(network, IMAGES), (tangled, RNG.normal(size=(2, 6, 4)))],
)
def test_a_walk_is_a_call(build, x):
    model, x = build(), ops.convert_to_tensor(x, dtype="float32")
    expected = model(x, training=False)
    for visit in (graph.call, graph.called(training=False)):
        outputs = graph.walk(model, x, visit)
        keras.tree.assert_same_structure(outputs, expected)
        assert list(outputs) == list(expected)
        for a, b in zip(values(outputs), values(expected), strict=True):
            np.testing.assert_array_equal(a, b)


def test_training_is_handed_to_the_layers_that_take_it():
    x = inputs = keras.Input((100,))
    x = layers.Dense(100, kernel_initializer="identity")(x)
    model = keras.Model(inputs, layers.Dropout(0.5, seed=0)(x))
    x = ops.ones((1, 100))
    dropped = graph.walk(model, x, graph.called(training=True))
    assert 0 < np.mean(ops.convert_to_numpy(dropped) == 0) < 1
    kept = graph.walk(model, x, graph.called(training=False))
    np.testing.assert_array_equal(ops.convert_to_numpy(kept), 1.0)


class Inner(layers.Layer):
    """A layer of layers that does not ask for `training` itself."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normalization = layers.BatchNormalization()
        self.dropout = layers.Dropout(0.5, seed=0)

    def build(self, input_shape):
        self.normalization.build(input_shape)

    def call(self, x):
        return self.dropout(self.normalization(x))


def inner_network():
    x = inputs = keras.Input((3, 8, 8, 2))
    x = Inner(name="inner")(LIF(threshold=0.5)(x))
    return keras_tcl.models.classification_network(
        keras.Model(inputs, {"stage1": x}), 2
    )


@pytest.mark.parametrize("training", [True, False])
def test_a_run_is_a_call_in_training_or_inference(training):
    x = ops.convert_to_tensor(RNG.uniform(size=(4, 3, 8, 8, 2)), "float32")
    results = []
    for call in (
        lambda model: model(x, training=training),
        lambda model: graph.run(model, x, training),
    ):
        keras.utils.set_random_seed(0)
        model = inner_network()
        outputs = call(model)
        results.append([*values(outputs), *values(model.variables)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_layers_within_layers_are_trained_by_fit():
    """On JAX, Keras' trainer does not tell them."""
    model = keras_tcl.TCLModel(inner_network(), augmenter=None)
    model.compile("sgd", keras_tcl.losses.TET())
    normalization = model.network.get_layer("inner").normalization
    before = ops.convert_to_numpy(normalization.moving_mean.value).copy()
    x = RNG.uniform(size=(4, 3, 8, 8, 2)).astype("float32")
    model.fit(x, np.array([0, 1, 0, 1]), verbose=0)
    after = ops.convert_to_numpy(normalization.moving_mean.value)
    assert np.abs(after - before).max() > 1e-3
    first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
    np.testing.assert_array_equal(first, second)  # Nothing was dropped.


def test_losses_of_layers_count_once():
    x = inputs = keras.Input((4,))
    x = layers.Dense(4, activity_regularizer="l2", name="dense")(x)
    model = keras.Model(inputs, x)
    x = ops.ones((2, 4))
    for _ in range(2):
        graph.run(model, x, training=True)
    assert len(model.get_layer("dense").losses) == 1


class Seven(Classifier):
    """What it says is not what its layers within say."""

    def call(self, inputs, training=None):
        return 0.0 * super().call(inputs) + 7.0


class Halved(keras.Model):
    """A functional model with a `call` of its own."""

    def __init__(self):
        inputs = keras.Input((4,))
        super().__init__(inputs, layers.Dense(4)(inputs))

    def call(self, inputs):
        return 0.5 * super().call(inputs)


def test_a_call_of_ones_own_is_not_walked_around():
    x = inputs = keras.Input((2, 4, 4, 3))
    model = keras.Model(inputs, Seven(5)(x))
    x = ops.ones((1, 2, 4, 4, 3))
    np.testing.assert_array_equal(values(graph.walk(model, x))[0], 7.0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, Halved()(inputs))
    x = ops.ones((1, 4))
    np.testing.assert_allclose(
        values(graph.walk(model, x))[0], values(model(x))[0]
    )


def test_models_within_of_several_inputs_and_of_a_list():
    a, b = keras.Input((4,)), keras.Input((4,))
    difference = keras.Model([a, b], layers.Subtract()([a, b]))
    start = keras.Input((4,))
    single = keras.Model([start], layers.Dense(4)(start))
    x = inputs = keras.Input((4,))
    model = keras.Model(inputs, difference([single([x]), x]))
    x = ops.convert_to_tensor(RNG.normal(size=(8, 4)), "float32")
    np.testing.assert_allclose(
        values(graph.walk(model, x))[0], values(model(x))[0], rtol=1e-6
    )


def test_nothing_is_visited_that_is_not_wanted():
    inputs = keras.Input((4,))
    x = layers.Dense(4, name="first")(inputs)
    y = layers.Dense(4, name="aside")(x)
    model = keras.Model(inputs, {"x": x, "y": y})
    visited = []

    def visit(layer, *args, **kwargs):
        visited.append(layer.name)
        return layer(*args, **kwargs)

    graph.walk(model, ops.ones((1, 4)), visit, ["x"])
    assert visited == ["first"]


def test_only_the_wanted_outputs():
    model, x = network(), ops.convert_to_tensor(IMAGES)
    outputs = graph.walk(model, x, only=["stage1"])
    assert list(outputs) == ["stage1"]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(outputs["stage1"]),
        ops.convert_to_numpy(model(x)["stage1"]),
    )


def test_layers_within_composite_layers_and_models():
    inputs = keras.Input((8, 8, 3))
    stages = graph.walk(network(), inputs)
    x = Classifier(2, hidden_units=[5], name="c")(stages["stage2"])
    model = keras.Model(inputs, {**stages, "logits": x})
    names = [layer.name for layer in graph.layers(keras.Model(inputs, x))]
    assert names[0] == "rescaling"
    assert names[-3:] == ["dense_1", "dense_1_spike", "dense_2"]
    outer = keras.Model(inputs, model(layers.Identity(name="first")(inputs)))
    names = [layer.name for layer in graph.layers(outer)]
    assert names[:2] == ["first", "rescaling"] and "dense_1_spike" in names
    assert len(names) == len(set(names))


def test_layers_within_a_sequence_of_layers():
    x = inputs = keras.Input((3, 4))
    x = keras.Sequential([layers.Dense(4), LIF(name="within")])(x)
    model = keras.Model(inputs, x)
    assert [x.name for x in graph.layers(model)][-1] == "within"
    visited = []

    def visit(layer, *args, **kwargs):
        visited.append(layer)
        return layer(*args, **kwargs)

    inputs = keras.Input((3, 4))
    graph.walk(model, inputs, visit, deep=False)
    assert [type(layer) for layer in visited] == [keras.Sequential]


def test_a_symbolic_walk_draws_another_graph_of_the_same_layers():
    model = network()
    inputs = keras.Input((16, 16, 3), batch_size=2)

    def visit(layer, *args, **kwargs):
        if isinstance(layer, DirectEncoding):
            layer = DirectEncoding(5)
        return layer(*args, **kwargs)

    longer = keras.Model(inputs, graph.walk(model, inputs, visit))
    assert longer.output["stage2"].shape == (2, 5, 8, 8, 8)
    assert longer.output["logits"].shape == (2, 5, 3)
    for a, b in zip(model.variables, longer.variables, strict=True):
        assert a is b


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="compiled elsewhere"
)
def test_a_tensor_is_forgotten_after_its_last_reader():
    model = keras_tcl.sew_resnet.network([3], [4], input_shape=(8, 8, 3))
    made, alive = [], []

    def visit(layer, *args, **kwargs):
        gc.collect()
        alive.append(sum(x() is not None for x in made))
        outputs = layer(*args, **kwargs)
        made.extend(weakref.ref(x) for x in keras.tree.flatten(outputs))
        return outputs

    # `predict` records no gradient on PyTorch, which would keep them all.
    readout = Readout(
        model, lambda m, x: graph.walk(m, x, visit, ["logits"])["logits"]
    )
    readout.predict_on_batch(IMAGES)
    assert len(made) > 20
    # The visit's own arguments, and a shortcut around them.
    assert max(alive) <= 3


def test_segments_make_up_the_network():
    model = network()
    x = ops.convert_to_tensor(IMAGES)
    expected = model(x)
    for ends, count in ((lambda x: False, 3), (lambda x: True, 6)):
        outputs, passed = {}, x
        segments = list(graph.segments(model, ends))
        assert len(segments) >= count
        for segment, last in segments:
            made = segment(passed)
            outputs.update(made)
            passed = made.get(last)
        assert last is None
        outputs.pop(graph.UNNAMED, None)
        assert outputs.keys() == expected.keys()
        for name, value in outputs.items():
            np.testing.assert_array_equal(
                ops.convert_to_numpy(value),
                ops.convert_to_numpy(expected[name]),
            )


def test_two_names_of_one_output():
    x = inputs = keras.Input((4,))
    x = layers.Dense(4)(x)
    y = layers.Dense(4)(x)
    model = keras.Model(inputs, {"a": x, "b": x, "c": y})
    names = [
        sorted(s.output) for s, _ in graph.segments(model, lambda x: False)
    ]
    assert names == [["a", "b"], ["c"]]


def test_neurons_are_seen():
    """What analysis, streaming and export rest on."""
    neurons = [x for x in graph.layers(network()) if isinstance(x, LIF)]
    assert [x.name for x in neurons] == [
        "stem_spike",
        "stage1_block1_1_spike",
        "stage1_block1_2_spike",
        "stage2_block1_1_spike",
        "stage2_block1_2_spike",
        "stage2_block1_0_spike",
    ]
