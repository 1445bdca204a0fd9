"""A convolution for JAX on a CPU whose kernel gradient is quick.

XLA computes the gradient of a 3x3 kernel as a convolution with a window as
large as the image, which its CPU backend runs 3 to 10 times slower than the
forward pass. It is a sum over positions p of the patch of `x` at p times the
gradient at p,

    dL/dK[i, j, c, o] = sum_p x[p * stride + (i, j), c] * dL/dy[p, o],

hence a matrix product, taken block by block of the batch here, so that the
patches of a block stay in the caches.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp

# Elements of the patches of one block, or those of one sample if more.
BLOCK_SIZE = 2**20

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def is_suited() -> bool:
    """Whether JAX runs on a CPU."""
    return jax.default_backend() == "cpu"


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolution(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: str
) -> jax.Array:
    """Convolve `[N, H, W, C]` with `[h, w, C, O]`.

    Args:
        x: Array `[N, H, W, C]`.
        kernel: Array `[h, w, C, O]`.
        strides: Two integers.
        padding: `"same"` or `"valid"`.

    Returns:
        Array `[N, H', W', O]`.
    """
    return _convolution(x, kernel, strides, padding)


def _convolution(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: str
) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel.astype(x.dtype),
        strides,
        padding.upper(),
        dimension_numbers=_DIMENSIONS,
    )


def _forward(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: str
) -> tuple[jax.Array, Any]:
    return _convolution(x, kernel, strides, padding), (x, kernel)


def _backward(
    strides: tuple[int, int], padding: str, saved: Any, gy: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    _, pull_back = jax.vjp(
        lambda x: _convolution(x, kernel, strides, padding), x
    )
    return pull_back(gy)[0], _kernel_gradient(x, gy, kernel, strides, padding)


convolution.defvjp(_forward, _backward)


def _kernel_gradient(
    x: jax.Array,
    gy: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: str,
) -> jax.Array:
    height, width, channels, filters = kernel.shape
    samples, *size, _ = gy.shape
    pads = lax.padtype_to_pads(
        x.shape[1:3], (height, width), strides, padding.upper()
    )
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))

    def add_block(total: jax.Array, block: tuple) -> tuple[jax.Array, None]:
        x, gy = block
        patches = jnp.concatenate(
            [_shifted(x, i, j) for i in range(height) for j in range(width)],
            axis=-1,
        )
        # In this order the transposed operand is the smaller one.
        product = lax.dot_general(
            gy.reshape(-1, filters),
            patches.reshape(-1, patches.shape[-1]),
            (((0,), (0,)), ((), ())),
            preferred_element_type=total.dtype,
        )
        return total + product, None

    def _shifted(x: jax.Array, i: int, j: int) -> jax.Array:
        spans = [
            slice(start, start + (length - 1) * stride + 1, stride)
            for start, length, stride in zip((i, j), size, strides, strict=True)
        ]
        return x[:, *spans]

    patch_size = height * width * channels
    most = max(1, BLOCK_SIZE // (math.prod(size) * patch_size or 1))
    # The most samples that divide the batch; a batch of none has no blocks.
    rows = max(
        (k for k in range(1, min(most, samples) + 1) if samples % k == 0),
        default=1,
    )
    total, _ = lax.scan(
        add_block,
        jnp.zeros((filters, patch_size), jnp.promote_types(x.dtype, "float32")),
        tuple(a.reshape(samples // rows, rows, *a.shape[1:]) for a in (x, gy)),
    )
    return total.T.reshape(height, width, channels, filters).astype(
        kernel.dtype
    )
