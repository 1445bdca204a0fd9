"""The layer around the neuron's kernel: settings, dtypes, saving, errors."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import layers, surrogates
from keras_tcl.layers import LIF
from tests.kernels import reference
from tests.kernels.reference import BACKEND, to_numpy
from tests.layer_checks import run_layer_checks


def currents(*shape, seed=0):
    """Multiples of 1/64, exact in every float dtype."""
    return np.random.default_rng(seed).integers(-32, 128, shape) / 64


@pytest.fixture
def own_registry(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(surrogates, "_BY_NAME", dict(surrogates._BY_NAME))


def gaussian(v):
    return ops.exp(-np.pi * v * v)


@pytest.mark.parametrize(
    "init_kwargs, shape",
    [
        ({}, (2, 3, 4)),
        (
            {
                "decay": 0.25,
                "threshold": 0.5,
                "reset": "soft",
                "detach_reset": True,
                "surrogate": surrogates.ATan(alpha=3.0),
            },
            (2, 20, 4),
        ),
    ],
    ids=["unrolled", "scan"],
)
def test_layer(init_kwargs, shape, tmp_path):
    run_layer_checks(LIF, init_kwargs, shape, shape, folder=tmp_path)


def test_defaults():
    config = LIF().get_config()
    del config["name"], config["trainable"], config["dtype"]
    assert config == {
        "decay": 0.5,
        "threshold": 1.0,
        "reset": "hard",
        "detach_reset": False,
        "surrogate": "triangle",
        "initial_potential": "zero",
    }


def test_settings_reach_the_neuron():
    x = currents(2, 4, 5)
    settings = {"decay": 0.25, "threshold": 0.75, "reset": "soft"}
    upstream = currents(2, 4, 5, seed=1)
    layer = LIF(**settings, detach_reset=True, surrogate=gaussian)
    y, gradient = reference.output_and_gradient(layer, x, upstream)
    np.testing.assert_array_equal(to_numpy(y), reference.lif(x, **settings)[1])
    expected = reference.lif_gradient(
        x,
        upstream,
        **settings,
        detach_reset=True,
        derivative=lambda v: np.exp(-np.pi * v**2),
    )
    np.testing.assert_allclose(
        to_numpy(gradient), expected, rtol=1e-5, atol=1e-6
    )


def test_every_call_starts_from_rest():
    layer = LIF()
    x = currents(2, 4, 5)
    alone = to_numpy(layer(x))
    layer(np.full_like(x, 0.75))
    np.testing.assert_array_equal(to_numpy(layer(x)), alone)
    assert layer.variables == []


def test_samples_are_independent():
    x = currents(4, 4, 5)
    np.testing.assert_array_equal(
        to_numpy(LIF()(x))[2:3], to_numpy(LIF()(x[2:3]))
    )


def test_integers_are_taken_for_floats():
    x = np.array([[1, 0, 2]], "int32")
    y = LIF()(x)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_array_equal(to_numpy(y), [[1, 0, 1]])


# --- Inference ---------------------------------------------------------------


@pytest.mark.parametrize("timesteps", [4, 20])
def test_inference_gives_the_same_spikes(timesteps):
    x = currents(2, timesteps, 5)
    layer = LIF()
    trained = to_numpy(layer(x, training=True))
    np.testing.assert_array_equal(to_numpy(layer(x, training=False)), trained)
    np.testing.assert_array_equal(to_numpy(layer(x)), trained)


def gradient_reaches_the_input(training):
    layer = LIF()
    x = ops.convert_to_tensor(currents(2, 4, 5), dtype="float32")
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
        return tape.gradient(y, x) is not None
    if BACKEND == "jax":
        import jax

        gradient = jax.grad(lambda x: layer(x, training=training).sum())(x)
        return bool(np.any(gradient))
    return layer(x.requires_grad_(True), training=training).requires_grad


@pytest.mark.parametrize(
    "training, expected", [(True, True), (None, True), (False, False)]
)
def test_only_explicit_inference_stops_the_gradient(training, expected):
    # A training loop written by hand that leaves `training` out must train.
    assert gradient_reaches_the_input(training) is expected


# --- Precision ---------------------------------------------------------------


@pytest.mark.parametrize(
    "policy, unit", [("mixed_bfloat16", 2.0**-8), ("mixed_float16", 2.0**-11)]
)
def test_mixed_precision_charges_in_float32(policy, unit):
    # A quarter of the last bit: in 16 bits, adding it changes nothing.
    x = np.full((1, 5), unit / 4, "float32")
    x[0, 0] = 1 - unit
    dtype = policy.removeprefix("mixed_")
    y, gradient = reference.output_and_gradient(
        LIF(decay=1.0, dtype=policy), x, np.ones_like(x), dtype
    )
    np.testing.assert_array_equal(to_numpy(y), [[0, 0, 0, 0, 1]])
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    assert keras.backend.standardize_dtype(gradient.dtype) == dtype


# --- Saving ------------------------------------------------------------------


def model_with(surrogate):
    inputs = keras.Input((4, 3))
    x = keras.layers.Dense(5)(inputs)
    return keras.Model(inputs, LIF(surrogate=surrogate)(x))


def test_model_with_a_registered_surrogate(own_registry, tmp_path):
    surrogates.register("gaussian", gaussian)
    model = model_with("gaussian")
    model.save(tmp_path / "model.keras")
    revived = keras.saving.load_model(tmp_path / "model.keras")
    assert revived.layers[-1].surrogate is gaussian
    x = currents(2, 4, 3)
    np.testing.assert_array_equal(to_numpy(revived(x)), to_numpy(model(x)))


def test_the_name_must_be_registered_where_the_model_is_opened(
    own_registry, tmp_path
):
    surrogates.register("gaussian", gaussian)
    model_with("gaussian").save(tmp_path / "model.keras")
    del surrogates._BY_NAME["gaussian"]
    # Keras makes a TypeError of whatever stops it from building a layer.
    with pytest.raises(TypeError, match="surrogates.register.*'gaussian'"):
        keras.saving.load_model(tmp_path / "model.keras")


def test_a_model_with_a_nameless_surrogate_runs_but_cannot_be_saved(tmp_path):
    model = model_with(gaussian)
    model(currents(2, 4, 3))
    with pytest.raises(ValueError, match="cannot be saved.*register.*gaussian"):
        model.save(tmp_path / "model.keras")


# --- Errors ------------------------------------------------------------------


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"decay": -0.1}, "`decay` must be .* between 0.* and 1.*decay=-0.1"),
        ({"decay": 1.5}, "decay=1.5"),
        ({"decay": float("nan")}, "decay=nan"),
        ({"decay": "0.5"}, "decay='0.5'"),
        ({"decay": None}, "decay=None"),
        ({"threshold": 0}, "`threshold` must be .* than 0.*threshold=0"),
        ({"threshold": -1.0}, "threshold=-1.0"),
        ({"threshold": float("inf")}, "threshold=inf"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"threshold": None}, "threshold=None"),
        ({"reset": "zero"}, "`reset` must be .*hard.*soft.*reset='zero'"),
        ({"reset": None}, "reset=None"),
        ({"surrogate": "step"}, "Unknown surrogate.*'triangle'.*'step'"),
        ({"surrogate": 1.0}, "Unknown surrogate.*1.0"),
    ],
    ids=str,
)
def test_refuses_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        LIF(**kwargs)


@pytest.mark.parametrize("decay", [0, 1, 0.0, 1.0, np.float32(0.5)], ids=repr)
def test_takes_decays_up_to_the_ends(decay):
    assert type(LIF(decay=decay).decay) is float


def test_refuses_an_unknown_number_of_steps():
    with pytest.raises(ValueError, match=r"number of time steps.*None.*Input"):
        LIF()(keras.Input((None, 3)))
    with pytest.raises(ValueError, match="number of time steps"):
        LIF().compute_output_shape((2, None, 3))


def test_refuses_no_step_at_all():
    with pytest.raises(ValueError, match=r"at least one.*\(2, 0, 3\)"):
        LIF()(np.zeros((2, 0, 3)))


def test_refuses_an_input_without_time():
    with pytest.raises(ValueError, match=r"\[batch, T, ...\].*\(2,\).*Direct"):
        LIF()(np.zeros(2))


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="only here T can be unknown"
)
def test_refuses_an_unknown_number_of_steps_in_a_graph():
    import tensorflow as tf

    call = tf.function(LIF())
    with pytest.raises(ValueError, match="number of time steps"):
        call.get_concrete_function(tf.TensorSpec((None, None, 3)))


def test_is_the_neuron_of_its_docstring():
    x = np.full((1, 4, 1), 0.6)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(layers.LIF()(x)).ravel(), [0, 0, 1, 0]
    )
