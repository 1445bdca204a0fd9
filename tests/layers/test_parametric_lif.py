"""PLIF is LIF with a decay that has a gradient."""

import keras
import numpy as np
import pytest

from keras_tcl.layers import LIF, PLIF
from tests.gradients import layer_gradients
from tests.kernels import reference
from tests.kernels.reference import BACKEND, to_numpy
from tests.layer_checks import run_layer_checks
from tests.surrogates import closed_forms


def currents(*shape, seed=0):
    return np.random.default_rng(seed).integers(-32, 128, shape) / 64


@pytest.mark.parametrize("timesteps", [3, 20])
def test_layer(timesteps, tmp_path):
    shape = (2, timesteps, 4)
    settings = {"decay": 0.25, "threshold": 0.5, "reset": "soft"}
    run_layer_checks(
        PLIF, settings, shape, shape, expected_weights=1, folder=tmp_path
    )


@pytest.mark.parametrize("decay", [0.25, 0.5, 0.9])
def test_starts_as_lif(decay):
    x = currents(2, 4, 5)
    layer = PLIF(decay)
    np.testing.assert_array_equal(to_numpy(layer(x)), to_numpy(LIF(decay)(x)))
    np.testing.assert_allclose(to_numpy(layer.current_decay), decay, rtol=1e-6)
    assert tuple(layer.decay_logit.shape) == ()


def decay_gradient(x, upstream, decay, threshold, reset, detach_reset):
    """Of `sum(upstream * spikes)`, by forward accumulation in float64."""
    u, du, total = 0.0, 0.0, 0.0
    for x_t, g in zip(
        np.moveaxis(x, 1, 0), np.moveaxis(upstream, 1, 0), strict=True
    ):
        h, dh = decay * u + x_t, u + decay * du
        s = (h >= threshold).astype("float64")
        ds = closed_forms.atan(h - threshold) * dh
        by_reset = 0.0 if detach_reset else ds
        if reset == "hard":
            u, du = h * (1 - s), dh * (1 - s) - h * by_reset
        else:
            u, du = h - threshold * s, dh - threshold * by_reset
        total += np.sum(g * ds)
    return total


@pytest.mark.parametrize("timesteps", [1, 4, 16, 17])
@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_gradient_of_the_decay(reset, detach_reset, timesteps):
    shape = (3, timesteps, 5)
    x, upstream = currents(*shape), currents(*shape, seed=1)
    layer = PLIF(reset=reset, detach_reset=detach_reset, surrogate="atan")
    layer.build(shape)
    y, gx, (gw,) = layer_gradients(
        layer, x, upstream, compiled=BACKEND != "torch"
    )
    settings = (0.5, 1.0, reset)
    np.testing.assert_array_equal(y, reference.lif(x, *settings)[1])
    np.testing.assert_allclose(
        gx,
        reference.lif_gradient(
            x, upstream, *settings, detach_reset, closed_forms.atan
        ),
        rtol=1e-4,
        atol=1e-5,
    )
    expected = decay_gradient(x, upstream, *settings, detach_reset)
    # sigmoid'(0) = 1/4.
    np.testing.assert_allclose(gw, expected / 4, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float16"])
def test_the_decay_is_learned_in_float32(policy):
    shape = (3, 4, 5)
    x, upstream = currents(*shape), currents(*shape, seed=1)
    layer = PLIF(surrogate="atan", dtype=policy)
    layer.build(shape)
    assert layer.decay_logit.dtype == "float32"
    dtype = policy.removeprefix("mixed_")
    _, _, (gw,) = layer_gradients(layer, x, upstream, dtypes=[dtype, "float32"])
    expected = decay_gradient(x, upstream, 0.5, 1.0, "hard", False)
    np.testing.assert_allclose(gw, expected / 4, rtol=1e-4)


def test_learns_in_a_compiled_fit():
    inputs = keras.Input((4, 5))
    neuron = PLIF()
    model = keras.Model(inputs, neuron(inputs))
    model.compile("sgd", "mse", jit_compile=BACKEND != "torch")
    model.fit(currents(8, 4, 5), np.zeros((8, 4, 5)), verbose=0)
    assert to_numpy(neuron.decay_logit.value) < 0  # It fires less.
    # The configuration is where training began.
    assert neuron.get_config()["decay"] == 0.5


@pytest.mark.parametrize("decay", [0, 1, 0.0, 1.0], ids=repr)
def test_refuses_decays_without_a_logit(decay):
    with pytest.raises(ValueError, match=f"less than 1.*decay={decay!r}"):
        PLIF(decay)
