"""What PyTorch's processes do together within one step."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from keras_tcl.distribution import torch_processes as processes


class Step(NamedTuple):
    """A step that all processes are in.

    Attributes:
        sizes: Samples of each process.
        index: Which process this is.
    """

    sizes: tuple[int, ...]
    index: int  # type: ignore[assignment]

    @property
    def share(self) -> float:
        """This process's share of the samples."""
        return self.sizes[self.index] / sum(self.sizes)

    @property
    def first(self) -> int:
        """Number of this process's first sample among all."""
        return sum(self.sizes[: self.index])


_current: Step | None = None


def current() -> Step | None:
    """The step that all processes are in, or `None`."""
    return _current


@contextlib.contextmanager
def together(sizes: Any, index: int) -> Iterator[Step]:
    """Within, losses and layers see the batch of all processes."""
    global _current
    _current = Step(tuple(sizes), index)
    try:
        yield _current
    finally:
        _current = None


def gathered(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples of all processes, and the numbers of this one's."""
    step = _current
    assert step is not None
    own = torch.arange(len(x), device=x.device) + step.first
    return _Gather.apply(x, step), own


def normalize_batch(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    epsilon: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalize `[..., C]` by the statistics of all processes.

    In two passes, for the mean of squares minus the square of the mean
    forgets what is small beside the mean.
    """
    values = x.reshape(-1, x.shape[-1])
    if values.dtype in (torch.float16, torch.bfloat16):
        values = values.float()
    count = torch.tensor([len(values)], dtype=values.dtype, device=x.device)
    total = _Sum.apply(torch.cat([values.sum(0), count]))
    count = total[-1].detach()
    mean = total[:-1] / count
    centered = values - mean
    variance = _Sum.apply(centered.square().sum(0)) / count
    outputs = centered * torch.rsqrt(variance + epsilon)
    if gamma is not None:
        outputs = outputs * gamma
    if beta is not None:
        outputs = outputs + beta
    outputs = outputs.to(x.dtype).reshape(x.shape)
    return outputs, mean.detach(), variance.detach()


class _Sum(torch.autograd.Function):
    """The sum over processes; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        total = x.clone()
        processes.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        total = grads[0].contiguous().clone()
        processes.all_reduce(total)
        return total


class _Gather(torch.autograd.Function):
    """The samples of all processes, which may have more or fewer of them.

    A sample serves in the losses of all processes, so its gradient is the sum
    of what they return.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, step: Step) -> torch.Tensor:
        ctx.step = step
        largest = max(step.sizes)
        padded = x.new_zeros((largest, *x.shape[1:]))
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in step.sizes]
        with processes.naming_the_ended():
            dist.all_gather(parts, padded)
        sizes = zip(parts, step.sizes, strict=True)
        return torch.cat([part[:size] for part, size in sizes])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        total = grads[0].contiguous().clone()
        processes.all_reduce(total)
        first = ctx.step.first
        own = ctx.step.sizes[ctx.step.index]
        return total[first : first + own], None
