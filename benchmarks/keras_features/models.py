"""Rows on models: their parts, files, other models around and within them."""

import copy
import pickle

import keras
import numpy as np
from keras import ops

import keras_tcl
from benchmarks.keras_features.support import (
    BACKEND,
    CLASSES,
    Limit,
    close,
    compiled,
    fitted,
    images,
    moved,
    needs,
    network,
    refusal,
    row,
    values,
)
from keras_tcl import graph
from keras_tcl.layers import LIF, DirectEncoding, EachStep, Neuron
from keras_tcl.losses import TCL, MeanCrossEntropy


def predicted(model):
    return model.predict(images()[0], verbose=0)


# --- Looking into a model ----------------------------------------------------


@row("`summary()` shows the neurons", "one line for the network", quick=True)
def _(folder):
    lines = []
    network().summary(print_fn=lambda line, **_: lines.append(line))
    assert "stem_spike (LIF)" in "\n".join(lines)
    return "`stem_spike (LIF)`"


@row("`plot_model`", "one box")
def _(folder):
    needs("pydot")
    model = network()
    plain = keras.Model(model.input, model.output)
    text = keras.utils.model_to_dot(plain).to_string()
    assert "stem_spike" in text
    return "of `keras.Model(model.input, model.output)`, with the neurons"


@row("`get_layer`, `inputs`, `outputs`, shapes", "FAIL", quick=True)
def _(folder):
    model = network()
    assert isinstance(model.get_layer("stem_spike"), LIF)
    assert model.input_shape == (None, 8, 8, 3)
    assert model.output_shape == (None, CLASSES)
    plain = keras.Model(model.inputs, model.outputs[0])
    return f"logits {close(predicted(plain), predicted(model))}"


@row("features of a layer by its name", "by another way", quick=True)
def _(folder):
    model = network()
    layer = model.get_layer("stage1_block1_out")
    features = predicted(keras.Model(model.input, layer.output))
    return close(features, predicted(model.network)["stage1"])


@row("`clone_model`; LIF replaced by ReLU", "right")
def _(folder):
    def replaced(layer):
        if isinstance(layer, Neuron):
            return keras.layers.ReLU(name=layer.name)
        return type(layer).from_config(layer.get_config())

    plain = keras.models.clone_model(network().network, clone_function=replaced)
    assert not graph.layers(plain, Neuron)
    model = keras_tcl.TCLModel(plain)
    model.compile("sgd", TCL())
    assert np.isfinite(model.fit(*images(), verbose=0).history["loss"]).all()
    return "no neuron is left, and it trains"


# --- A model and others ------------------------------------------------------


def embedded(make):
    model = network()
    whole, (x, y) = make(model), images()
    expected = ops.convert_to_numpy(ops.softmax(predicted(model)))
    said = close(predicted(whole), expected)
    whole.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    before = values(whole.trainable_variables)
    whole.fit(x, y, verbose=0)
    count = moved(whole.trainable_variables, before)
    assert count == len(before), f"{count} of {len(before)} weights moved"
    return f"{said}; {count} of {count} weights moved"


@row("`TCLModel` within a functional model", "FAIL")
def _(folder):
    def make(model):
        start = keras.Input(model.sample_shape)
        return keras.Model(start, keras.layers.Softmax()(model(start)))

    return embedded(make)


@row("`TCLModel` within `Sequential`", "FAIL")
def _(folder):
    return embedded(lambda m: keras.Sequential([m, keras.layers.Softmax()]))


@row("its stages within a model of several outputs", "right")
def _(folder):
    model, (x, y) = network(), images()
    stage = model.stages["stage2"]
    maps = EachStep(keras.layers.Conv2D(1, 1, name="maps"))(stage)
    outputs = {"maps": maps, "class": model.output}
    whole = keras.Model(model.input, outputs)
    crossentropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    whole.compile("sgd", {"maps": "mse", "class": crossentropy})
    targets = {"maps": np.zeros((8, 2, 4, 4, 1), "float32"), "class": y}
    assert np.isfinite(whole.fit(x, targets, verbose=0).history["loss"]).all()
    return "finite"


@row("a classifier layer of one's own", "right")
def _(folder):
    classifier = keras.Sequential(
        [
            EachStep(keras.layers.GlobalAveragePooling2D()),
            keras.layers.Dense(CLASSES),
        ],
        name="mine",
    )
    model = fitted(classifier=classifier)
    return f"logits {predicted(model).shape}"


