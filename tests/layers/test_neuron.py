"""A user's own neuron, and every neuron's fast path against its step."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import layers, surrogates
from keras_tcl.kernels import UNROLL_LIMIT
from keras_tcl.layers import IF, LIF, PLIF, Neuron
from tests.gradients import layer_gradients
from tests.kernels.reference import BACKEND, to_numpy
from tests.layer_checks import run_layer_checks
from tests.neurons import AdaptiveLIF, adaptive_lif

SHORT, LONG = 4, 20
assert SHORT <= UNROLL_LIMIT < LONG
both_loops = pytest.mark.parametrize("timesteps", [SHORT, LONG])


def currents(*shape, seed=0):
    """Multiples of 1/64, exact in every float dtype; about half fire."""
    return np.random.default_rng(seed).integers(-32, 128, shape) / 64


def built(neuron, shape):
    neuron.build(shape)
    return neuron


# --- A user's own neuron -----------------------------------------------------


@both_loops
@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_of_input_and_weights(timesteps, compiled):
    shape = (3, timesteps, 4)
    neuron = built(AdaptiveLIF(), shape)
    rise = np.array([0.0, 0.25, 0.5, 1.0])
    neuron.rise.assign(rise)
    x, upstream = currents(*shape), currents(*shape, seed=1)
    expected, distances, gx, grise = adaptive_lif(x, rise, upstream)
    assert distances.min() > 1e-5 or (distances[distances > 0] > 1e-5).all()
    assert 0.1 < expected.mean() < 0.9
    y, actual_gx, (actual_grise,) = layer_gradients(
        neuron, x, upstream, compiled=compiled
    )
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(actual_gx, gx, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(actual_grise, grise, rtol=1e-4, atol=1e-4)


@both_loops
def test_layer(timesteps, tmp_path):
    """Symbolic, under every dtype policy, in a compiled fit, saved."""
    shape = (2, timesteps, 4)
    run_layer_checks(
        AdaptiveLIF,
        {},
        shape,
        shape,
        expected_weights=1,
        folder=tmp_path,
        package="tests",
    )


@both_loops
def test_learns_its_weight_in_a_compiled_fit(timesteps):
    inputs = keras.Input((timesteps, 4))
    neuron = AdaptiveLIF()
    model = keras.Model(inputs, neuron(inputs))
    model.compile("sgd", "mse", jit_compile=BACKEND != "torch")
    x = currents(8, timesteps, 4)
    y = np.zeros_like(x)
    model.fit(x, y, batch_size=8, verbose=0)
    rise = to_numpy(neuron.rise.value)
    expected = adaptive_lif(x, np.ones(4), np.ones_like(x))
    spikes, _, _, _ = expected
    _, _, _, gradient = adaptive_lif(x, np.ones(4), 2 * spikes / spikes.size)
    np.testing.assert_allclose(rise, 1 - 0.01 * gradient, rtol=1e-5)
    assert np.abs(rise - 1).max() > 1e-6


@pytest.mark.parametrize("trailing", [(), (3, 2), (2, 2, 3)], ids=str)
def test_ranks(trailing):
    class Plain(Neuron):
        def step(self, x, u):
            h = 0.5 * u + x
            s = surrogates.spike(h - 1.0)
            return s, h * (1 - s)

    x = currents(2, SHORT, *trailing)
    np.testing.assert_array_equal(to_numpy(Plain()(x)), to_numpy(LIF()(x)))
    symbolic = Plain()(keras.Input((SHORT, *trailing)))
    assert symbolic.shape == (None, SHORT, *trailing)


def test_arithmetic_is_float32_under_every_policy():
    """State, input and weights, though the spikes are not."""
    seen = []

    class Spy(AdaptiveLIF):
        def step(self, x, state):
            seen.extend([x, *state.values(), self.rise + 0.0])
            return super().step(x, state)

    for policy in ("mixed_bfloat16", "float16", "mixed_float16", "bfloat16"):
        y = Spy(dtype=policy)(currents(2, SHORT, 4))
        dtype = policy.removeprefix("mixed_")
        assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert {keras.backend.standardize_dtype(t.dtype) for t in seen} == {
        "float32"
    }


def test_a_state_without_tensors_and_a_nested_one():
    class Stateless(Neuron):
        def initial_state(self, shape):
            return ()

        def step(self, x, state):
            return surrogates.spike(x - 1.0), state

    class Nested(Neuron):
        def initial_state(self, shape):
            return [ops.zeros(shape), {"b": (ops.ones(shape), ops.ones(1))}]

        def step(self, x, state):
            u, rest = state
            return surrogates.spike(u + x - 1.0), [0.5 * (u + x), rest]

    for timesteps in (1, SHORT, LONG):
        x = currents(2, timesteps, 3)
        np.testing.assert_array_equal(to_numpy(Stateless()(x)), x >= 1)
        y, u = [], 0.0
        for x_t in np.moveaxis(x, 1, 0):
            y.append(u + x_t >= 1)
            u = 0.5 * (u + x_t)
        np.testing.assert_array_equal(to_numpy(Nested()(x)), np.stack(y, 1))


# --- Compiled programs -------------------------------------------------------


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch runs eagerly")
def test_program_does_not_grow_with_many_steps():
    sizes = {t: program_size(t) for t in (2, 4, 32, 128)}
    assert sizes[32] == sizes[128]
    assert sizes[2] < sizes[4]  # Unrolled, or the count counts nothing.


def program_size(timesteps):
    """Operations of the traced forward and backward pass."""
    shape = (2, timesteps, 3)
    neuron = built(AdaptiveLIF(), shape)
    if BACKEND == "jax":
        import jax

        def loss(x):
            return neuron(x, training=True).sum()

        x = jax.ShapeDtypeStruct(shape, "float32")
        return str(jax.make_jaxpr(jax.grad(loss))(x)).count(" = ")
    import tensorflow as tf

    @tf.function
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = neuron(x, training=True)
        return tape.gradient(y, [x, *neuron.trainable_variables])

    x = tf.TensorSpec((None, *shape[1:]), "float32")
    graph = gradient.get_concrete_function(x).graph.as_graph_def()
    return len(graph.node) + sum(
        len(function.node_def) for function in graph.library.function
    )


# --- Inference ---------------------------------------------------------------


@both_loops
@pytest.mark.parametrize("neuron_class", [AdaptiveLIF, LIF, IF, PLIF])
def test_inference_gives_the_same_spikes_and_no_gradient(
    neuron_class, timesteps
):
    shape = (2, timesteps, 4)
    neuron = built(neuron_class(), shape)
    x = currents(*shape)
    trained = to_numpy(ops.stop_gradient(neuron(x, training=True)))
    inferred = neuron(ops.convert_to_tensor(x, "float32"), training=False)
    np.testing.assert_array_equal(to_numpy(inferred), trained)
    if BACKEND == "torch":
        assert not inferred.requires_grad
    if BACKEND == "jax":
        import jax

        program = jax.make_jaxpr(lambda x: neuron(x, training=False))(x)
        assert "custom_vjp" not in str(program)
        program = jax.make_jaxpr(lambda x: neuron(x, training=True))(x)
        assert "custom_vjp" in str(program)


@pytest.mark.skipif(BACKEND != "torch", reason="others have no such memory")
def test_inference_keeps_nothing_for_a_gradient():
    import torch

    neuron = built(AdaptiveLIF(), (2, SHORT, 4))
    x = torch.ones((2, SHORT, 4), requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda t: t):
        neuron(x, training=False)
        assert saved == []
        neuron(x, training=True)
        assert saved


# --- Step by step ------------------------------------------------------------


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("neuron_class", [AdaptiveLIF, LIF, IF, PLIF])
def test_advance_is_the_layer_step_by_step(neuron_class, policy):
    neuron = built(neuron_class(dtype=policy), (2, SHORT, 4))
    x = currents(2, SHORT, 4)
    together = neuron(x, training=False)
    state = neuron.resting_state((2, 4))
    for t in range(SHORT):
        spikes, state = neuron.advance(
            ops.convert_to_tensor(x[:, t], "float32"), state, training=False
        )
        assert spikes.dtype == together.dtype
        np.testing.assert_array_equal(
            to_numpy(spikes), to_numpy(together[:, t])
        )
        for tensor in keras.tree.flatten(state):
            assert keras.backend.standardize_dtype(tensor.dtype) == "float32"


def test_the_state_of_lif_is_its_potential():
    neuron = LIF()
    state = neuron.initial_state((2, 3))
    np.testing.assert_array_equal(to_numpy(state), np.zeros((2, 3)))
    x = ops.convert_to_tensor([[0.75, 1.0, 1.5]] * 2)
    _, state = neuron.advance(x, state)
    np.testing.assert_array_equal(to_numpy(state), [[0.75, 0, 0]] * 2)


# --- The fast path equals the step -------------------------------------------


@pytest.mark.parametrize("timesteps", [1, SHORT, LONG])
@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("neuron_class", [LIF, IF, PLIF])
def test_sequence_equals_step(neuron_class, reset, detach_reset, timesteps):
    shape = (2, timesteps, 5, 3)
    neuron = built(
        neuron_class(
            threshold=0.875,
            reset=reset,
            detach_reset=detach_reset,
            surrogate="atan",
        ),
        shape,
    )
    assert type(neuron).sequence is not Neuron.sequence
    x, upstream = currents(*shape), currents(*shape, seed=1) - 0.5
    compiled = BACKEND != "torch" and timesteps > UNROLL_LIMIT

    def by_step(x, training):
        return Neuron.sequence(neuron, x, training)

    fast, slow = (
        layer_gradients(neuron, x, upstream, run=run, compiled=compiled)
        for run in (neuron.sequence, by_step)
    )
    np.testing.assert_array_equal(fast[0], slow[0])
    assert 0.2 < fast[0].mean() < 0.95
    np.testing.assert_allclose(fast[1], slow[1], rtol=1e-5, atol=2e-6)
    assert len(fast[2]) == (neuron_class is PLIF)
    for a, b in zip(fast[2], slow[2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert timesteps == 1 or np.abs(b) > 1e-3


def test_every_neuron_is_in_the_sweeps():
    public = {getattr(layers, name) for name in layers.__all__}
    neurons = {
        c for c in public if isinstance(c, type) and issubclass(c, Neuron)
    }
    assert neurons == {Neuron, LIF, IF, PLIF}


# --- Errors ------------------------------------------------------------------


class Faulty(Neuron):
    """Returns what it is told to."""

    def __init__(self, returned, state=None, **kwargs):
        super().__init__(**kwargs)
        self.returned = returned
        self.state = state

    def initial_state(self, shape):
        if self.state is None:
            return super().initial_state(shape)
        return self.state(shape)

    def step(self, x, state):
        return self.returned(x, state)


FAULTS = {
    "no pair": (lambda x, u: x, None, r"pair \(spikes, state\).*float32"),
    "three": (lambda x, u: (x, u, u), None, "pair.*float32"),
    "spikes of another shape": (
        lambda x, u: (x[:, :1], u),
        None,
        r"spikes of the shape of its input.*3\).*Received: float32.*1\)",
    ),
    "spikes that are no tensor": (
        lambda x, u: (1.0, u),
        None,
        r"spikes of the shape of its input.*Received: float",
    ),
    "another structure": (
        lambda x, u: (x, {"u": u}),
        None,
        r"structure, shapes.*got: float32.*Received: \{'u': 'float32",
    ),
    "another key": (
        lambda x, state: (x, {"v": state["u"]}),
        lambda shape: {"u": ops.zeros(shape)},
        r"got: \{'u': 'float32.*Received: \{'v': 'float32",
    ),
    "a list for a tuple": (
        lambda x, state: (x, list(state)),
        lambda shape: (ops.zeros(shape),),
        r"structure, shapes.*Received: \[",
    ),
    "another shape": (
        lambda x, u: (x, ops.sum(u, axis=-1)),
        None,
        r"structure, shapes.*got: float32.*3\).*Received: float32",
    ),
    "a shape by broadcasting": (
        lambda x, u: (x, x + u),
        lambda shape: ops.zeros((1, 1)),
        r"structure, shapes.*1, 1\).*Received: float32",
    ),
    "another dtype": (
        lambda x, u: (x, ops.cast(u, "float16")),
        None,
        r"got: float32.*Received: float16",
    ),
    "no tensor": (lambda x, u: (x, None), None, "Received: NoneType"),
}


@pytest.mark.parametrize("timesteps", [1, SHORT, LONG])
@pytest.mark.parametrize("name", FAULTS)
def test_refuses_what_step_returns(name, timesteps):
    returned, state, message = FAULTS[name]
    neuron = Faulty(returned, state, name="mine")
    with pytest.raises(ValueError, match=f"`step` of Faulty 'mine'.*{message}"):
        neuron(np.zeros((2, timesteps, 3)))


@pytest.mark.parametrize("name", FAULTS)
def test_refuses_it_when_the_network_is_made(name):
    returned, state, message = FAULTS[name]
    neuron = Faulty(returned, state, name="mine")
    with pytest.raises(ValueError, match=f"(?s)'mine'.*{message}"):
        neuron(keras.Input((SHORT, 3)))


def test_refuses_a_state_of_another_batch_size():
    for batches in ((1, 4), (4, 1)):
        neuron = LIF(name="mine")
        state = neuron.resting_state((batches[0], 3))
        with pytest.raises(ValueError, match="LIF 'mine'.*Received"):
            neuron.advance(ops.zeros((batches[1], 3)), state)


def test_a_neuron_without_a_step():
    class Empty(Neuron):
        pass

    with pytest.raises(NotImplementedError, match="Empty 'mine' has no `step`"):
        Empty(name="mine")(np.zeros((2, SHORT, 3)))


def test_refuses_sequences():
    neuron = AdaptiveLIF(name="mine")
    with pytest.raises(ValueError, match="AdaptiveLIF 'mine'.*number of time"):
        neuron(keras.Input((None, 3)))
    with pytest.raises(ValueError, match="'mine'.*at least one"):
        neuron(np.zeros((2, 0, 3)))


class Never(LIF):
    """A step of its own under a class that has a faster twin."""

    def step(self, x, state):
        return x * 0.0, state


@pytest.mark.parametrize("training", [None, True, False])
def test_a_step_of_ones_own_beats_an_inherited_sequence(training):
    x = np.full((2, 4, 3), 5.0, "float32")
    spikes = ops.convert_to_numpy(Never()(x, training=training))
    np.testing.assert_array_equal(spikes, 0.0)
    assert ops.convert_to_numpy(LIF()(x)).all()


class Noisy(Neuron):
    """Fires at random: a step that draws numbers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(3)

    def step(self, x, state):
        noise = keras.random.uniform(ops.shape(x), seed=self.generator)
        return ops.cast(noise < x, "float32"), state


