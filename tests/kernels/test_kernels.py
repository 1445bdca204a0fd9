"""Which kernels are chosen, and the parts of them that layers do not show."""

import ast
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl import kernels, surrogates
from keras_tcl.kernels import portable_lif
from tests.gradients import value_and_gradients
from tests.kernels.reference import BACKEND, to_numpy

PACKAGE = pathlib.Path(keras_tcl.__file__).parent


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("folder", ["layers", "surrogates.py"])
def test_only_kernels_import_a_backend(folder):
    path = PACKAGE / folder
    files = [path] if path.is_file() else sorted(path.glob("*.py"))
    assert files
    for file in files:
        for module in imported_modules(file):
            backend = module.split(".")[0]
            assert backend not in ("tensorflow", "jax", "torch", "triton")
            assert not module.startswith("keras_tcl.kernels."), file
        assert "config.backend()" not in file.read_text(), file


def test_portable_modules_import_no_backend():
    files = sorted((PACKAGE / "kernels").glob("portable_*.py"))
    assert len(files) == 3
    for file in files:
        for module in imported_modules(file):
            root = module.split(".")[0]
            portable = module.startswith("keras_tcl.kernels.portable_")
            assert root in ("collections", "typing", "keras") or portable


def test_remat_recomputes():
    calls = []

    def function(x):
        calls.append(1)
        return ops.sum(ops.sin(x) * x)

    x = np.array([0.5, 1.5])
    _, (gradient,) = value_and_gradients(kernels.remat(function), [x])
    np.testing.assert_allclose(gradient, np.cos(x) * x + np.sin(x), rtol=1e-5)
    assert len(calls) > 1
    assert (kernels.remat is keras.remat) == (BACKEND != "jax")


@pytest.mark.parametrize("timesteps", [1, 4, 20])
def test_over_time(timesteps):
    """A running sum, its gradient, and the outputs' order."""
    x = np.random.default_rng(0).normal(size=(3, timesteps, 2))
    weights = np.random.default_rng(1).normal(size=x.shape)

    def step(x_t, state):
        total, count = state
        return total + count * x_t, (total + x_t, count + 1.0)

    def outputs(x):
        state = ops.zeros((3, 2)), ops.zeros(())
        return kernels.over_time(step, x, state)

    t = np.arange(timesteps)[:, None]
    expected = np.cumsum(x, axis=1) - x + t * x
    x_ = ops.convert_to_tensor(x, "float32")
    np.testing.assert_allclose(to_numpy(outputs(x_)), expected, atol=1e-5)
    _, (gradient,) = value_and_gradients(
        lambda x: ops.sum(outputs(x) * ops.cast(weights, "float32")),
        [x],
        compiled=True,
    )
    later = weights.sum(axis=1, keepdims=True) - np.cumsum(weights, axis=1)
    np.testing.assert_allclose(gradient, later + t * weights, atol=1e-4)


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("timesteps", [4, 20])
def test_forward_alone_is_that_of_the_portable_version(
    timesteps, reset, learned
):
    x = np.random.default_rng(0).integers(-32, 128, (2, timesteps, 5)) / 64
    x = ops.convert_to_tensor(x, "float32")
    decay = ops.convert_to_tensor(0.5) if learned else 0.5
    np.testing.assert_array_equal(
        to_numpy(kernels.lif_forward(x, decay, 0.75, reset)),
        to_numpy(portable_lif.lif_forward(x, 0.5, 0.75, reset)),
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("detach_reset", [False, True])
@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 20, 70000), (40, 4, 30000)])
@pytest.mark.skipif(BACKEND != "torch", reason="others use the portable one")
def test_decay_gradient_equals_the_portable_version(
    shape, reset, detach_reset, dtype
):
    """Also where the batch, or one sample, is worked on in several parts."""
    import torch

    settings = (0.75, reset, detach_reset, surrogates.ATan())
    x, upstream = (
        (torch.randn(shape) + shift).to(getattr(torch, dtype))
        for shift in (0.3, 0.01)
    )
    results = []
    for function in (kernels.lif, portable_lif.lif):
        decay = torch.tensor(0.7, requires_grad=True)
        inputs = x.clone().requires_grad_()
        function(inputs, decay, *settings).backward(upstream)
        results.append((decay.grad, inputs.grad))
    (actual, _), (expected, gx) = results
    assert actual.dtype == torch.float32 and actual.shape == ()
    # Of sums whose terms cancel: relative to what they would be in a row.
    scale = float(gx.float().abs().sum())
    assert abs(float(actual - expected)) < 1e-5 * scale
    assert abs(float(expected)) > 1e-5 * scale
