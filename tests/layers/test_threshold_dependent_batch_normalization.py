"""Threshold-dependent batch normalization, against its formula in NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl.layers import EachStep, ThresholdDependentBatchNormalization

RNG = np.random.default_rng(0)


def layer_with_weights(**kwargs):
    layer = ThresholdDependentBatchNormalization(
        alpha=0.5**0.5, threshold=0.6, **kwargs
    )
    layer.build((None, 4, 5, 5, 3))
    for variable in layer.weights:
        variable.assign(RNG.uniform(0.5, 1.5, 3))
    return layer


def formula(layer, x, mean, variance):
    gamma = ops.convert_to_numpy(layer.gamma.value).astype("float64")
    beta = ops.convert_to_numpy(layer.beta.value).astype("float64")
    x = np.sqrt(0.5) * 0.6 * (x - mean) / np.sqrt(variance + 1e-5)
    return gamma * x + beta


def sequence():
    return RNG.normal(2.0, 3.0, (2, 4, 5, 5, 3))


def test_training_uses_statistics_over_batch_time_and_space():
    layer, x = layer_with_weights(), sequence()
    mean, variance = x.mean(axis=(0, 1, 2, 3)), x.var(axis=(0, 1, 2, 3))
    moving = ops.convert_to_numpy(layer.moving_variance.value).copy()
    outputs = ops.convert_to_numpy(
        ops.stop_gradient(layer(x.astype("float32"), training=True))
    )
    np.testing.assert_allclose(
        outputs, formula(layer, x, mean, variance), atol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer.moving_variance.value),
        0.9 * moving + 0.1 * variance,
        rtol=1e-5,
    )


def test_inference_uses_moving_statistics():
    layer, x = layer_with_weights(), sequence()
    mean = ops.convert_to_numpy(layer.moving_mean.value)
    variance = ops.convert_to_numpy(layer.moving_variance.value)
    outputs = ops.convert_to_numpy(
        ops.stop_gradient(layer(x.astype("float32"), training=False))
    )
    np.testing.assert_allclose(
        outputs, formula(layer, x, mean, variance), atol=1e-5
    )


def test_inside_each_step_it_is_the_same():
    x = sequence().astype("float32")
    plain = ThresholdDependentBatchNormalization(alpha=0.5)
    wrapped = EachStep(ThresholdDependentBatchNormalization(alpha=0.5))
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.stop_gradient(wrapped(x, training=True))),
        ops.convert_to_numpy(ops.stop_gradient(plain(x, training=True))),
        atol=1e-5,
    )


def test_starts_at_the_scale_of_the_threshold():
    layer = ThresholdDependentBatchNormalization(alpha=1.0, threshold=0.5)
    x = RNG.normal(-7.0, 4.0, (64, 4, 8)).astype("float32")
    outputs = ops.convert_to_numpy(ops.stop_gradient(layer(x, training=True)))
    np.testing.assert_allclose(outputs.std(axis=(0, 1)), 0.5, rtol=1e-4)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.gamma.value), 1.0)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_works_without_center_or_scale(center, scale):
    layer = ThresholdDependentBatchNormalization(
        alpha=0.5, center=center, scale=scale
    )
    x = sequence().astype("float32")
    outputs = ops.convert_to_numpy(ops.stop_gradient(layer(x, training=True)))
    np.testing.assert_allclose(outputs.std(axis=(0, 1, 2, 3)), 0.5, rtol=1e-4)


def test_another_axis():
    x = sequence().astype("float32")
    last = layer_with_weights()
    second = ThresholdDependentBatchNormalization(
        alpha=0.5**0.5, threshold=0.6, axis=1
    )
    second.build((None, 3, 5, 5, 4))
    second.set_weights([ops.convert_to_numpy(v.value) for v in last.weights])
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.stop_gradient(second(np.moveaxis(x, -1, 1)))),
        np.moveaxis(ops.convert_to_numpy(ops.stop_gradient(last(x))), -1, 1),
        atol=1e-5,
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    x = sequence().astype("float32")
    exact = ThresholdDependentBatchNormalization(alpha=0.5)(x, training=True)
    layer = ThresholdDependentBatchNormalization(alpha=0.5, dtype=policy)
    outputs = layer(ops.cast(x, layer.compute_dtype), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == policy[6:]
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.stop_gradient(ops.cast(outputs, "float32"))),
        ops.convert_to_numpy(ops.stop_gradient(exact)),
        atol=0.03,
    )


def test_config_round_trip():
    layer = ThresholdDependentBatchNormalization(
        0.5, 0.7, momentum=0.8, epsilon=1e-3
    )
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert isinstance(copy, ThresholdDependentBatchNormalization)
    assert copy.get_config() == layer.get_config()
    assert (copy.alpha, copy.threshold, copy.momentum) == (0.5, 0.7, 0.8)


@pytest.mark.parametrize("name", ["alpha", "threshold"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "1"])
def test_refuses_a_wrong_factor(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        ThresholdDependentBatchNormalization(**{name: value})
