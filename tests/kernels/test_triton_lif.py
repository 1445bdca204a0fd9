"""The Triton kernels equal the portable neuron.

Where there is no GPU, Triton's interpreter runs them, so that what they
compute is tested everywhere; and its compiler, which needs no GPU, builds
them for one.
"""

import math
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

from keras_tcl import surrogates
from tests.kernels import reference
from tests.kernels.reference import BACKEND
from tests.kernels.test_lif import on_grid
from tests.surrogates import closed_forms

if BACKEND != "torch":
    pytest.skip("a kernel of PyTorch", allow_module_level=True)

import torch

pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

from keras_tcl.kernels import (  # noqa: E402
    _fused_lif,
    portable_lif,
    torch_autograd,
    torch_lif,
    triton_lif,
)

# Registers, the last T in registers, and through memory.
TIMESTEPS = (1, 4, triton_lif.REGISTER_LIMIT, triton_lif.REGISTER_LIMIT + 3)
both_resets = pytest.mark.parametrize("reset", ["hard", "soft"])


def triton(x, *settings):
    return torch_autograd.lif(triton_lif, x, *settings)


def run(function, x, upstream, *settings):
    x = x.detach().clone().requires_grad_()
    spikes = function(x, *settings)
    spikes.backward(upstream)
    return spikes.detach(), x.grad


@pytest.mark.parametrize("detach_reset", [False, True])
@both_resets
@pytest.mark.parametrize("surrogate", closed_forms.BY_NAME)
@pytest.mark.parametrize("timesteps", TIMESTEPS)
def test_equal_to_the_portable_version(
    timesteps, surrogate, reset, detach_reset
):
    """On random input, in more than one program, the last one not full."""
    shape = (3, timesteps, 25, 17)
    assert 3 * 25 * 17 > triton_lif.BLOCK
    x, upstream = (
        torch.randn(shape, device=DEVICE) + shift for shift in (0.3, 0.0)
    )
    settings = (0.7, 0.9, reset, detach_reset, surrogates.get(surrogate))
    spikes, gradient = run(triton, x, upstream, *settings)
    expected, expected_gradient = run(portable_lif.lif, x, upstream, *settings)
    # A potential within rounding of the threshold, or of an edge of the
    # rectangle, may fall on either side.
    same = (spikes == expected).all(dim=1)
    assert same.float().mean() > 0.999
    difference = (gradient - expected_gradient).abs().amax(dim=1)
    assert (difference[same] < 1e-4).float().mean() > 0.999
    assert 0.05 < spikes.mean() < 0.95
    assert gradient.abs().max() > 0.1


@pytest.mark.parametrize("detach_reset", [False, True])
@both_resets
@pytest.mark.parametrize("timesteps", TIMESTEPS)
def test_gradient_of_a_learned_decay(timesteps, reset, detach_reset):
    x, upstream = (
        torch.tensor(
            on_grid((3, timesteps, 25, 17), seed), device=DEVICE
        ).float()
        for seed in (0, 1)
    )
    settings = (1.0, reset, detach_reset, surrogates.ATan())
    results = []
    for function in (triton, portable_lif.lif):
        decay = torch.tensor(0.5, device=DEVICE, requires_grad=True)
        spikes, gradient = run(function, x, upstream, decay, *settings)
        results.append((spikes, gradient, decay.grad))
    for actual, expected in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    assert timesteps == 1 or abs(float(results[0][2])) > 1
    forward = triton_lif.lif_forward(x, decay.detach(), 1.0, reset)
    torch.testing.assert_close(forward, results[0][0])


@both_resets
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("timesteps", TIMESTEPS)
def test_equal_to_the_reference(timesteps, dtype, reset):
    """Against float64, on numbers that every precision holds exactly."""
    x = on_grid((2, timesteps, 5))
    upstream = on_grid(x.shape, seed=1) - 0.5
    _, expected = reference.lif(x, 0.5, 1.0, reset)
    expected_gradient = reference.lif_gradient(
        x, upstream, 0.5, 1.0, reset, False, closed_forms.BY_NAME["triangle"]
    )
    x, upstream = (
        torch.tensor(v, dtype=getattr(torch, dtype), device=DEVICE)
        for v in (x, upstream)
    )
    settings = (0.5, 1.0, reset, False, surrogates.Triangle())
    spikes, gradient = run(triton, x, upstream, *settings)
    assert spikes.dtype == gradient.dtype == x.dtype
    np.testing.assert_array_equal(spikes.float().cpu(), expected)
    np.testing.assert_allclose(
        gradient.float().cpu(),
        expected_gradient,
        # One rounding; Triton's interpreter cuts bfloat16 off instead.
        rtol={"float32": 1e-5, "float16": 2.0**-11, "bfloat16": 2.0**-7}[dtype],
        atol=2e-6,
    )
    forward = triton_lif.lif_forward(x, 0.5, 1.0, reset)
    np.testing.assert_array_equal(forward.float().cpu(), expected)


