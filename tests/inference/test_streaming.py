"""One step at a time equals the whole sequence, at every step."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_tcl import inference
from keras_tcl.layers import LIF, PLIF, DirectEncoding, EachStep, Neuron
from tests.inference import networks


@pytest.fixture(params=networks.MODELS)
def model(request):
    return networks.MODELS[request.param]()


def run(step, frames, batch_size):
    """Outputs of every step."""
    state = inference.initial_state(step, batch_size)
    outputs = []
    for frame in frames:
        inputs = {"inputs": networks.as_tensor(frame), **state}
        outputs.append(
            {k: keras.ops.convert_to_numpy(v) for k, v in step(inputs).items()}
        )
        state = {
            name: keras.ops.convert_to_tensor(outputs[-1][f"next_{name}"])
            for name in state
        }
    return outputs


def test_equals_the_whole_sequence_at_every_step(model):
    x = networks.data(model)
    expected = model.predict_timesteps(x)
    assert expected.std(axis=1).min() > 0
    step = inference.step_model(model.network)
    for t, outputs in enumerate(run(step, networks.frames(x), len(x))):
        np.testing.assert_allclose(
            outputs["logits"], expected[:, t], rtol=0, atol=1e-6
        )
        np.testing.assert_allclose(
            outputs["mean"], expected[:, : t + 1].mean(1), rtol=0, atol=1e-6
        )


def test_spikes_are_the_same_exactly():
    model = networks.image_model()
    x = networks.data(model)
    neuron = model.network.get_layer("stem_spike")
    reader = keras.Model(model.network.input, neuron.output)
    spikes = keras.ops.convert_to_numpy(
        reader(networks.as_tensor(x), training=False)
    )
    step = inference.step_model(model.network)
    stepped = keras.Model(step.input, step.get_layer("stem_spike_step").output)
    state = inference.initial_state(step, len(x))
    for t in range(networks.T):
        inputs = {"inputs": networks.as_tensor(x), **state}
        s, *_ = stepped(inputs)
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(s), spikes[:, t]
        )
        outputs = step(inputs)
        state = {name: outputs[f"next_{name}"] for name in state}


def test_states_have_readable_names_and_weights_are_shared():
    model = networks.adaptive_model()
    step = inference.step_model(model.network)
    names = set(step.input)
    assert {"inputs", "total", "steps", "stem_spike_u", "stem_spike_a"} <= names
    assert {id(v) for v in step.weights} == {
        id(v) for v in model.network.weights
    }
    state = inference.initial_state(step, 2)
    assert set(state) == names - {"inputs"}
    assert tuple(state["stem_spike_a"].shape) == (2, 8, 8, 8)


def test_neurons_called_twice_have_two_states():
    inputs = keras.Input((3, 2, 2, 1), name="inputs")
    neuron = LIF(name="lif")
    x = neuron(neuron(inputs) * 2.0)
    logits = EachStep(keras.layers.Flatten())(x)
    network = keras.Model(inputs, {"logits": logits})
    step = inference.step_model(network)
    assert {"lif", "lif_2"} <= set(step.input)
    x = np.random.default_rng(0).uniform(0, 2, (2, 3, 2, 2, 1))
    expected = network.predict(x, verbose=0)["logits"]
    for t, outputs in enumerate(run(step, networks.frames(x), 2)):
        np.testing.assert_array_equal(outputs["logits"], expected[:, t])


def drawn(body):
    """A network of event frames: `body`, and logits that are its spikes."""
    inputs = keras.Input((3, 2, 2, 1), name="inputs")
    logits = EachStep(keras.layers.Flatten())(body(inputs))
    return keras.Model(inputs, {"logits": logits})


def assert_steps_equal(network, step, seed=0):
    x = np.random.default_rng(seed).uniform(0, 2, (2, 3, 2, 2, 1))
    expected = network.predict(x, verbose=0)["logits"]
    assert expected.std() > 0
    for t, outputs in enumerate(run(step, networks.frames(x), 2)):
        np.testing.assert_array_equal(outputs["logits"], expected[:, t])


def test_names_of_states_do_not_collide():
    twice = LIF(name="lif")
    network = drawn(
        lambda x: LIF(name="logits")(
            LIF(name="lif_2")(twice(twice(x) * 2.0) * 2.0) * 2.0
        )
    )
    step = inference.step_model(network)
    names = {"lif", "lif_2", "lif_2_2", "logits_2"}
    assert set(step.input) == names | {"inputs", "total", "steps"}
    assert_steps_equal(network, step)


def test_neurons_called_twice_can_be_saved(tmp_path):
    neuron = PLIF(name="plif")
    network = drawn(lambda x: neuron(neuron(x) * 2.0))
    inference.step_model(network).save(tmp_path / "step.keras")
    step = keras.saving.load_model(tmp_path / "step.keras")
    assert {"plif", "plif_2"} <= set(inference.initial_state(step))
    assert len(step.weights) == len(network.weights)
    assert_steps_equal(network, step)


@keras.saving.register_keras_serializable("tests")
class Stateless(Neuron):
    def initial_state(self, shape):
        return ()

    def step(self, x, state):
        return keras.ops.cast(x >= 1.0, "float32"), state


def test_neurons_without_state(tmp_path):
    network = drawn(Stateless())
    step = inference.step_model(network)
    assert set(step.input) == {"inputs", "total", "steps"}
    assert_steps_equal(network, step)
    step.save(tmp_path / "step.keras")
    loaded = keras.saving.load_model(tmp_path / "step.keras")
    assert_steps_equal(network, loaded)


def test_input_is_rounded_as_by_the_layer():
    neuron = LIF(dtype="mixed_bfloat16")
    x = np.linspace(0.9, 1.1, 2048, dtype="float32").reshape(1, 1, -1)
    expected = keras.ops.convert_to_numpy(
        keras.ops.cast(neuron(networks.as_tensor(x)), "float32")
    )
    spikes, _ = neuron.advance(
        networks.as_tensor(x[:, 0]), neuron.resting_state((1, 2048))
    )
    spikes = keras.ops.convert_to_numpy(keras.ops.cast(spikes, "float32"))
    np.testing.assert_array_equal(spikes, expected[:, 0])


def test_whole_numbers_are_cast_as_the_network_was_drawn():
    network = drawn(lambda x: LIF()(x * 2 / 200.0))
    x = keras.ops.full((2, 2, 2, 1), 200, "uint8")
    step = inference.step_model(network, dtype="uint8")
    inputs = {"inputs": x, **inference.initial_state(step, 2)}
    logits = keras.ops.convert_to_numpy(step(inputs)["logits"])
    np.testing.assert_array_equal(logits, np.ones((2, 4)))


class Noisy(Neuron):
    def build(self, input_shape):
        self.seeds = keras.random.SeedGenerator(0)

    def step(self, x, state):
        noise = keras.random.uniform((64,), seed=self.seeds)
        return keras.ops.cast(noise >= 0.5, "float32") + 0.0 * x, state


def test_noise_is_another_at_each_step():
    inputs = keras.Input((3, 1, 1, 64), name="inputs")
    logits = EachStep(keras.layers.Flatten())(Noisy()(inputs))
    session = inference.Stream(keras.Model(inputs, {"logits": logits}))
    first, *_ = means = [session(np.zeros((1, 1, 64))) for _ in range(3)]
    steps = [first, 2 * means[1] - first, 3 * means[2] - 2 * means[1]]
    assert all(0 < step.mean() < 1 for step in steps)
    assert np.abs(np.diff(steps, axis=0)).max(axis=1).min() > 0.5


@pytest.mark.slow
def test_opened_under_another_backend(tmp_path):
    other = "torch" if keras.config.backend() == "jax" else "jax"
    pytest.importorskip(other)
    model = networks.adaptive_model()
    x = networks.data(model)
    step = inference.step_model(model.network)
    step.save(tmp_path / "step.keras")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, keras, numpy as np\n"
        "import tests.inference.test_streaming as t\n"
        "folder = sys.argv[1]\n"
        "step = keras.saving.load_model(folder + '/step.keras')\n"
        "x = np.load(folder + '/x.npy')\n"
        "outputs = t.run(step, t.networks.frames(x), len(x))\n"
        "np.save(folder + '/mean.npy', outputs[-1]['mean'])\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": other},
        check=True,
        timeout=200,
    )
    np.testing.assert_allclose(
        np.load(tmp_path / "mean.npy"),
        model.predict_timesteps(x).mean(1),
        rtol=0,
        atol=1e-5,
    )


# --- Stream -----------------------------------------------------------------


def test_stream_equals_the_whole_sequence_at_every_step(model):
    x = networks.data(model)
    expected = model.predict_timesteps(x)
    session = inference.Stream(model.network)
    for _ in range(2):
        for t, frame in enumerate(networks.frames(x), start=1):
            np.testing.assert_allclose(
                session(frame), expected[:, :t].mean(1), rtol=0, atol=1e-6
            )
            assert session.steps == t
        session.reset()
        assert session.steps == 0


def test_stream_takes_one_frame_without_a_batch():
    model = networks.event_model()
    (x,) = networks.data(model, 1)
    session = inference.Stream(model.network)
    for frame in x:
        logits = session(frame)
    assert logits.shape == (3,)
    np.testing.assert_allclose(logits, model.predict(x[None])[0], atol=1e-6)


def test_stream_goes_on_in_another_session():
    model = networks.adaptive_model()
    x = networks.data(model)
    first, second = (inference.Stream(model.network) for _ in range(2))
    first(x)
    second.state = first.state
    assert second.steps == 1
    np.testing.assert_array_equal(second(x), first(x))
    first.state = inference.Stream(model.network).state
    assert first.steps == 0 and not first.state


def test_stream_sees_new_weights():
    model = networks.image_model()
    x = networks.data(model)
    session = inference.Stream(model.network)
    session(x)
    networks.stirred(model, seed=1)
    session.reset()
    session(x), session(x)
    np.testing.assert_allclose(session(x), model.predict(x), atol=1e-6)


def test_stream_of_other_images_at_each_step():
    model = networks.image_model()
    x = networks.data(model, networks.T)
    session = inference.Stream(model.network)
    for image in x:
        moving = session(image)
    assert np.abs(moving - model.predict(x[:1])[0]).max() > 1e-3


# --- Refusals ---------------------------------------------------------------


def test_stream_refuses_bad_frames():
    session = inference.Stream(networks.image_model().network)
    session(np.zeros((2, 8, 8, 1)))
    with pytest.raises(ValueError, match=r"2 recording.*3 frame.*reset"):
        session(np.zeros((3, 8, 8, 1)))
    with pytest.raises(ValueError, match=r"\(8, 8, 1\).*\(2, 9, 8, 1\)"):
        session(np.zeros((2, 9, 8, 1)))
    with pytest.raises(ValueError, match="dtype bool"):
        session(np.zeros((2, 8, 8, 1), bool))
    frame = np.zeros((2, 8, 8, 1))
    frame[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        session(frame)
    assert session.steps == 1


def test_stream_refuses_a_state_of_another_network():
    first = inference.Stream(networks.image_model().network)
    second = inference.Stream(networks.adaptive_model().network)
    first(np.zeros((2, 8, 8, 1)))
    with pytest.raises(
        ValueError, match=r"another network.*inference\.initial_state"
    ):
        second.state = first.state
    state = first.state
    state["stem_spike"] = state["stem_spike"][:1]
    with pytest.raises(ValueError, match="one batch size"):
        first.state = state


def test_step_refuses_a_state_of_another_batch_size():
    step = inference.step_model(networks.image_model().network)
    inputs = {"inputs": networks.as_tensor(np.zeros((4, 8, 8, 1)))}
    # One state would be broadcast to all images without a word.
    with pytest.raises(ValueError, match="stem_spike.*another batch size"):
        step({**inputs, **inference.initial_state(step, 1)})
    with pytest.raises(ValueError, match="batch_size=0"):
        inference.initial_state(step, 0)
    with pytest.raises(ValueError, match="step_model"):
        inference.initial_state(keras.Sequential([keras.layers.Dense(1)]))


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv3D(1, (3, 1, 1), padding="same", name="mixer"),
        keras.layers.LayerNormalization(axis=(1, 2), name="mixer"),
    ],
    ids=["convolution", "normalization"],
)
def test_refuses_a_layer_that_mixes_time(layer):
    layer = type(layer).from_config(layer.get_config())
    inputs = keras.Input((4, 4, 1), name="inputs")
    x = layer(DirectEncoding(3)(inputs))
    logits = EachStep(keras.layers.Flatten())(LIF()(x))
    network = keras.Model(inputs, {"logits": logits})
    with pytest.raises(ValueError, match="'mixer'.*EachStep"):
        inference.step_model(network)


@keras.saving.register_keras_serializable("tests")
class Composite(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.neuron = LIF(name="hidden")

    def call(self, x):
        return self.neuron(x * 1e-3)

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Composite(name="block"),
        lambda: EachStep(LIF(name="hidden"), name="block"),
    ],
    ids=["composite", "each_step"],
)
def test_refuses_neurons_that_a_layer_hides(layer):
    with pytest.raises(ValueError, match=r"'block'.*'hidden'.*walk\(x, visit"):
        inference.step_model(drawn(layer()))


def test_refuses_time_that_is_made_otherwise():
    inputs = keras.Input((4, 4, 1), name="inputs")
    x = LIF(name="lif")(keras.ops.stack([inputs, inputs], axis=1))
    logits = EachStep(keras.layers.Flatten())(x)
    network = keras.Model(inputs, {"logits": logits})
    with pytest.raises(ValueError, match="'lif'.*DirectEncoding"):
        inference.step_model(network)


def test_refuses_what_is_no_network():
    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match='"logits"'):
        inference.step_model(keras.Model(inputs, inputs * 2))
    model = networks.image_model(input_shape=(8, 8, 1)).network
    any_size = keras.Input((None, None, 1), name="inputs")
    x = LIF(name="lif")(DirectEncoding(2)(any_size))
    logits = keras.ops.mean(x, axis=(2, 3))
    with pytest.raises(ValueError, match="'lif'.*one size"):
        inference.step_model(keras.Model(any_size, {"logits": logits}))
    assert model.built
