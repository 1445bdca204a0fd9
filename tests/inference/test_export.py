"""What is exported, opened outside keras_tcl, predicts the same."""

import sys

import keras
import numpy as np
import pytest

from benchmarks import runtimes
from keras_tcl import inference
from keras_tcl.inference import converters
from keras_tcl.inference.exporting import SUFFIXES
from keras_tcl.layers import LIF, Classifier, DirectEncoding, EachStep
from tests.inference import networks

BACKEND = keras.config.backend()
# The converter behind ONNX, for each backend.
CONVERTER = {"tensorflow": "tf2onnx", "jax": "jax2onnx", "torch": "onnxscript"}
SUFFIX = {f: s for s, f in SUFFIXES.items()}
FORMATS = [f for f, able in converters.BACKENDS.items() if BACKEND in able]
REFUSED = [f for f in converters.BACKENDS if f not in FORMATS]

pytestmark = [
    pytest.mark.slow,
    # The converters warn of their own use of NumPy, protobuf and tracing.
    pytest.mark.filterwarnings("ignore"),
]


def export(model, folder, format, **kwargs):
    """The exported file as a function from named arrays to named arrays."""
    if format in ("onnx", "openvino"):
        pytest.importorskip(CONVERTER[BACKEND], reason="it writes ONNX")
    if format in ("tf_saved_model", "litert"):
        pytest.importorskip("tensorflow", reason="it writes the format")
    pytest.importorskip(runtimes.RUNTIMES[format], reason="it opens the format")
    path = folder / f"model{SUFFIX[format]}"
    inference.export(model, path, **kwargs)
    assert not list(folder.glob(".*"))
    return runtimes.OPEN[format](str(path))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["image", "event"])
