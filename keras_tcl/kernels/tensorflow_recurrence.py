"""A step function over the time axis, in a loop that XLA can differentiate.

XLA wants to know how many intermediate results the gradient's loop will find.
`tf.while_loop` says so, if it is told; `keras.ops.scan` does not.
"""

from typing import Any

import tensorflow as tf

from keras_tcl.kernels.portable_lif import swap_time_and_batch
from keras_tcl.kernels.portable_recurrence import Step


def scanned(step: Step, x: Any, state: Any) -> Any:
    """As `keras_tcl.kernels.over_time`, in a program of one size for any T."""
    timesteps = x.shape[1]
    steps = swap_time_and_batch(x)
    inputs = tf.TensorArray(
        x.dtype, timesteps, element_shape=steps.shape[1:]
    ).unstack(steps)
    # The first step by itself says of what shape and dtype the outputs are.
    first, state = step(inputs.read(0), state)
    outputs = tf.TensorArray(
        first.dtype, timesteps, element_shape=first.shape
    ).write(0, first)

    def body(t: Any, state: Any, outputs: Any) -> tuple[Any, Any, Any]:
        y, state = step(inputs.read(t), state)
        return t + 1, state, outputs.write(t, y)

    *_, outputs = tf.while_loop(
        lambda t, *_: t < timesteps,
        body,
        (tf.constant(1), state, outputs),
        maximum_iterations=timesteps - 1,
    )
    return swap_time_and_batch(outputs.stack())
