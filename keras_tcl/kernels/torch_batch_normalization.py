"""Batch normalization by PyTorch's own kernels, channels last.

Keras composes it of a dozen elementary operations, whose intermediate results
PyTorch keeps for the gradient. The fused kernels read the input twice, keep
nothing but it, and take half precision without a float32 copy.
"""

from typing import Any

import torch

from keras_tcl.kernels.torch_tracing import is_tracing


def is_suited(x: Any) -> bool:
    """Whether there is something to normalize, and nobody traces it.

    Statistics and parameters come in float32, which the kernels take beside
    half precision, but not beside float64.
    """
    return x.numel() > 0 and x.dtype != torch.float64 and not is_tracing()


def normalize_batch(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    epsilon: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalize `[..., C]` by its own statistics.

    Returns:
        The normalized tensor, and mean and (biased) variance `[C]`.
    """
    outputs, mean, inverse_deviation = torch.native_batch_norm(
        _as_images(x), gamma, beta, None, None, True, 0.0, epsilon
    )
    variance = (inverse_deviation.detach() ** -2 - epsilon).clamp_(min=0)
    return _like(outputs, x), mean.detach(), variance


def normalize(
    x: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    epsilon: float,
) -> torch.Tensor:
    """Normalize `[..., C]` by given statistics."""
    outputs = torch.nn.functional.batch_norm(
        _as_images(x), mean, variance, gamma, beta, False, 0.0, epsilon
    )
    return _like(outputs, x)


def _as_images(x: torch.Tensor) -> torch.Tensor:
    """`[..., C]` as `[1, C, N, 1]`, which is one image with channels last."""
    return x.reshape(1, -1, 1, x.shape[-1]).permute(0, 3, 1, 2)


def _like(images: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return images.permute(0, 2, 3, 1).reshape(x.shape)
