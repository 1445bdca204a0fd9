"""The denominator in blocks equals the whole one."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl.losses import log_denominator as module
from keras_tcl.losses.log_denominator import log_denominator
from tests.gradients import value_and_gradient


def expected(z, temperature, weights):
    """Values, and the gradient of their weighted sum, in float64."""
    similarity = z @ z.T / temperature
    np.fill_diagonal(similarity, -np.inf)
    peak = similarity.max(axis=1, keepdims=True)
    exponentials = np.exp(similarity - peak)
    sums = exponentials.sum(axis=1, keepdims=True)
    values = (peak + np.log(sums))[:, 0]
    share = exponentials / sums * weights[:, None]
    return values, (share @ z + share.T @ z) / temperature


@pytest.mark.parametrize("count", [8, 12, 13, 23])
def test_blocks(monkeypatch, count):
    """Also where the last block is not full."""
    monkeypatch.setattr(module, "BLOCK_SIZE", 4)
    monkeypatch.setattr(module, "LARGEST_WHOLE", 12)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(count, 5))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    weights = rng.normal(size=count)
    values, gradient = expected(z, 0.2, weights)

    actual = log_denominator(ops.convert_to_tensor(z, "float32"), 0.2)
    np.testing.assert_allclose(
        ops.convert_to_numpy(actual), values, rtol=1e-5, atol=1e-6
    )
    scale = ops.convert_to_tensor(weights, "float32")
    _, actual = value_and_gradient(
        lambda z: ops.sum(scale * log_denominator(z, 0.2)), z
    )
    np.testing.assert_allclose(actual, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(
    keras.config.backend() != "jax", reason="JAX tells the size of a program"
)
def test_memory_does_not_grow_with_the_square():
    """16,384 embeddings of 128: the whole matrix would take 1 GiB."""
    import jax

    def total(z):
        return ops.sum(log_denominator(z, 0.07))

    z = jax.ShapeDtypeStruct((16384, 128), "float32")
    compiled = jax.jit(jax.value_and_grad(total)).lower(z).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 400e6
