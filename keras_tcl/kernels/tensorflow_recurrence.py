"""A step function over the time axis, in a loop that XLA can differentiate.

XLA wants to know how many intermediate results the gradient's loop will find.
`tf.while_loop` says so, if it is told; `keras.ops.scan` does not.
"""

from typing import Any

import tensorflow as tf
from keras import ops

from keras_tcl.kernels.portable_lif import lif_step, swap_time_and_batch
from keras_tcl.kernels.portable_recurrence import Step


def scanned(step: Step, x: Any, state: Any) -> tuple[Any, Any]:
    """Outputs and state of `kernels.over_time`, of one size for any T."""
    timesteps = x.shape[1]
    x = swap_time_and_batch(x)
    inputs, outputs = (
        tf.TensorArray(x.dtype, timesteps, element_shape=x.shape[1:])
        for _ in range(2)
    )
    inputs = inputs.unstack(x)

    def body(t: Any, state: Any, outputs: Any) -> tuple[Any, Any, Any]:
        y, state = step(inputs.read(t), state)
        return t + 1, state, outputs.write(t, y)

    _, state, outputs = tf.while_loop(
        lambda t, *_: t < timesteps,
        body,
        (tf.constant(0), state, outputs),
        maximum_iterations=timesteps,
    )
    return swap_time_and_batch(outputs.stack()), state


def lif_forward(
    x: tf.Tensor, decay: Any, threshold: float, reset: str
) -> tf.Tensor:
    """As `keras_tcl.kernels.lif_forward`."""

    def step(x_t: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return lif_step(x_t, u, decay, threshold, reset)

    batch, _, *rest = ops.shape(x)
    # Not `zeros_like`, of which tf2onnx makes an invalid loop.
    return scanned(step, x, ops.zeros((batch, *rest), "float32"))[0]
