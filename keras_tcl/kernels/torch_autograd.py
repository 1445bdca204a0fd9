"""The neuron's place in PyTorch's autograd, whichever kernels it runs on."""

from types import ModuleType
from typing import Any

import torch


def lif(
    kernels: ModuleType, x: torch.Tensor, decay: Any, *settings: Any
) -> torch.Tensor:
    """As `keras_tcl.kernels.lif`, by a module's forward and backward pass."""
    return _LIF.apply(x, decay, kernels, *settings)


class _LIF(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        decay: Any,
        kernels: ModuleType,
        *settings: Any,
    ) -> torch.Tensor:
        if isinstance(decay, torch.Tensor):
            ctx.save_for_backward(x, decay)
        else:
            ctx.save_for_backward(x)
            ctx.decay = decay
        ctx.kernels, ctx.settings = kernels, settings
        threshold, reset, *_ = settings
        return kernels.lif_forward(x, decay, threshold, reset)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, *learned = ctx.saved_tensors
        (decay,) = learned or (ctx.decay,)
        gx, of_decay = ctx.kernels.lif_backward(x, gs, decay, *ctx.settings)
        return gx, of_decay, None, *[None] * len(ctx.settings)
