"""A step function over the time axis, as Keras' operations."""

from collections.abc import Callable
from typing import Any

from keras import ops

from keras_tcl.kernels.portable_lif import swap_time_and_batch

Step = Callable[[Any, Any], tuple[Any, Any]]


def unrolled(step: Step, x: Any, state: Any) -> tuple[Any, Any]:
    """Outputs and state of `kernels.over_time`; the program grows with T."""
    outputs = []
    for x_t in ops.unstack(x, axis=1):
        y, state = step(x_t, state)
        outputs.append(y)
    return ops.stack(outputs, axis=1), state


def scanned(step: Step, x: Any, state: Any) -> tuple[Any, Any]:
    """The same by `ops.scan`, whose gradient TensorFlow cannot compile."""

    def scan_step(state: Any, x_t: Any) -> tuple[Any, Any]:
        y, state = step(x_t, state)
        return state, y

    state, outputs = ops.scan(scan_step, state, swap_time_and_batch(x))
    return swap_time_and_batch(outputs), state
