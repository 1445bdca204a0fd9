"""What the layers compute with: of each operation the version that suits.

Modules named `portable_` run on every backend and device. Modules named after
a backend hold what it does better by itself than through Keras. This file
alone chooses between them, by backend, device and tensor.
"""

import contextlib
import importlib.util
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_tcl.kernels import portable_lif, portable_recurrence
from keras_tcl.kernels.portable_lif import UNROLL_LIMIT

BACKEND = keras.config.backend()
HAS_TRITON = importlib.util.find_spec("triton") is not None

# Of a batch in pieces.
pieces: Any = None

if BACKEND == "tensorflow":
    from keras_tcl.kernels import tensorflow_pieces, tensorflow_recurrence

    pieces = tensorflow_pieces
elif BACKEND == "jax":
    from keras_tcl.kernels import jax_convolution, jax_pieces
    from keras_tcl.kernels.jax_remat import remat

    pieces = jax_pieces
elif BACKEND == "torch":
    import torch

    from keras_tcl.kernels import (
        torch_autograd,
        torch_batch_normalization,
        torch_convolution,
        torch_lif,
        torch_pieces,
    )

    pieces = torch_pieces

if BACKEND != "jax":
    remat = keras.remat


def lif(
    x: Any,
    decay: Any,
    threshold: float,
    reset: str,
    detach_reset: bool,
    surrogate: Callable[[Any], Any],
) -> Any:
    """Spikes `[B, T, ...]` of the input `[B, T, ...]`, with the BPTT gradient.

    Arithmetic is float32; the spikes and the gradient have the dtype of `x`.

    Args:
        x: Tensor `[B, T, ...]`, T static.
        decay: Float; or a float32 scalar tensor, which then has a gradient.
        threshold: Float.
        reset: `"hard"` or `"soft"`.
        detach_reset: Whether the gradient ignores the path through the reset.
        surrogate: Derivative of the step function.
    """
    settings = decay, threshold, reset, detach_reset, surrogate
    fused = _fused_lif(x, surrogate)
    if fused:
        return torch_autograd.lif(fused, x, *settings)
    return portable_lif.lif(x, *settings)


def lif_forward(x: Any, decay: Any, threshold: float, reset: str) -> Any:
    """Spikes of the input `[B, T, ...]` without a gradient, for inference."""
    kernels = _fused_lif(x) or portable_lif
    if BACKEND == "tensorflow" and x.shape[1] > UNROLL_LIMIT:
        # Exporters to ONNX know this loop, and not that of `keras.ops.scan`.
        kernels = tensorflow_recurrence
    return kernels.lif_forward(x, decay, threshold, reset)


def _fused_lif(x: Any, surrogate: Any = None) -> Any:
    """The module with PyTorch's own kernels for this tensor, or `None`."""
    if BACKEND != "torch":
        return None
    if torch_lif.is_suited(x):
        return torch_lif
    if x.is_cuda and HAS_TRITON:
        # Imported late: nobody without a GPU waits for it.
        from keras_tcl.kernels import triton_lif

        if triton_lif.is_suited(x, surrogate):
            return triton_lif
    return None


def over_time(
    step: Callable[..., Any], x: Any, state: Any, return_state: bool = False
) -> Any:
    """Outputs `[B, T, ...]` of a step function, with its gradient.

    Args:
        step: Function `step(x_t, state) -> (y_t, state)` of the input
            `[B, ...]` of one time step and of tensors in any structure. The
            output has the shape and dtype of the input, the new state the
            structure, shapes and dtypes of the old one.
        x: Tensor `[B, T, ...]`, T static.
        state: State before the first step.
        return_state: Boolean, whether to return the state after the last step
            as well, `(outputs, state)`.
    """
    if x.shape[1] <= UNROLL_LIMIT or BACKEND == "torch":
        run = portable_recurrence.unrolled
    elif BACKEND == "tensorflow":
        run = tensorflow_recurrence.scanned
    else:
        run = portable_recurrence.scanned
    outputs, state = run(step, x, state)
    return (outputs, state) if return_state else outputs


def no_autograd() -> contextlib.AbstractContextManager:
    """Context in which PyTorch remembers nothing for a gradient."""
    return torch.no_grad() if BACKEND == "torch" else contextlib.nullcontext()


def convolution(
    x: Any, kernel: Any, strides: tuple[int, int], padding: str
) -> Any:
    """Convolve `[N, H, W, C]` with `[h, w, C, O]`, to `[N, H', W', O]`.

    Args:
        x: Tensor `[N, H, W, C]`.
        kernel: Tensor `[h, w, C, O]`.
        strides: Two integers.
        padding: `"same"` or `"valid"`.
    """
    # An unknown batch size is that of a graph made to be exported.
    if isinstance(x.shape[0], int):
        if BACKEND == "jax" and jax_convolution.is_suited():
            return jax_convolution.convolution(x, kernel, strides, padding)
        if BACKEND == "torch" and torch_convolution.is_suited():
            return torch_convolution.convolution(x, kernel, strides, padding)
    return ops.conv(x, kernel, strides, padding, "channels_last")


def fused_batch_normalization(x: Any) -> Any:
    """The module that normalizes a tensor better than Keras, or `None`."""
    if BACKEND == "torch" and torch_batch_normalization.is_suited(x):
        return torch_batch_normalization
    return None


def in_pieces(
    step: Callable[[Any, Any], tuple[Any, Any]], x: Any, carry: Any, size: int
) -> tuple[Any, Any]:
    """Work on a batch piece by piece, of which one at a time is in memory.

    Args:
        step: Function `step(x, carry) -> (outputs, carry)` of the rows of a
            piece. Outputs are tensors, in any structure, of as many rows; what
            is carried keeps its structure, shapes and dtypes.
        x: Tensors `[rows, ...]`, in any structure.
        carry: What the first piece is given.
        size: Integer, rows of a piece; the last one may have fewer.

    Returns:
        The outputs of all rows, and what the last piece has carried on. Of a
        gradient, nothing is said: see `recomputed`.
    """
    return pieces.in_pieces(step, x, carry, size)


def recomputed(
    function: Callable[..., Any],
    x: Any,
    weights: list[Any],
    state: list[Any],
    size: int,
) -> tuple[Any, list[Any]]:
    """Work on a batch piece by piece, and again for the gradient.

    Of a pass, nothing is kept but `x` and the outputs. The gradient of the
    outputs is cut into pieces as well, and a second pass goes over them with
    the same state, and adds up the gradients of the weights.

    Args:
        function: Function `(x, weights, state) -> (outputs, state)` without
            side effects, of the rows of a piece. Outputs are floating point
            tensors, in any structure, of as many rows.
        x: Floating point tensor `[rows, ...]`. (It has no gradient on
            TensorFlow.)
        weights: List of floating point tensors.
        state: List of tensors that each piece changes for the next, such as
            moving statistics. It has no gradient.
        size: Integer, rows of a piece; the last one may have fewer.

    Returns:
        The outputs of all rows, and the state after the last piece.
    """
    return pieces.recomputed(function, x, weights, state, size)
