"""The step function with a surrogate for its derivative."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import surrogates
from keras_tcl.surrogates import spike
from tests.gradients import value_and_gradient, value_and_gradients
from tests.kernels.reference import BACKEND, to_numpy
from tests.surrogates import closed_forms

V = np.array([[-1.5, -0.75, -0.25, 0.0], [0.125, 0.375, 0.875, 2.0]])
UPSTREAM = np.array([[1.0, -2.0, 0.5, 4.0], [1.0, 0.25, -1.0, 3.0]])


def gradient(surrogate, dtype="float32", compiled=False, v=V):
    def objective(v):
        s = spike(v, surrogate)
        assert keras.backend.standardize_dtype(s.dtype) == dtype
        return ops.sum(s * ops.cast(UPSTREAM, dtype))

    return value_and_gradients(objective, [v], [dtype], compiled)[1][0]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_fires_from_the_threshold_on(dtype):
    s = spike(ops.convert_to_tensor(V, dtype), "triangle")
    assert keras.backend.standardize_dtype(s.dtype) == dtype
    np.testing.assert_array_equal(to_numpy(s), V >= 0)


def test_a_number_that_is_none_never_fires():
    v = ops.convert_to_tensor(np.array([np.nan, np.inf, -np.inf], "float32"))
    np.testing.assert_array_equal(to_numpy(spike(v)), [0, 1, 0])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("surrogate", closed_forms.BY_NAME)
def test_gradient_is_the_surrogate(surrogate, compiled):
    np.testing.assert_allclose(
        gradient(surrogate, compiled=compiled),
        UPSTREAM * closed_forms.BY_NAME[surrogate](V),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "dtype, rounding", [("float16", 2.0**-10), ("bfloat16", 2.0**-7)]
)
@pytest.mark.parametrize("surrogate", closed_forms.BY_NAME)
def test_half_precision_is_rounded_once(surrogate, dtype, rounding):
    actual = gradient(surrogate, dtype)
    np.testing.assert_allclose(
        actual, UPSTREAM * closed_forms.BY_NAME[surrogate](V), rtol=rounding
    )


def test_half_precision_does_not_overflow_in_between():
    # (pi * v)**2 is more than float16 can hold.
    v = np.full((1,), 100.0)
    _, slope = value_and_gradient(
        lambda v: ops.sum(spike(v, "atan")), v, "float16"
    )
    np.testing.assert_allclose(slope, closed_forms.atan(v), rtol=1e-2)


def test_takes_whatever_get_takes():
    expected = UPSTREAM * np.exp(-np.pi * V**2)
    own = gradient(lambda v: ops.exp(-np.pi * v * v))
    np.testing.assert_allclose(own, expected, rtol=1e-5)
    np.testing.assert_array_equal(
        gradient(surrogates.Triangle(2.0)) / UPSTREAM, (2 - np.abs(V)) / 4
    )
    with pytest.raises(ValueError, match="Unknown surrogate.*'step'"):
        spike(ops.convert_to_tensor([0.5]), "step")


def test_second_derivative():
    """Of the surrogate, as it stands in the backward pass."""
    v = ops.convert_to_tensor(np.array([-0.5, 0.25], "float32"))
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as outer:
            outer.watch(v)
            with tf.GradientTape() as inner:
                inner.watch(v)
                total = ops.sum(spike(v, "triangle"))
            slope = inner.gradient(total, v)
        second = outer.gradient(slope, v)
    elif BACKEND == "jax":
        import jax

        slope = jax.grad(lambda v: spike(v, "triangle").sum())
        second = jax.grad(lambda v: slope(v).sum())(v)
    else:
        import torch

        v.requires_grad_(True)
        (slope,) = torch.autograd.grad(
            spike(v, "triangle").sum(), v, create_graph=True
        )
        (second,) = torch.autograd.grad(slope.sum(), v)
    np.testing.assert_array_equal(to_numpy(second), [1, -1])


def test_without_gradient():
    v = ops.convert_to_tensor(V, "float32")
    with surrogates.without_gradient():
        s = spike(v)
        with surrogates.without_gradient():
            pass
        if BACKEND == "jax":
            import jax

            assert "custom_vjp" not in str(jax.make_jaxpr(spike)(v))
    np.testing.assert_array_equal(to_numpy(s), V >= 0)
    assert gradient("triangle").any()
    with pytest.raises(KeyError), surrogates.without_gradient():
        raise KeyError
    assert gradient("triangle").any()