@row("a spiking MLP in `Sequential`", "right")
def _(folder):
    model = keras.Sequential(
        [
            keras.layers.Flatten(),
            DirectEncoding(4),
            keras.layers.Dense(8),
            LIF(),
            keras.layers.Dense(CLASSES),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Softmax(),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = images()
    model.fit(x / 255.0, y, verbose=0)
    model.save(folder / "mlp.keras")
    loaded = keras.models.load_model(folder / "mlp.keras")
    return f"reloaded {close(predicted(loaded), predicted(model))}"


@row("LIF behind `Conv1D` and `LSTM`, as an `activation`", "right")
def _(folder):
    model = keras.Sequential(
        [
            keras.layers.Conv1D(4, 3, activation=LIF()),
            keras.layers.LSTM(4, return_sequences=True),
            LIF(),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(4, 6, 3)).astype("float32")
    assert np.isfinite(model.fit(x, np.ones(4), verbose=0).history["loss"])
    return "finite"


@row("masks behind LIF", "lost, with a warning", quick=True)
def _(folder):
    x = np.ones((2, 4, 3), "float32")
    x[1, 2:] = 0
    spikes = LIF()(keras.layers.Masking()(x))
    mean = keras.layers.GlobalAveragePooling1D()(spikes)
    steps = ops.convert_to_numpy(spikes)[1, :2]
    return f"mean {close(ops.convert_to_numpy(mean)[1], steps.mean(axis=0))}"


@row("temporal losses in `Sequential`, `[B, T, classes]`", "right, no accuracy")
def _(folder):
    model = keras.Sequential(
        [keras.layers.Dense(8), LIF(), keras.layers.Dense(CLASSES)]
    )
    model.compile("adam", MeanCrossEntropy())
    x = np.random.default_rng(0).normal(size=(6, 4, 3)).astype("float32")
    y = np.arange(6) % CLASSES
    loss = model.evaluate(x, y, verbose=0)
    mean = model.predict(x, verbose=0).mean(axis=1)
    log_p = mean - np.log(np.exp(mean).sum(-1, keepdims=True))
    return f"loss {close(loss, -log_p[np.arange(6), y].mean())} to NumPy"


@row("1-D data, `[B, T, F]`", "FAIL, by `[T, 1, 1, F]` only")
def _(folder):
    start = keras.Input((6, 1, 1, 3))
    x = LIF()(keras.layers.Dense(8)(start))
    backbone = keras.Model(start, {"hidden": x})
    model = keras_tcl.TCLModel(backbone, CLASSES, augmenter=None)
    model.compile("sgd", TCL())
    data = np.random.default_rng(0).normal(size=(6, 6, 1, 1, 3))
    history = model.fit(data, np.arange(6) % CLASSES, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    plain = keras.Input((6, 3))
    flat = keras.Model(plain, {"hidden": LIF()(keras.layers.Dense(8)(plain))})
    call = lambda: keras_tcl.TCLModel(flat, CLASSES)  # noqa: E731
    return refusal(call, "keras.Input((T, 1, 1, F))")


@row("a CNN with LIF for ReLU, by `clone_model`", "right, branches wrong")
def _(folder):
    cnn = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(CLASSES),
        ]
    )
    start = keras.Input((8, 8, 3))
    x = DirectEncoding(2)(start)
    for layer in cnn.layers:
        is_relu = isinstance(layer, keras.layers.ReLU)
        x = LIF()(x) if is_relu else EachStep(layer)(x)
    spiking = keras.Model(start, x)
    assert spiking.output_shape == (None, 2, CLASSES)
    return "layer by layer; LIF cannot tell rows from time"


# --- Fine-tuning -------------------------------------------------------------


@row("freezing a network, or layers by name", "right")
def _(folder):
    model = network()
    model.get_layer("stem_conv").trainable = False
    model.compile(keras.optimizers.SGD(0.1), TCL())
    frozen = model.get_layer("stem_conv").variables
    before = values(frozen)
    model.fit(*images(), verbose=0)
    assert not moved(frozen, before)
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    assert not loaded.get_layer("stem_conv").trainable
    return "frozen weights moved by 0, in the file too"


@row(
    "freezing between `fit` and `fit`, without `compile`", "differs by backend"
)
def _(folder):
    model = compiled()
    model.fit(*images(), verbose=0)
    model.network.trainable = False
    return refusal(lambda: model.fit(*images(), verbose=0), "`compile()` again")


@row("another number of classes: `weights=..., skip_mismatch=True`", "by hand")
def _(folder):
    path = str(folder / "of_3.weights.h5")
    model = network()
    model.save_weights(path)
    other = network(classes=7, weights=path, skip_mismatch=True)
    assert predicted(other).shape == (8, 7)
    stages = predicted(other.network)["stage2"]
    return f"stages {close(stages, predicted(model.network)['stage2'])}"


@row("another classifier on the same stages", "right")
def _(folder):
    model = network()
    stages = keras.Model(model.inputs, model.stages)
    other = keras_tcl.TCLModel(stages, classes=7)
    assert predicted(other).shape == (8, 7)
    stages = predicted(other.network)["stage2"]
    return f"stages {close(stages, predicted(model.network)['stage2'])}"


@row("weights saved before `compile(TCL())`", "refused")
def _(folder):
    model, other = network(), compiled()
    model.save_weights(folder / "plain.weights.h5")
    other.load_weights(folder / "plain.weights.h5")
    return f"logits {close(predicted(other), predicted(model))}"


@row("LoRA", "right")
def _(folder):
    model = network()
    dense = model.get_layer("dense_1")
    dense.enable_lora(2)
    model.compile(keras.optimizers.SGD(0.1), TCL())
    before = values(dense.trainable_variables)
    model.fit(*images(), verbose=0)
    assert moved(dense.trainable_variables, before)
    model.save(folder / "lora.keras")
    loaded = keras.models.load_model(folder / "lora.keras")
    return f"saved {close(predicted(loaded), predicted(model))}"


# --- Files -------------------------------------------------------------------


@row("`.keras` file, training goes on", "right")
def _(folder):
    model = fitted(augmenter=None, optimizer="adam")
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    a, b = (m.train_on_batch(*images())[0] for m in (model, loaded))
    return f"next loss {close(a, b)}"


@row("sharded weights, pickle, deepcopy", "right")
def _(folder):
    model = compiled()
    path = folder / "model.weights.json"
    model.save_weights(path, max_shard_size=1e-5)
    other = compiled()
    other.load_weights(path)
    for twin in (
        other,
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ):
        close(predicted(twin), predicted(model))
    return "equal logits"


@row("a lambda as the augmenter, saved", "FAIL", quick=True)
def _(folder):
    model = network(augmenter=lambda x: x)
    model.save(folder / "model.keras")
    call = lambda: keras.models.load_model(folder / "model.keras")  # noqa: E731
    return refusal(call, "safe_mode")


@keras.saving.register_keras_serializable("benchmark")
class Own(Neuron):
    """A neuron of a user: its class is registered."""

    def step(self, x, state):
        h = 0.5 * state + x
        s = keras_tcl.surrogates.spike(h - 1.0, "atan")
        return s, h * (1.0 - s)


@row("a neuron of one's own, saved", "right")
def _(folder):
    model = network(neuron=Own())
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    return f"logits {close(predicted(loaded), predicted(model))}"


@row("a neuron of one's own that was not registered", "a dump of the config")
def _(folder):
    class Unknown(Own):
        pass

    model = network(neuron=Unknown())
    model.save(folder / "model.keras")
    call = lambda: keras_tcl.load_model(folder / "model.keras")  # noqa: E731
    refusal(call, "Unknown")
    return "refused: Keras names the class, and `custom_objects`"


@row("`export` as typed", "FAIL")
def _(folder):
    model = network()
    if BACKEND == "torch":
        needs("onnxscript")
        model.export(folder / "model.onnx")
        return "ONNX"
    needs("tensorflow")
    import tensorflow as tf

    model.export(folder / "model")
    loaded = tf.saved_model.load(str(folder / "model"))
    (served,) = keras.tree.flatten(loaded.serve(images()[0]))
    return f"SavedModel {close(np.asarray(served), predicted(model), 1e-4)}"


@row("`inference_model()`", "right", quick=True)
def _(folder):
    model = network()
    return (
        f"logits {close(predicted(model.inference_model()), predicted(model))}"
    )


@row('`quantize("int8")`', "the classifier alone")
def _(folder):
    model = network()
    expected = predicted(model)
    model.quantize("int8")
    difference = np.abs(predicted(model) - expected).max()
    raise Limit(
        "Keras quantizes dense layers and no convolutions, so the classifier "
        f"alone (logits differ by {difference:.0e}); see `export` for others"
    )
