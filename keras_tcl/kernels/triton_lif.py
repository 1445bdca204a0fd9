"""The multi-step LIF neuron for PyTorch on a GPU, as two Triton kernels.

The same function as `portable_lif.py`. A program takes a block of neurons
through all their time steps with the potential in registers: the forward pass
reads the input once and writes the spikes once, the backward pass reads input
and upstream gradient once and writes the gradient once. Operation by
operation, each of some ten operations a step would read and write memory.
"""

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl

from keras_tcl.kernels.torch_tracing import is_tracing
from keras_tcl.surrogates import ATan, Rectangle, Sigmoid, Triangle

# Neurons of a program: eight for each thread of four warps.
BLOCK = 1024
# Up to this many steps the backward pass holds all potentials in registers,
# with fewer neurons the more steps there are. Beyond, they go through memory.
REGISTER_LIMIT = 16

# `decay * u + x` is rounded twice, as everywhere else, so that no spike near
# the threshold differs. The kernels wait for memory, not for arithmetic.
OPTIONS = {"enable_fp_fusion": False}

# What the backward pass can compute; one parameter each.
_SLOPES: dict[type, Callable[[Any], float]] = {
    Triangle: lambda surrogate: surrogate.gamma,
    ATan: lambda surrogate: surrogate.alpha,
    Sigmoid: lambda surrogate: surrogate.alpha,
    Rectangle: lambda surrogate: surrogate.width,
}


def is_suited(x: Any, surrogate: Any = None) -> bool:
    """Whether these are for a tensor and surrogate (any, to infer)."""
    return (
        x.is_cuda
        and 0 < x.numel() < 2**31 * x.shape[1]
        and (surrogate is None or type(surrogate) in _SLOPES)
        and not is_tracing()
    )


def lif_forward(
    x: torch.Tensor, decay: Any, threshold: float, reset: str
) -> torch.Tensor:
    """As `keras_tcl.kernels.lif_forward`."""
    x = x.detach().contiguous()
    spikes = torch.empty_like(x)
    neurons, timesteps, columns = _sizes(x)
    with torch.cuda.device_of(x):
        _forward_kernel[(triton.cdiv(neurons, BLOCK),)](
            x,
            spikes,
            neurons,
            columns,
            decay,
            threshold,
            T=timesteps,
            HARD=reset == "hard",
            LEARNED=not isinstance(decay, float),
            BLOCK=BLOCK,
            **OPTIONS,
        )
    return spikes


