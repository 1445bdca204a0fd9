"""`value_and_gradient` on whichever backend is active."""

import keras
import numpy as np
from keras import ops


def value_and_gradient(function, array, dtype="float32"):
    """Return `function(x)` and its gradient with respect to `x`.

    Args:
        function: maps one tensor to a scalar tensor.
        array: NumPy array, the point at which to differentiate.
        dtype: dtype of the tensor handed to `function`.

    Returns:
        Two NumPy arrays: the scalar value, and the gradient in `dtype`
        widened to float32, of the shape of `array`.
    """
    x = ops.convert_to_tensor(array, dtype=dtype)
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        gradient = tape.gradient(value, x)
    elif backend == "jax":
        import jax

        value, gradient = jax.value_and_grad(function)(x)
    else:
        x = x.detach().clone().requires_grad_(True)
        value = function(x)
        value.backward()
        gradient = x.grad
    return (
        np.asarray(ops.convert_to_numpy(ops.cast(value, "float32"))),
        np.asarray(ops.convert_to_numpy(ops.cast(gradient, "float32"))),
    )