def test_predicts_the_same(kind, format, tmp_path):
    model = networks.MODELS[kind]()
    x = networks.data(model, 5)
    expected = model.predict(x)
    run = export(model.network, tmp_path, format)
    # Any batch size, uint8 images, and names.
    for part in (slice(0, 5), slice(0, 1)):
        outputs = run({"inputs": x[part]})
        assert list(outputs) == ["logits"]
        np.testing.assert_allclose(
            outputs["logits"], expected[part], rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("format", FORMATS)
def test_own_neuron_over_many_steps(format, tmp_path):
    """Its time loop is one that the runtime knows, or none."""
    from tests.neurons import AdaptiveLIF

    timesteps = 17
    inputs = keras.Input((6, 6, 1), name="inputs")
    x = EachStep(keras.layers.MaxPooling2D(2))(
        DirectEncoding(timesteps)(inputs)
    )
    x = EachStep(keras.layers.Conv2D(4, 2, bias_initializer="ones"))(
        x * (1 / 128)
    )
    x = EachStep(keras.layers.Flatten())(AdaptiveLIF()(x))
    network = keras.Model(
        inputs, {"logits": EachStep(keras.layers.Dense(3))(x)}
    )
    x = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 1), "uint8")
    expected = network.predict(x, verbose=0)["logits"].mean(1)
    assert expected.std(axis=0).min() > 0
    run = export(network, tmp_path, format, dtype="uint8")
    np.testing.assert_allclose(
        run({"inputs": x})["logits"], expected, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("format", FORMATS)
def test_step_model_has_named_states(format, tmp_path):
    model = networks.adaptive_model()
    x = networks.data(model)
    step = inference.step_model(model.network)
    run = export(step, tmp_path, format)
    state = {
        name: keras.ops.convert_to_numpy(value)
        for name, value in inference.initial_state(step, len(x)).items()
    }
    expected = model.predict_timesteps(x)
    for t in range(networks.T):
        outputs = run({"inputs": x.astype("float32"), **state})
        state = {name: outputs[f"next_{name}"] for name in state}
        np.testing.assert_allclose(
            outputs["logits"], expected[:, t], rtol=0, atol=1e-6
        )
    np.testing.assert_allclose(
        outputs["mean"], expected.mean(1), rtol=0, atol=1e-6
    )


def test_timesteps_as_they_are_set(tmp_path):
    model = networks.image_model()
    x = networks.data(model)
    before = model.predict(x)
    model.timesteps = 1
    assert np.abs(model.predict(x) - before).max() > 1e-3
    np.testing.assert_allclose(
        inference.inference_model(model.network).predict(x, verbose=0),
        model.predict(x),
        rtol=0,
        atol=1e-6,
    )
    event = networks.event_model()
    longer = inference.inference_model(event.network, timesteps=5)
    assert longer.input_shape == (None, 5, 8, 8, 2)


def test_after_fit_and_after_load_model(tmp_path):
    model = networks.image_model()
    x = networks.data(model, 8)
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    model.fit(x, np.arange(8) % 3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for source in (model, loaded):
        (format,) = (f for f in FORMATS if f in ("tf_saved_model", "torch"))
        outputs = export(source.network, tmp_path, format)({"inputs": x})
        np.testing.assert_allclose(
            outputs["logits"], model.predict(x), rtol=0, atol=1e-6
        )


def test_inference_model_is_saved_and_folds_time_once(tmp_path):
    model = networks.image_model()
    x = networks.data(model)
    plain = inference.inference_model(model.network)
    plain.save(tmp_path / "plain.keras")
    loaded = keras.saving.load_model(tmp_path / "plain.keras")
    for made in (plain, loaded):
        np.testing.assert_allclose(
            made.predict(x, verbose=0), model.predict(x), rtol=0, atol=1e-6
        )
    names = [type(layer).__name__ for layer in plain.layers]
    # One for each neuron's input, but not for the stem, which sees an image.
    assert names.count("UnfoldTime") == names.count("LIF") - 1
    # One for the spikes that convolutions read: of the stem, of the first
    # neurons of both blocks, and between the blocks.
    assert names.count("FoldTime") == 4
    assert {id(v) for v in plain.weights} == {
        id(v) for v in model.network.weights
    }


# --- Refusals ---------------------------------------------------------------


@pytest.mark.parametrize("format", REFUSED)
def test_refuses_what_the_backend_cannot_write(format, tmp_path):
    path = tmp_path / f"model{SUFFIX[format]}"
    with pytest.raises(
        ValueError, match=rf"'{format}'.*{BACKEND}.*\.keras.*KERAS_BACKEND"
    ):
        inference.export(networks.image_model().network, path)
    assert not list(tmp_path.iterdir())


def test_refuses_half_precision(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = networks.image_model().network
    with pytest.raises(ValueError, match='stem_conv.*bfloat16.*"float32"'):
        inference.export(network, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, CONVERTER[BACKEND], None)
    with pytest.raises(ImportError, match=r"pip install keras_tcl\[export"):
        inference.export(networks.image_model().network, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_refuses_names_and_formats(tmp_path):
    network = networks.image_model().network
    with pytest.raises(ValueError, match=r"\.onnx, .*'.*model\.bin'"):
        inference.export(network, tmp_path / "model.bin")
    with pytest.raises(ValueError, match="`format`.*'onnx'.*'caffe'"):
        inference.export(network, tmp_path / "model.onnx", "caffe")
    with pytest.raises(ValueError, match=r"ends with \.onnx"):
        inference.export(network, tmp_path / "model.tflite", "onnx")
    with pytest.raises(ValueError, match="`timesteps` is for event frames"):
        inference.inference_model(network, timesteps=2)
    with pytest.raises(ValueError, match="made with"):
        inference.export(
            inference.inference_model(network), tmp_path / "m.onnx", timesteps=2
        )
    assert not list(tmp_path.iterdir())


def test_a_failed_export_leaves_what_was_there(tmp_path, monkeypatch):
    def fail(model, path):
        path.write_text("half of it")
        raise RuntimeError("no space left")

    network = networks.image_model().network
    path = tmp_path / "model.onnx"
    path.write_text("before")
    monkeypatch.setitem(converters._WRITERS, "onnx", fail)
    with pytest.raises(RuntimeError, match="no space left"):
        inference.export(network, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_does_not_empty_a_folder_of_other_things(tmp_path, monkeypatch):
    monkeypatch.setattr(converters, "check", lambda format: None)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_text("")
    with pytest.raises(ValueError, match="no SavedModel"):
        inference.export(networks.image_model().network, tmp_path / "photos")
    assert (tmp_path / "photos" / "one.png").exists()


# --- Keras' own export of a model with our layers -------------------------


def export_and_run(model, x, path):
    pytest.importorskip(
        CONVERTER[BACKEND], reason="Keras' ONNX export needs it on this backend"
    )
    onnxruntime = pytest.importorskip("onnxruntime")
    model(x[:1])  # Keras wants to have seen it called
    model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: x})[0]


@pytest.mark.parametrize("timesteps", [4, 20], ids=["unrolled", "scan"])
def test_onnx(timesteps, tmp_path):
    if BACKEND == "tensorflow" and timesteps > 16:
        pytest.skip("tf2onnx cannot convert the loop of keras.ops.scan")
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(3, 3, padding="same")(inputs)
    x = LIF()(DirectEncoding(timesteps)(x))
    x = EachStep(keras.layers.Conv2D(3, 3))(x)
    x = EachStep(keras.layers.BatchNormalization())(x)
    outputs = LIF(threshold=0.25, reset="soft")(x)
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype("float32")
    expected = model.predict(x, verbose=0)
    assert 0.05 < expected.mean() < 0.95
    # The exported model takes any batch size.
    np.testing.assert_array_equal(
        export_and_run(model, x, str(tmp_path / "model.onnx")), expected
    )


def test_an_inference_model_keeps_the_timesteps_it_was_made_with():
    model = networks.image_model()
    x = networks.data(model)
    inference_model = model.inference_model()
    expected = inference_model.predict(x, verbose=0)
    model.timesteps = 1
    np.testing.assert_array_equal(
        inference_model.predict(x, verbose=0), expected
    )


def test_pixels_of_another_range_are_not_cut_to_integers():
    model = networks.image_model(value_range=(0, 1))
    x = networks.data(model) / np.float32(255)
    inference_model = inference.inference_model(model.network)
    np.testing.assert_allclose(
        inference_model.predict(x, verbose=0),
        model.predict(x, verbose=0),
        atol=1e-5,
    )


class Twice(keras.Model):
    def call(self, inputs):
        return {k: 2 * v for k, v in super().call(inputs).items()}


def test_refuses_a_call_that_cannot_be_walked(tmp_path):
    network = networks.image_model().network
    twice = Twice(network.input, network.output)
    for take in (
        inference.inference_model,
        inference.Stream,
        lambda network: inference.export(network, tmp_path / "m.onnx"),
    ):
        with pytest.raises(ValueError, match="`call` of its own"):
            take(twice)
    with pytest.raises(ValueError, match="as `model.network`"):
        inference.export(networks.image_model(), tmp_path / "m.onnx")


def test_layers_of_one_name(tmp_path):
    x = inputs = keras.Input((3, 8, 8, 2))
    for name in "ab":
        convolution = keras.layers.Conv2D(4, 3, name="same")
        x = LIF(threshold=0.1)(EachStep(convolution, name=name)(x))
    network = keras.Model(inputs, {"logits": Classifier(3)(x)})
    model = inference.inference_model(network)
    x = np.random.default_rng(0).uniform(size=(2, 3, 8, 8, 2))
    expected = keras.ops.convert_to_numpy(network(x)["logits"]).mean(1)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), expected, atol=1e-5
    )


def test_replaces_only_what_an_export_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr(converters, "check", lambda format: None)
    network = networks.image_model().network
    (tmp_path / "m.onnx").mkdir()
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "saved_model.pb").write_text("")
    (tmp_path / "saved" / "weights.weights.h5").write_text("mine")
    for name in ("m.onnx", "saved"):
        with pytest.raises(ValueError, match="where there is something else"):
            inference.export(network, tmp_path / name)
    assert (tmp_path / "saved" / "weights.weights.h5").read_text() == "mine"


def test_names_the_arguments_a_converter_takes(tmp_path):
    network = networks.image_model().network
    with pytest.raises(ValueError, match=r"takes \['opset_version'\]"):
        inference.export(network, tmp_path / "m.onnx", opset=17)
