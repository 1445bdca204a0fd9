"""The multi-step LIF neuron for PyTorch on a CPU.

The same function as `portable_lif.py`, arranged for an interpreter that runs
one operation at a time: a block of the batch that fits the caches takes all
its operations before the next block starts, results go straight to where they
belong, and spikes are floats, because PyTorch's operations on Booleans are
not vectorized (5 to 30 times slower).

With k_t = 1 - s_t - h_t * sg_t (hard) or 1 - threshold * sg_t (soft), and
without their last terms for `detach_reset`, the backward pass there is

    gh_t = gs_t * sg_t + decay * k_t * gh_{t+1}

of which only one operation per time step cannot take all steps at once.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from keras_tcl.kernels.torch_tracing import is_tracing
from keras_tcl.surrogates import ATan, Triangle

# Elements `[rows, T, columns]` of a block, for each thread; and of one of its
# time steps at least, which is what PyTorch gives a thread.
BLOCK_SIZE = 2**19
SMALLEST_STEP = 2**15


def is_suited(x: Any) -> bool:
    """Whether these are for a tensor: on a CPU, and not being traced."""
    return x.device.type == "cpu" and not is_tracing()


def lif_forward(
    x: torch.Tensor, decay: Any, threshold: float, reset: str
) -> torch.Tensor:
    """As `keras_tcl.kernels.lif_forward`."""
    decay = float(decay)
    spikes = torch.empty_like(x, memory_format=torch.contiguous_format)
    with torch.no_grad():
        for x_block, s_block, h, s in _blocks([x, spikes], buffers=2):
            if x.dtype == torch.float32:
                s = s_block
            _charge_and_fire(x_block, h, s, decay, threshold, reset)
            if s is not s_block:
                s_block.copy_(s)
    return spikes


def _charge_and_fire(
    x: torch.Tensor,
    h: torch.Tensor,
    s: torch.Tensor,
    decay: float,
    threshold: float,
    reset: str,
) -> None:
    """Write potentials and spikes of the input `[rows, T, columns]`."""
    x = x.float()
    u = torch.zeros_like(h[:, 0])
    if reset == "hard":
        decay = -decay  # `u` is the negative of the potential.
    for t in range(h.shape[1]):
        torch.add(x[:, t], u, alpha=decay, out=h[:, t])
        torch.ge(h[:, t], threshold, out=s[:, t])
        if reset == "hard":
            # 0 where -h <= -threshold. A product would be NaN after infinity.
            torch.neg(h[:, t], out=u)
            torch.threshold_(u, -threshold, 0.0)
        else:
            torch.add(h[:, t], s[:, t], alpha=-threshold, out=u)


def lif_backward(
    x: torch.Tensor,
    gs: torch.Tensor,
    decay: Any,
    threshold: float,
    reset: str,
    detach_reset: bool,
    surrogate: Callable[[Any], Any],
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Gradients of the input and, if it is a tensor, of the decay.

    Of the spikes' gradient `gs`.
    """
    of_decay = None if isinstance(decay, float) else torch.zeros_like(decay)
    decay = float(decay)
    gx = torch.empty_like(x, memory_format=torch.contiguous_format)
    slope_of = _IN_PLACE.get(type(surrogate), lambda surrogate, v: surrogate(v))
    for x_block, gs_block, gx_block, h, k, v, gh in _blocks(
        [x, gs, gx], buffers=4
    ):
        if x.dtype == torch.float32:
            gh = gx_block
        _charge_and_fire(x_block, h, k, decay, threshold, reset)
        slope = slope_of(surrogate, torch.sub(h, threshold, out=v))
        if reset == "hard":
            k.neg_().add_(1)
            if not detach_reset:
                k.addcmul_(h, slope, value=-1)
        elif detach_reset:
            k.fill_(1)
        else:
            torch.mul(slope, -threshold, out=k).add_(1)
        torch.mul(slope, gs_block, out=gh)
        for t in reversed(range(h.shape[1] - 1)):
            gh[:, t].addcmul_(gh[:, t + 1], k[:, t], value=decay)
        if of_decay is not None:
            fired = torch.ge(h, threshold, out=v)
            if reset == "hard":
                u = torch.addcmul(h, h, fired, value=-1, out=k)
            else:
                u = torch.add(h, fired, alpha=-threshold, out=k)
            of_decay += u[:, :-1].mul_(gh[:, 1:]).sum()
        if gh is not gx_block:
            gx_block.copy_(gh)
    return gx, of_decay


def _triangle_in_place(surrogate: Triangle, v: torch.Tensor) -> torch.Tensor:
    v.abs_().neg_().add_(surrogate.gamma).relu_()
    return v if surrogate.gamma == 1 else v.mul_(surrogate.gamma**-2)


def _atan_in_place(surrogate: ATan, v: torch.Tensor) -> torch.Tensor:
    v.mul_(math.pi / 2 * surrogate.alpha)
    return (
        torch.mul(v, v, out=v).add_(1).reciprocal_().mul_(surrogate.alpha / 2)
    )


# The two surrogates of nearly all work. A new tensor for each operation of
# theirs costs as much as everything else.
_IN_PLACE: dict[type, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    Triangle: _triangle_in_place,
    ATan: _atan_in_place,
}


def _blocks(
    tensors: Sequence[torch.Tensor], buffers: int
) -> Iterator[list[torch.Tensor]]:
    """The same part `[rows, T, columns]` of all tensors `[B, T, ...]`.

    Beside them float32 buffers of the same shape to work in. Memory that was
    never touched costs more than the arithmetic, so all parts share them.
    """
    batch, timesteps = tensors[0].shape[:2]
    columns = math.prod(tensors[0].shape[2:])
    tensors = [
        tensor.contiguous().view(batch, timesteps, columns)
        for tensor in tensors
    ]
    size = max(BLOCK_SIZE // timesteps, SMALLEST_STEP)
    size *= torch.get_num_threads()
    # `max(1, ...)`: an empty batch or layer has no parts.
    rows = max(1, min(batch, size // max(1, columns)))
    # The type and device by name: both have defaults that a user may set.
    work = torch.empty(
        (buffers, rows, timesteps, min(size, columns)),
        dtype=torch.float32,
        device=tensors[0].device,
    )
    for top in range(0, batch, rows):
        for left in range(0, columns, size):
            parts = [
                tensor[top : top + rows, :, left : left + size]
                for tensor in tensors
            ]
            height, _, width = parts[0].shape
            yield parts + [*work[:, :height, :, :width]]