@pytest.mark.parametrize("timesteps", TIMESTEPS)
def test_any_memory_layout(timesteps):
    """Strided input, and a gradient expanded from one number."""
    x = torch.randn(4, 6, timesteps, device=DEVICE).transpose(1, 2)
    assert timesteps == 1 or not x.is_contiguous()
    upstream = torch.ones((), device=DEVICE).expand(x.shape)
    settings = (0.5, 1.0, "hard", False, surrogates.ATan())
    spikes, gradient = run(triton, x, upstream, *settings)
    expected, expected_gradient = run(portable_lif.lif, x, upstream, *settings)
    torch.testing.assert_close(spikes, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@both_resets
@pytest.mark.parametrize("timesteps", TIMESTEPS[1:])
def test_nan_never_fires_and_stays_in_its_neuron(timesteps, reset):
    x = torch.full((1, timesteps, 2), 1.5, device=DEVICE)
    x[0, 1, 0] = torch.nan
    spikes, gradient = run(
        triton,
        x,
        torch.ones_like(x),
        *(0.5, 1.0, reset, False, surrogates.Triangle()),
    )
    fired = spikes[0].cpu().numpy()
    np.testing.assert_array_equal(fired[:, 0], np.arange(timesteps) < 1)
    np.testing.assert_array_equal(fired[:, 1], 1.0)
    assert gradient[0, 1:, 0].isnan().all()
    assert gradient[0, :, 1].isfinite().all()


def test_what_it_is_chosen_for():
    class Own(surrogates.Triangle):
        """Looks like a known one, and may compute anything."""

    def on_gpu(*shape):
        # Of a tensor on a GPU, all that the choice looks at.
        return types.SimpleNamespace(
            is_cuda=True,
            device=torch.device("cuda"),
            shape=shape,
            numel=lambda: math.prod(shape),
        )

    x = on_gpu(2, 4, 3)
    for known in closed_forms.BY_NAME:
        assert _fused_lif(x, surrogates.get(known)) is triton_lif
    assert _fused_lif(x) is triton_lif
    assert _fused_lif(x, Own()) is None
    assert _fused_lif(x, lambda v: v) is None
    assert _fused_lif(on_gpu(0, 4, 3)) is None
    assert _fused_lif(on_gpu(2**16, 2, 2**15)) is None
    assert _fused_lif(torch.zeros(2, 4, 3)) is torch_lif


COMPILE = """
import itertools, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from keras_tcl.kernels import triton_lif as kernels

target = GPUTarget("cuda", 90, 32)
for type_of_x, timesteps, learned in itertools.product(
    ("fp32", "bf16"), (4, 16, 40), (False, True)
):
    for kernel in (kernels._forward_kernel, kernels._backward_kernel):
        constants = dict(
            T=timesteps, HARD=True, BLOCK=kernels.BLOCK, DETACH_RESET=False,
            SLOPE="ATan", IN_REGISTERS=timesteps <= kernels.REGISTER_LIMIT,
            LEARNED=learned,
        )
        types = dict.fromkeys(kernel.arg_names, "*" + type_of_x)
        types.update(
            potentials="*fp32", neurons="i32", columns="i32",
            **dict.fromkeys(("decay", "threshold", "parameter"), "fp32"),
            **dict.fromkeys(constants, "constexpr"),
        )
        if learned:
            types.update(decay="*fp32", parts="*fp32")
        source = ASTSource(
            kernel,
            {name: types[name] for name in kernel.arg_names},
            {n: v for n, v in constants.items() if n in kernel.arg_names},
        )
        binary = triton.compile(
            source, target=target, options=kernels.OPTIONS
        ).asm["cubin"]
        print(kernel.fn.__name__, type_of_x, timesteps, len(binary))
"""


def test_compiles_for_a_gpu():
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env=environment,
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr
    sizes = [int(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(sizes) == 24 and min(sizes) > 1000
