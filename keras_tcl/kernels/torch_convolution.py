"""A convolution of channels-last tensors for PyTorch, without copies.

A tensor `[N, H, W, C]` is one of `[N, C, H, W]` in PyTorch's channels-last
memory format, which its convolutions take and return. Keras brings it into
the other format and back before each of them, and keeps the second copy for
the gradient.
"""

import torch

from keras_tcl.kernels.torch_tracing import is_tracing


def is_suited() -> bool:
    """Whether nobody traces: exporters want plain memory formats."""
    return not is_tracing()


def convolution(
    x: torch.Tensor,
    kernel: torch.Tensor,
    strides: tuple[int, int],
    padding: str,
) -> torch.Tensor:
    """Convolve `[N, H, W, C]` with `[h, w, C, O]`.

    Args:
        x: Tensor `[N, H, W, C]`.
        kernel: Tensor `[h, w, C, O]`.
        strides: Two integers.
        padding: `"same"`, where an odd row or column goes to the bottom or
            the right, as in TensorFlow; or `"valid"`.

    Returns:
        Tensor `[N, H', W', O]`.
    """
    size = kernel.shape[:2]
    if tuple(size) == (1, 1) and max(strides) > 1:
        # The same numbers. PyTorch's CPU build (2.13) writes past its memory
        # in the backward pass of strided 1x1 convolutions of few channels.
        x = x[:, :: strides[0], :: strides[1]]
        strides = (1, 1)
    images = x.permute(0, 3, 1, 2)
    symmetric = (0, 0)
    if padding == "same":
        total = [
            max((-(-length // stride) - 1) * stride + span - length, 0)
            for length, span, stride in zip(
                x.shape[1:3], size, strides, strict=True
            )
        ]
        symmetric = (total[0] // 2, total[1] // 2)
        if total[0] % 2 or total[1] % 2:
            odd = (0, total[1] % 2, 0, total[0] % 2)
            images = torch.nn.functional.pad(images, odd)
    if not images.is_contiguous(memory_format=torch.channels_last):
        images = images.contiguous(memory_format=torch.channels_last)
    outputs = torch.nn.functional.conv2d(
        images, kernel.permute(3, 2, 0, 1), None, strides, symmetric
    )
    return outputs.permute(0, 2, 3, 1)