def lif_backward(
    x: torch.Tensor,
    gs: torch.Tensor,
    decay: Any,
    threshold: float,
    reset: str,
    detach_reset: bool,
    surrogate: Any,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As `torch_lif.lif_backward`."""
    x, gs = x.contiguous(), gs.contiguous()
    gradient = torch.empty_like(x)
    neurons, timesteps, columns = _sizes(x)
    in_registers = timesteps <= REGISTER_LIMIT
    potentials = gradient  # Unused, or overwritten where it was read.
    if not in_registers and x.dtype != torch.float32:
        potentials = torch.empty_like(x, dtype=torch.float32)
    block = BLOCK
    if in_registers:
        while block * timesteps > 4 * BLOCK and block > BLOCK // 4:
            block //= 2
    programs = triton.cdiv(neurons, block)
    learned = not isinstance(decay, float)
    # A part of the decay's gradient from each program.
    parts = torch.empty(programs, device=x.device) if learned else gradient
    with torch.cuda.device_of(x):
        _backward_kernel[(programs,)](
            x,
            gs,
            gradient,
            potentials,
            parts,
            neurons,
            columns,
            decay,
            threshold,
            _SLOPES[type(surrogate)](surrogate),
            T=timesteps,
            HARD=reset == "hard",
            LEARNED=learned,
            DETACH_RESET=detach_reset,
            SLOPE=type(surrogate).__name__,
            IN_REGISTERS=in_registers,
            BLOCK=block,
            **OPTIONS,
        )
    return gradient, parts.sum() if learned else None


def _sizes(x: torch.Tensor) -> tuple[int, int, int]:
    """Neurons of all samples, time steps, and neurons of a sample."""
    batch, timesteps = x.shape[:2]
    neurons = x.numel() // timesteps
    return neurons, timesteps, neurons // batch


@triton.jit
def _first_step(neuron, columns, T: tl.constexpr):
    """Where the first step of a neuron lies in `[B, T, columns]`."""
    sample = (neuron // columns).to(tl.int64)
    return sample * T * columns + neuron % columns


@triton.jit
def _after_reset(h, threshold, HARD: tl.constexpr):
    if HARD:
        return tl.where(h >= threshold, 0.0, h)
    return tl.where(h >= threshold, h - threshold, h)


@triton.jit
def _slope(v, parameter, SLOPE: tl.constexpr):
    """The surrogates of `keras_tcl.surrogates`, by name."""
    if SLOPE == "Triangle":
        # Not `maximum`, which would make a NaN zero.
        height = parameter - tl.abs(v)
        return tl.where(height < 0, 0.0, height) / (parameter * parameter)
    elif SLOPE == "ATan":
        scaled = v * (3.141592653589793 / 2 * parameter)
        return parameter / 2 / (1.0 + scaled * scaled)
    elif SLOPE == "Sigmoid":
        p = tl.sigmoid(parameter * v)
        return parameter * p * (1.0 - p)
    else:
        tl.static_assert(SLOPE == "Rectangle")
        return tl.where(tl.abs(v) < parameter / 2, 1.0 / parameter, 0.0)


@triton.jit
def _input_gradient(
    gs,
    gu,
    h,
    threshold,
    parameter,
    HARD: tl.constexpr,
    DETACH_RESET: tl.constexpr,
    SLOPE: tl.constexpr,
):
    slope = _slope(h - threshold, parameter, SLOPE)
    if HARD:
        kept = tl.where(h >= threshold, 0.0, gu)
        by_reset = gu * h
    else:
        kept = gu
        by_reset = gu * threshold
    if DETACH_RESET:
        return gs * slope + kept
    return (gs - by_reset) * slope + kept


@triton.jit
def _value(decay, LEARNED: tl.constexpr):
    """The decay, which is read from memory if it is learned."""
    if LEARNED:
        return tl.load(decay)
    else:
        return decay


@triton.jit
def _charge(u, x, at, exists, decay):
    """Potential before the reset, with the input of the step at `at`."""
    x_t = tl.load(x + at, mask=exists, other=0.0)
    return decay * u + x_t.to(tl.float32)


@triton.jit
def _step_back(
    gh_next,
    h,
    upstream,
    gradient,
    at,
    exists,
    decay,
    threshold,
    parameter,
    HARD: tl.constexpr,
    DETACH_RESET: tl.constexpr,
    SLOPE: tl.constexpr,
):
    """Write and return the gradient of the step at `at`."""
    gs = tl.load(upstream + at, mask=exists, other=0.0).to(tl.float32)
    gu = decay * gh_next
    gh = _input_gradient(
        gs, gu, h, threshold, parameter, HARD, DETACH_RESET, SLOPE
    )
    tl.store(gradient + at, gh.to(gradient.dtype.element_ty), mask=exists)
    return gh


@triton.jit
def _forward_kernel(
    x,
    spikes,
    neurons,
    columns,
    decay,
    threshold,
    T: tl.constexpr,
    HARD: tl.constexpr,
    LEARNED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    factor = _value(decay, LEARNED)
    neuron = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    exists = neuron < neurons
    at = _first_step(neuron, columns, T)
    u = tl.zeros((BLOCK,), tl.float32)
    for _ in range(T):
        h = _charge(u, x, at, exists, factor)
        fired = tl.where(h >= threshold, 1.0, 0.0)
        tl.store(spikes + at, fired.to(spikes.dtype.element_ty), mask=exists)
        u = _after_reset(h, threshold, HARD)
        at += columns


@triton.jit
def _backward_kernel(
    x,
    upstream,
    gradient,
    potentials,
    parts,
    neurons,
    columns,
    decay,
    threshold,
    parameter,
    T: tl.constexpr,
    HARD: tl.constexpr,
    LEARNED: tl.constexpr,
    DETACH_RESET: tl.constexpr,
    SLOPE: tl.constexpr,
    IN_REGISTERS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    factor = _value(decay, LEARNED)
    neuron = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    exists = neuron < neurons
    at = _first_step(neuron, columns, T)
    u = tl.zeros((BLOCK,), tl.float32)
    gh = tl.zeros((BLOCK,), tl.float32)
    of_decay = tl.zeros((BLOCK,), tl.float32)
    if IN_REGISTERS:
        all_h = ()
        for _ in tl.static_range(T):
            h = _charge(u, x, at, exists, factor)
            all_h = all_h + (h,)
            u = _after_reset(h, threshold, HARD)
            at += columns
        for step in tl.static_range(T):
            at -= columns
            h = all_h[T - 1 - step]
            if LEARNED:
                of_decay += gh * _after_reset(h, threshold, HARD)
            gh = _step_back(
                gh,
                h,
                upstream,
                gradient,
                at,
                exists,
                factor,
                threshold,
                parameter,
                HARD,
                DETACH_RESET,
                SLOPE,
            )
    else:
        for _ in range(T):
            h = _charge(u, x, at, exists, factor)
            tl.store(potentials + at, h, mask=exists)
            u = _after_reset(h, threshold, HARD)
            at += columns
        # Another thread of the program may read what this one wrote.
        tl.debug_barrier()
        for _ in range(T):
            at -= columns
            h = tl.load(potentials + at, mask=exists, other=0.0)
            # `potentials` may be the same memory: all threads have read.
            tl.debug_barrier()
            if LEARNED:
                of_decay += gh * _after_reset(h, threshold, HARD)
            gh = _step_back(
                gh,
                h,
                upstream,
                gradient,
                at,
                exists,
                factor,
                threshold,
                parameter,
                HARD,
                DETACH_RESET,
                SLOPE,
            )
    if LEARNED:
        tl.store(parts + tl.program_id(0), tl.sum(of_decay))
