"""MP-Init: neurons that begin with the mean potential of the training."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import kernels
from keras_tcl.layers import IF, LIF, PLIF
from tests.gradients import value_and_gradients
from tests.layer_checks import run_layer_checks


def currents(*shape, seed=0):
    """Multiples of 1/64, exact in every float dtype."""
    return np.random.default_rng(seed).integers(-32, 96, shape) / 64


def neuron(cls=LIF, mean=0.375, shape=(4, 5, 6), **settings):
    layer = cls(initial_potential="running_mean", **settings)
    layer.build(shape)
    layer.mean_potential.assign(mean)
    return layer


def expected(x, u, decay=0.5, reset="hard"):
    """Spikes, and the mean of the last potentials of neurons that fired."""
    u, spikes = np.full(x[:, 0].shape, u), []
    for x_t in np.moveaxis(x, 1, 0):
        h = decay * u + x_t
        s = (h >= 1.0).astype("float64")
        u = h * (1 - s) if reset == "hard" else h - s
        spikes.append(s)
    spikes = np.stack(spikes, axis=1)
    return spikes, u[spikes.any(axis=1)].mean()


@pytest.mark.parametrize("training", [None, False, True])
@pytest.mark.parametrize(
    "cls, settings, timesteps",
    [
        (LIF, {}, 1),
        (LIF, {"decay": 0.25, "reset": "soft"}, 5),
        (LIF, {}, 20),
        (IF, {"reset": "soft"}, 5),
        (PLIF, {"decay": 0.5}, 5),
    ],
)
def test_spikes_and_running_mean(cls, settings, timesteps, training):
    x = currents(4, timesteps, 6)
    layer = neuron(cls, **settings)
    decay = {"decay": 1.0 if cls is IF else 0.5, **settings}
    decay.pop("threshold", None)
    spikes, mean = expected(x, 0.375, **decay)
    assert np.any(spikes != expected(x, 0.0, **decay)[0])
    made = layer(ops.convert_to_tensor(x, "float32"), training=training)
    np.testing.assert_array_equal(ops.convert_to_numpy(made), spikes)
    after = 0.9 * 0.375 + 0.1 * mean if training else 0.375
    found = ops.convert_to_numpy(layer.mean_potential)
    np.testing.assert_allclose(found, after, rtol=1e-5)


def test_no_neuron_that_fired_has_no_potential():
    layer = neuron()
    layer(ops.zeros((4, 5, 6)) - 1.0, training=True)
    found = ops.convert_to_numpy(layer.mean_potential)
    np.testing.assert_allclose(found, 0.9 * 0.375, rtol=1e-6)


def by_steps(layer, x):
    state = layer.resting_state((x.shape[0], x.shape[2]))
    return kernels.over_time(layer.step, x, state)


@pytest.mark.parametrize("cls", [LIF, PLIF])
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_gradients_are_those_of_the_steps(cls, reset):
    """The kernel's, of the input and of the decay, against autodiff."""
    x = currents(4, 5, 6)
    upstream = currents(4, 5, 6, seed=1).astype("float32")
    weights = [np.array(0.3, "float32")] if cls is PLIF else []
    results = []
    for sequence in (cls.sequence, by_steps):
        layer = neuron(cls, reset=reset)

        def loss(x, *weights, layer=layer, sequence=sequence):
            pairs = zip(layer.trainable_variables, weights, strict=True)
            with keras.StatelessScope(state_mapping=list(pairs)):
                return ops.sum(ops.multiply(sequence(layer, x), upstream))

        results.append(value_and_gradients(loss, [x, *weights]))
    (value, gradients), (of_steps, gradients_of_steps) = results
    np.testing.assert_allclose(value, of_steps, rtol=1e-6)
    for one, other in zip(gradients, gradients_of_steps, strict=True):
        assert np.any(other != 0)
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_has_the_potential_in_full(dtype):
    """0.4 has no exact number in half precision: layer and steps agree."""
    layer = neuron(mean=0.4, decay=0.75, dtype=dtype)
    x = ops.convert_to_tensor(currents(64, 5, 6), layer.compute_dtype)
    whole = layer(x, training=False)
    state, spikes = layer.resting_state((64, 6)), []
    for t in range(5):
        s, state = layer.advance(x[:, t], state, training=False)
        spikes.append(s)
    assert whole.dtype == x.dtype
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ops.cast(whole, "float32")),
        ops.convert_to_numpy(ops.cast(ops.stack(spikes, 1), "float32")),
    )


@pytest.mark.parametrize("cls", [LIF, PLIF, IF])
def test_layer(cls, tmp_path):
    settings = {"initial_potential": "running_mean"}
    weights = 2 if cls is PLIF else 1
    shape = (2, 3, 4)
    run_layer_checks(cls, settings, shape, shape, weights, folder=tmp_path)


def test_zero_has_no_weight_and_is_the_default():
    layer = LIF()
    layer.build((2, 3, 4))
    assert layer.initial_potential == "zero" and not layer.variables
    config = layer.get_config()
    del config["initial_potential"]  # A file of before has none.
    assert LIF.from_config(config).initial_potential == "zero"


@pytest.mark.parametrize("value", ["mean", None, 0.5, True])
def test_no_such_potential(value):
    with pytest.raises(ValueError, match="must be one of 'zero', 'running_me"):
        LIF(initial_potential=value)
