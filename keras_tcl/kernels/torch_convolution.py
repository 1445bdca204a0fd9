"""A convolution of channels-last tensors for PyTorch, without copies.

A tensor `[N, H, W, C]` is one of `[N, C, H, W]` in PyTorch's channels-last
memory format, which its convolutions take and return. Keras brings it into
the other format and back before each of them, and keeps the second copy for
the gradient.
"""

from typing import Any

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
    device = x.device.type
    if torch.is_autocast_enabled(device):
        # It would do so inside of `forward` alone, and the backward pass would
        # be given two types.
        dtype = torch.get_autocast_dtype(device)
        x, kernel = x.to(dtype), kernel.to(dtype)
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
    outputs = _Convolution.apply(images, kernel, strides, symmetric)
    return outputs.permute(0, 2, 3, 1)


class _Convolution(torch.autograd.Function):
    """`conv2d` that brings kernels into PyTorch's layout and back by itself.

    As one transposition of two axes, which PyTorch does twice as fast as its
    own change of memory format; and in both passes, rather than keep a copy
    of every kernel of the network for the second.
    """

    @staticmethod
    def forward(
        ctx: Any,
        images: torch.Tensor,
        kernel: torch.Tensor,
        strides: tuple[int, int],
        padding: tuple[int, int],
    ) -> torch.Tensor:
        ctx.save_for_backward(images, kernel)
        ctx.settings = strides, padding
        return torch.conv2d(
            images, _channels_last(kernel), None, strides, padding
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[Any, ...]:
        images, kernel = ctx.saved_tensors
        strides, padding = ctx.settings
        of_images, of_kernel, _ = torch.ops.aten.convolution_backward(
            upstream,
            images,
            _channels_last(kernel),
            None,
            strides,
            padding,
            (1, 1),
            False,
            (0, 0),
            1,
            (*ctx.needs_input_grad[:2], False),
        )
        if of_kernel is not None:
            rows = of_kernel.permute(0, 2, 3, 1).reshape(kernel.shape[3], -1)
            of_kernel = rows.t().contiguous().view(kernel.shape)
        return of_images, of_kernel, None, None


def _channels_last(kernel: torch.Tensor) -> torch.Tensor:
    """`[h, w, C, O]` as `[O, C, h, w]` in the channels-last format."""
    *size, filters = kernel.shape
    columns = kernel.reshape(-1, filters).t().contiguous()
    return columns.view(filters, *size).permute(0, 3, 1, 2)
