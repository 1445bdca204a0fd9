"""Batch normalization equals Keras' own layer, whatever computes it."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl.layers import BatchNormalization
from tests.gradients import value_and_gradient
from tests.layer_checks import run_layer_checks

RNG = np.random.default_rng(0)
both_modes = pytest.mark.parametrize("training", [True, False])


def pair(shape, dtype="float32", **kwargs):
    """Our layer and Keras', with the same weights."""
    layers = [
        layer_class(momentum=0.9, epsilon=1e-5, dtype=dtype, **kwargs)
        for layer_class in (BatchNormalization, keras.layers.BatchNormalization)
    ]
    for layer in layers:
        layer.build(shape)
    for ours, theirs in zip(*(layer.weights for layer in layers), strict=True):
        values = RNG.uniform(0.5, 1.5, tuple(ours.shape))
        ours.assign(values)
        theirs.assign(values)
    return layers


def to_numpy(tensor):
    tensor = ops.stop_gradient(ops.cast(tensor, "float32"))
    return ops.convert_to_numpy(tensor)


@both_modes
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
@pytest.mark.parametrize("shape", [(6, 3), (2, 4, 4, 3), (2, 3, 4, 4, 3)])
def test_outputs_statistics_and_gradient(shape, options, training):
    ours, theirs = pair(shape, **options)
    x = RNG.normal(2.0, 3.0, shape).astype("float32")
    weights = ops.convert_to_tensor(RNG.normal(size=shape), "float32")

    def objective(layer):
        # Without side effects, of which JAX takes no gradient.
        trained = [v.value for v in layer.trainable_variables]
        others = [v.value for v in layer.non_trainable_variables]

        def function(x):
            outputs, _ = layer.stateless_call(
                trained, others, x, training=training
            )
            return ops.sum(weights * outputs)

        return function

    a, da = value_and_gradient(objective(ours), x)
    b, db = value_and_gradient(objective(theirs), x)
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(da, db, rtol=1e-4, atol=1e-5)
    ours(x, training=training), theirs(x, training=training)
    for u, v in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(
            to_numpy(u.value), to_numpy(v.value), rtol=1e-5
        )


@both_modes
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy, training):
    """Statistics in float32; the output rounded once."""
    shape = (4, 5, 5, 3)
    ours, theirs = pair(shape, policy)
    x = ops.cast(RNG.normal(2.0, 3.0, shape), ours.compute_dtype)
    a, b = (layer(x, training=training) for layer in (ours, theirs))
    assert keras.backend.standardize_dtype(a.dtype) == ours.compute_dtype
    rounding = {"mixed_bfloat16": 2.0**-7, "mixed_float16": 2.0**-10}[policy]
    np.testing.assert_allclose(
        to_numpy(a), to_numpy(b), rtol=rounding, atol=rounding
    )
    for u, v in zip(ours.weights, theirs.weights, strict=True):
        assert keras.backend.standardize_dtype(u.dtype) == "float32"
        np.testing.assert_allclose(
            to_numpy(u.value), to_numpy(v.value), rtol=1e-4
        )


@pytest.mark.parametrize(
    "options", [{"axis": 1}, {"renorm": True}, {"axis": (-1)}]
)
def test_options_of_keras(options):
    ours, theirs = pair((2, 3, 4, 5), **options)
    x = RNG.normal(2.0, 3.0, (2, 3, 4, 5)).astype("float32")
    a, b = (to_numpy(layer(x, training=True)) for layer in (ours, theirs))
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_frozen_layer_keeps_its_statistics():
    ours, theirs = pair((2, 4, 4, 3))
    ours.trainable = theirs.trainable = False
    before = to_numpy(ours.moving_mean.value)
    x = RNG.normal(2.0, 3.0, (2, 4, 4, 3)).astype("float32")
    a, b = (to_numpy(layer(x, training=True)) for layer in (ours, theirs))
    np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_array_equal(to_numpy(ours.moving_mean.value), before)


def test_constant_input_has_no_negative_variance():
    layer, _ = pair((8, 3))
    layer.moving_variance.assign(np.zeros(3))
    layer(np.full((8, 3), 7.0, "float32"), training=True)
    assert (to_numpy(layer.moving_variance.value) >= 0).all()


def test_has_the_defaults_of_keras():
    ours, theirs = (
        layer_class(name="same").get_config()
        for layer_class in (BatchNormalization, keras.layers.BatchNormalization)
    )
    assert ours == theirs
    assert (ours["momentum"], ours["epsilon"]) == (0.99, 1e-3)


def test_layer(tmp_path):
    run_layer_checks(
        BatchNormalization,
        {"momentum": 0.8},
        input_shape=(2, 4, 4, 3),
        expected_output_shape=(2, 4, 4, 3),
        expected_weights=4,
        folder=tmp_path,
    )
