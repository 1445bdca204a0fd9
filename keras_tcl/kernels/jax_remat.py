"""Recomputation that XLA does not undo on a CPU.

`jax.checkpoint` marks what is to be computed again. On a CPU, XLA drops the
mark, finds the same computation twice, and keeps the first result after all.
Here the second one waits for the gradient that comes in, so the two differ.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import numpy as jnp


def remat(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `jax.checkpoint`, for functions of arrays.

    Args:
        function: Function of arrays, the first of them floating point, that
            returns arrays in any structure.
    """
    remembering = jax.custom_vjp(function)

    def forward(*arguments: Any) -> tuple[Any, Any]:
        return function(*arguments), arguments

    def backward(arguments: Any, gradients: Any) -> Any:
        x, *others = arguments
        late = sum(nan_or_zero(g) for g in jax.tree.leaves(gradients))
        _, pull_back = jax.vjp(function, x + late.astype(x.dtype), *others)
        return pull_back(gradients)

    remembering.defvjp(forward, backward)
    return remembering


def nan_or_zero(gradient: Any) -> Any:
    """0 that XLA cannot tell before the gradient is there; NaN stays NaN."""
    if gradient.dtype == jax.dtypes.float0 or not gradient.size:
        return jnp.zeros(())
    first = gradient.ravel()[0]
    return jnp.where(jnp.isnan(first), first, 0).astype("float32")
