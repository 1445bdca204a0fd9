"""Gradient caching in PyTorch's autograd."""

from collections.abc import Callable
from typing import Any

import keras
import torch
from torch.utils.checkpoint import get_device_states, set_device_states

from keras_tcl.kernels.portable_pieces import in_pieces


def recomputed(
    function: Callable[..., Any],
    x: torch.Tensor,
    weights: list[torch.Tensor],
    state: list[torch.Tensor],
    size: int,
) -> tuple[Any, list[torch.Tensor]]:
    """As `keras_tcl.kernels.recomputed`."""
    passes = _Passes(function, [s.detach() for s in state], size)
    outputs = _Recomputed.apply(passes, x, *weights)
    return keras.tree.pack_sequence_as(passes.structure, outputs), passes.after


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, passes: "_Passes", *tensors: torch.Tensor) -> Any:
        ctx.passes = passes
        ctx.save_for_backward(*tensors)
        return passes.first(*tensors)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        x, *weights = ctx.saved_tensors
        _, of_x, *of_weights = ctx.needs_input_grad
        x = x.detach().requires_grad_(of_x)
        found = ctx.passes.second(
            x,
            [
                w.detach().requires_grad_(of_w)
                for w, of_w in zip(weights, of_weights, strict=True)
            ],
            gradients,
        )
        return None, *found


class _Passes:
    """The two passes over the pieces, which see the same random numbers."""

    def __init__(
        self, function: Callable[..., Any], state: list[Any], size: int
    ) -> None:
        self.function, self.size = function, size
        self.before = self.after = state
        self.structure: Any = None

    def first(self, x: Any, *weights: Any) -> tuple[Any, ...]:
        """Outputs; it keeps nothing for a gradient."""
        self.random = torch.get_rng_state(), get_device_states(x)

        def step(x: Any, state: Any) -> tuple[Any, Any]:
            return self.function(x, list(weights), state)

        outputs, self.after = in_pieces(step, x, self.before, self.size)
        # Not the outputs themselves, which would hold what holds them.
        self.structure = keras.tree.map_structure(lambda _: 0, outputs)
        return tuple(keras.tree.flatten(outputs))

    def second(self, x: Any, weights: list[Any], gradients: Any) -> list[Any]:
        """Gradients of `x` and the weights, `None` where none is wanted."""
        of_x = x.requires_grad

        def step(piece: Any, state: Any) -> tuple[Any, Any]:
            x, gradients = piece
            with torch.enable_grad():
                x = x.detach().requires_grad_(of_x)
                outputs, state = self.function(x, weights, state)
            _go_back(keras.tree.flatten(outputs), gradients)
            found = torch.zeros_like(x) if x.grad is None else x.grad
            return [found] * of_x, [s.detach() for s in state]

        host, on_devices = self.random
        with torch.random.fork_rng(on_devices[0]):
            torch.set_rng_state(host)
            set_device_states(*on_devices)
            of_pieces, _ = in_pieces(
                step, (x, list(gradients)), self.before, self.size
            )
        of_weights = [weight.grad for weight in weights]
        return [of_pieces[0] if of_x else None, *of_weights]


def _go_back(outputs: list[Any], gradients: list[Any]) -> None:
    """Add to the gradients of all that outputs were made of.

    Wrapped modules of PyTorch have parameters that are no weights handed in.
    """
    both = zip(outputs, gradients, strict=True)
    pairs = [(y, gradient) for y, gradient in both if y.requires_grad]
    if pairs:
        torch.autograd.backward([y for y, _ in pairs], [g for _, g in pairs])
