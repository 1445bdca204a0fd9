"""The neuron's place in PyTorch's autograd, whichever kernels it runs on."""

from types import ModuleType
from typing import Any

import torch


def lif(kernels: ModuleType, x: torch.Tensor, *settings: Any) -> torch.Tensor:
    """As `keras_tcl.kernels.lif`, by a module's forward and backward pass."""
    return _LIF.apply(x, kernels, *settings)


class _LIF(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, kernels: ModuleType, *settings: Any
    ) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.kernels, ctx.settings = kernels, settings
        decay, threshold, reset, *_ = settings
        return kernels.lif_forward(x, decay, threshold, reset)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        gradient = ctx.kernels.lif_backward(x, gs, *ctx.settings)
        return gradient, None, *[None] * len(ctx.settings)