@pytest.mark.parametrize("timesteps", [4, 20])
def test_random_numbers_in_a_step(timesteps):
    inputs = keras.Input((timesteps, 50))
    model = keras.Model(inputs, Noisy()(inputs))
    x = np.full((8, timesteps, 50), 0.3, "float32")
    first, second = (model.predict(x, verbose=0) for _ in range(2))
    assert 0.25 < first.mean() < 0.35
    # Other numbers at every step, and at every call where Keras keeps state.
    steps = [first[:, t] for t in range(timesteps)]
    assert all((a != b).any() for a, b in zip(steps, steps[1:], strict=False))
    assert (first != second).any()


class NoisyAndLearned(Noisy):
    def build(self, input_shape):
        self.gain = self.add_weight((1,), "ones", name="gain")

    def step(self, x, state):
        noise = keras.random.uniform(ops.shape(x), seed=self.generator)
        return surrogates.spike(self.gain * x - noise, "atan"), state


def test_a_step_that_draws_numbers_is_trained():
    """The scope of its random state hides no weight from the trainer."""
    inputs = keras.Input((4, 5))
    layer = NoisyAndLearned()
    model = keras.Model(inputs, layer(inputs))
    model.compile("sgd", "mse")
    x = np.full((8, 4, 5), 0.5, "float32")
    model.fit(x, np.zeros_like(x), verbose=0)
    assert ops.convert_to_numpy(layer.gain)[0] < 1.0


def test_a_weight_by_position():
    class Weighted(Neuron):
        def build(self, input_shape):
            self.rise = self.add_weight((1,), "ones", "float32", name="rise")

    layer = Weighted()
    layer.build((None, 4, 3))
    assert layer.rise.dtype == "float32"
