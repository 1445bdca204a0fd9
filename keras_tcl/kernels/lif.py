r"""The multi-step leaky integrate-and-fire neuron, as pure functions.

Forward, for t = 1..T, starting from u = 0 (paper eq. 1-3):

    h_t = decay * u_{t-1} + x_t
    s_t = 1 if h_t >= threshold else 0
    u_t = h_t * (1 - s_t)           hard reset
    u_t = h_t - threshold * s_t     soft reset

Backward, for t = T..1, with sg_t = surrogate(h_t - threshold), gs_t the
gradient reaching s_t and gu_t the gradient reaching u_t from step t + 1:

    gh_t = gs_t * sg_t + gu_t * (1 - s_t) - gu_t * h_t * sg_t       hard
    gh_t = gs_t * sg_t + gu_t - gu_t * threshold * sg_t             soft
    gx_t = gh_t,  gu_{t-1} = decay * gh_t

The last term of gh_t is the gradient through the reset; `detach_reset` drops
it. Only the input is kept for the backward pass: the potentials are computed
again from it, which costs two operations a step and saves a float32 tensor of
the input's size (four bytes a neuron and step, whatever the input's dtype).
"""

import importlib.util
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

if keras.config.backend() == "torch":
    from keras_tcl.kernels import torch_autograd, torch_lif

HAS_TRITON = importlib.util.find_spec("triton") is not None

# Up to this many steps are unrolled, which lets a compiler fuse them. Beyond,
# the time loop is a scan, so that the size of the program, and the time to
# compile it, do not grow with T.
UNROLL_LIMIT = 16


def lif(
    x: Any,
    decay: float,
    threshold: float,
    reset: str,
    detach_reset: bool,
    surrogate: Callable[[Any], Any],
) -> Any:
    """Spikes `[B, T, ...]` of the input `[B, T, ...]`, with the BPTT gradient.

    Arithmetic is float32; the spikes and the gradient have the dtype of `x`.
    """
    settings = decay, threshold, reset, detach_reset, surrogate
    fused = _fused(x, surrogate)
    if fused:
        return torch_autograd.lif(fused, x, *settings)
    return portable_lif(x, *settings)


def portable_lif(
    x: Any,
    decay: float,
    threshold: float,
    reset: str,
    detach_reset: bool,
    surrogate: Callable[[Any], Any],
) -> Any:
    """`lif` in `keras.ops`, on any backend and device."""

    @ops.custom_gradient
    def spikes(x: Any) -> Any:
        def grad(*args: Any, upstream: Any = None) -> Any:
            if upstream is None:  # TensorFlow and JAX pass it by position.
                (upstream,) = args
            return _backward(
                x,
                upstream,
                decay=decay,
                threshold=threshold,
                reset=reset,
                detach_reset=detach_reset,
                surrogate=surrogate,
            )

        return _portable_forward(x, decay, threshold, reset), grad

    return spikes(x)


def lif_forward(x: Any, decay: float, threshold: float, reset: str) -> Any:
    """Spikes of the input `[B, T, ...]` without a gradient, for inference."""
    fused = _fused(x)
    run = fused.lif_forward if fused else _portable_forward
    return run(x, decay, threshold, reset)


def _fused(x: Any, surrogate: Any = None) -> Any:
    """The module with PyTorch's own kernels for this tensor, or `None`."""
    if keras.config.backend() != "torch":
        return None
    if torch_lif.is_suited(x):
        return torch_lif
    if x.is_cuda and HAS_TRITON:
        # Imported late: nobody without a GPU waits for it.
        from keras_tcl.kernels import triton_lif

        if triton_lif.is_suited(x, surrogate):
            return triton_lif
    return None


def _portable_forward(
    x: Any, decay: float, threshold: float, reset: str
) -> Any:
    h = _potentials(x, decay, threshold, reset)
    if isinstance(h, list):
        return ops.stack(
            [ops.cast(h_t >= threshold, x.dtype) for h_t in h], axis=1
        )
    return ops.cast(_swap_time_and_batch(h) >= threshold, x.dtype)


def _potentials(x: Any, decay: float, threshold: float, reset: str) -> Any:
    """Return h before the reset: T tensors `[B, ...]`, or one `[T, B, ...]`."""

    def charge(u: Any, x_t: Any) -> Any:
        return decay * u + ops.cast(x_t, "float32")

    def after_reset(h_t: Any) -> Any:
        fired = h_t >= threshold
        if reset == "hard":
            return ops.where(fired, 0.0, h_t)
        return ops.where(fired, h_t - threshold, h_t)

    if x.shape[1] <= UNROLL_LIMIT:
        first, *rest = ops.unstack(x, axis=1)
        h = [ops.cast(first, "float32")]
        for x_t in rest:
            h.append(charge(after_reset(h[-1]), x_t))
        return h

    def step(u: Any, x_t: Any) -> tuple[Any, Any]:
        h_t = charge(u, x_t)
        return after_reset(h_t), h_t

    x = _swap_time_and_batch(x)
    _, h = ops.scan(step, ops.zeros_like(x[0], dtype="float32"), x)
    return h


def _swap_time_and_batch(x: Any) -> Any:
    # Not `moveaxis` or `swapaxes`, which PyTorch cannot export to ONNX.
    return ops.transpose(x, (1, 0, *range(2, len(x.shape))))


def _backward(
    x: Any,
    upstream: Any,
    *,
    decay: float,
    threshold: float,
    reset: str,
    detach_reset: bool,
    surrogate: Callable[[Any], Any],
) -> Any:
    def input_gradient(gu: Any, gs: Any, h: Any) -> Any:
        gs = ops.cast(gs, "float32")
        slope = surrogate(h - threshold)
        if gu is None:  # The last step: nothing follows it.
            return gs * slope
        if reset == "hard":
            through_spike = gs if detach_reset else gs - gu * h
            return through_spike * slope + ops.where(h >= threshold, 0.0, gu)
        through_spike = gs if detach_reset else gs - gu * threshold
        return through_spike * slope + gu

    h = _potentials(x, decay, threshold, reset)
    if isinstance(h, list):
        gx: list[Any] = []
        gu = None
        for gs_t, h_t in zip(
            reversed(ops.unstack(upstream, axis=1)), reversed(h), strict=True
        ):
            gh = input_gradient(gu, gs_t, h_t)
            gx.append(ops.cast(gh, x.dtype))
            gu = decay * gh
        return ops.stack(gx[::-1], axis=1)

    def step(gu: Any, at_t: tuple[Any, Any]) -> tuple[Any, Any]:
        gh = input_gradient(gu, *at_t)
        return decay * gh, gh

    _, gx_all = ops.scan(
        step,
        ops.zeros_like(h[0]),
        (_swap_time_and_batch(upstream), h),
        reverse=True,
    )
    return ops.cast(_swap_time_and_batch(gx_all), x.dtype)
