"""Gradients on whichever backend is active."""

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
    value, (gradient,) = value_and_gradients(function, [array], [dtype])
    return value, gradient


def value_and_gradients(function, arrays, dtypes=None, compiled=False):
    """Return `function(*tensors)` and its gradients, one for each tensor.

    Args:
        function: maps tensors to a scalar tensor.
        arrays: NumPy arrays, the point at which to differentiate.
        dtypes: dtypes of the tensors. Defaults to float32.
        compiled: Whether to run it under XLA; PyTorch stays eager.
    """
    dtypes = dtypes or ["float32"] * len(arrays)
    tensors = [
        ops.convert_to_tensor(array, dtype=dtype)
        for array, dtype in zip(arrays, dtypes, strict=True)
    ]
    backend = keras.config.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        def run(*tensors):
            with tf.GradientTape() as tape:
                tape.watch(tensors)
                value = function(*tensors)
            return value, tape.gradient(value, tensors)

        if compiled:
            run = tf.function(run, jit_compile=True)
        value, gradients = run(*tensors)
    elif backend == "jax":
        import jax

        run = jax.value_and_grad(function, tuple(range(len(tensors))))
        value, gradients = (jax.jit(run) if compiled else run)(*tensors)
    else:
        tensors = [x.detach().clone().requires_grad_(True) for x in tensors]
        value = function(*tensors)
        value.backward()
        gradients = [x.grad for x in tensors]
    return _to_numpy(value), [_to_numpy(g) for g in gradients]


def _to_numpy(tensor):
    return np.asarray(ops.convert_to_numpy(ops.cast(tensor, "float32")))


def layer_gradients(layer, x, upstream, training=True, run=None, **kwargs):
    """Outputs of a layer, and gradients of `sum(upstream * outputs)`.

    Args:
        layer: A built layer.
        x: NumPy array, its input.
        upstream: NumPy array of the shape of the output.
        training: As of the layer.
        run: Function of the input and `training` in place of the layer's
            call; it may read the layer's weights.
        **kwargs: As of `value_and_gradients`.

    Returns:
        NumPy arrays: the outputs, the gradient of `x`, and a list of those of
        the trainable weights.
    """
    run = run or layer
    weights = layer.trainable_variables

    def outputs(x, *values):
        mapping = list(zip(weights, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return run(x, training=training)

    def objective(x, *values):
        y = ops.cast(outputs(x, *values), "float32")
        return ops.sum(y * ops.cast(upstream, "float32"))

    values = [ops.convert_to_numpy(v.value) for v in weights]
    _, (gx, *gw) = value_and_gradients(objective, [x, *values], **kwargs)
    y = outputs(
        ops.convert_to_tensor(x, "float32"), *[v.value for v in weights]
    )
    return _to_numpy(ops.stop_gradient(y)), gx, gw
