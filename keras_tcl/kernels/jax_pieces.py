"""Gradient caching on JAX: both passes are loops that XLA leaves apart."""

from collections.abc import Callable
from typing import Any

import jax
import keras
from jax import numpy as jnp

from keras_tcl.kernels.jax_remat import nan_or_zero
from keras_tcl.kernels.portable_pieces import Step, joined, rows, rows_of


def in_pieces(step: Step, x: Any, carry: Any, size: int) -> tuple[Any, Any]:
    """As `keras_tcl.kernels.in_pieces`."""
    count, rest = divmod(rows_of(x), size)
    outputs = []
    if count:
        split, join = _layout(count, size)
        whole = jax.tree.map(split, rows(x, 0, count * size))
        carry, made = jax.lax.scan(
            lambda carry, piece: step(piece, carry)[::-1], carry, whole
        )
        outputs.append(jax.tree.map(join, made))
    if rest or not count:
        made, carry = step(rows(x, count * size, None), carry)
        outputs.append(made)
    return joined(*outputs), carry


def recomputed(
    function: Callable[..., Any],
    x: jax.Array,
    weights: list[jax.Array],
    state: list[jax.Array],
    size: int,
) -> tuple[Any, list[jax.Array]]:
    """As `keras_tcl.kernels.recomputed`."""

    @jax.custom_vjp
    def run(x: Any, weights: Any, state: Any) -> tuple[Any, Any]:
        def step(x: Any, state: Any) -> tuple[Any, Any]:
            return function(x, weights, state)

        return in_pieces(step, x, state, size)

    def forward(*given: Any) -> tuple[Any, Any]:
        return run(*given), given

    def backward(given: Any, gradients: Any) -> tuple[Any, Any, None]:
        x, weights, state = given
        gradients, _ = gradients
        # A last, smaller piece is in no loop: XLA would find it done before.
        late = sum(nan_or_zero(g) for g in jax.tree.leaves(gradients))
        x = x + late.astype(x.dtype)

        def step(piece: Any, carry: Any) -> tuple[Any, Any]:
            x, gradients = piece
            state, sums = carry
            _, pull_back, state = jax.vjp(
                lambda *of: function(*of, state), x, weights, has_aux=True
            )
            of_x, of_weights = pull_back(gradients)
            return of_x, (state, jax.tree.map(jnp.add, sums, of_weights))

        carry = state, jax.tree.map(jnp.zeros_like, weights)
        of_x, (_, sums) = in_pieces(step, (x, gradients), carry, size)
        return of_x, sums, None

    run.defvjp(forward, backward)
    return run(x, weights, state)


def _layout(count: int, size: int) -> tuple[Any, Any]:
    """Functions that make pieces of rows, and rows of pieces again."""
    if keras.distribution.distribution() is None:
        return (
            lambda a: a.reshape(count, size, *a.shape[1:]),
            lambda a: a.reshape(count * size, *a.shape[2:]),
        )
    # Devices hold neighbouring rows: each piece has some of every device.
    return (
        lambda a: a.reshape(size, count, *a.shape[1:]).swapaxes(0, 1),
        lambda a: a.swapaxes(0, 1).reshape(count * size, *a.shape[2:]),
    )
