"""Whether PyTorch runs operations now, or records them for later."""

import torch


def is_tracing() -> bool:
    """Whether this is inside `torch.compile`, an export, or `jit.trace`.

    What is traced should be operations a compiler knows, and must not depend
    on the sizes of the example it is traced with.
    """
    return torch.compiler.is_compiling() or torch.jit.is_tracing()
