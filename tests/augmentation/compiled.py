"""Run an augmentation as a compiled model would."""

import keras
import numpy as np
from keras import ops


def compile_layer(layer, shape, dtype="uint8"):
    """Return `run(array)` and the list that grows with each trace.

    TensorFlow compiles with XLA and an unknown batch size, JAX jits
    `stateless_call` and threads the state, PyTorch runs eagerly.

    Args:
        layer: A Keras layer.
        shape: Tuple, the shape of one sample.
        dtype: String, the dtype of the images.
    """
    traces = []
    backend = keras.config.backend()
    layer.build((None, *shape))
    if backend == "tensorflow":
        import tensorflow as tf

        signature = [tf.TensorSpec((None, *shape), dtype)]

        @tf.function(jit_compile=True, input_signature=signature)
        def run(images):
            traces.append(images.shape)
            return layer(images, training=True)

    elif backend == "jax":
        import jax

        @jax.jit
        def step(state, images):
            traces.append(images.shape)
            return layer.stateless_call([], state, images, training=True)

        def run(images):
            state = [v.value for v in layer.non_trainable_variables]
            images, state = step(state, images)
            for variable, value in zip(
                layer.non_trainable_variables, state, strict=True
            ):
                variable.assign(value)
            return images

    else:

        def run(images):
            traces.append(images.shape)
            return layer(images, training=True)

    def run_array(array):
        images = ops.convert_to_tensor(np.asarray(array, dtype))
        return ops.convert_to_numpy(run(images))

    return run_array, traces


def augment(layer, array):
    """Augment a NumPy array, the quickest way for a single call.

    On JAX that is compiled: eagerly, every operation compiles by itself.
    """
    if keras.config.backend() == "jax":
        return compile_layer(layer, array.shape[1:], array.dtype)[0](array)
    return ops.convert_to_numpy(layer(array, training=True))


def transform(layer, images, **parameters):
    """Apply NumPy parameters to NumPy images, `[B, T, H, W, C]` or still."""
    still = images.ndim == 4
    tensors = {
        name: ops.convert_to_tensor(value) for name, value in parameters.items()
    }
    images = images[:, None] if still else images
    function = layer.transform
    if keras.config.backend() == "jax":  # one compilation, not one per op
        import jax

        function = jax.jit(function)
    result = function(ops.convert_to_tensor(images.astype("float32")), tensors)
    result = ops.convert_to_numpy(result)
    return result[:, 0] if still else result


def draw(layer, count=20000, height=8, width=8):
    """Draw parameters of `count` samples as NumPy arrays."""
    return {
        name: ops.convert_to_numpy(value)
        for name, value in layer.draw(count, height, width).items()
    }


def assert_uniform(values, expected):
    """Check that `values` are the `expected` ones, equally often.

    The counts may lie five standard deviations off, so that a fixed seed
    passes and an end left out or doubled does not.
    """
    found, counts = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(found, expected)
    share = 1 / len(expected)
    spread = np.sqrt(len(values) * share * (1 - share))
    assert np.abs(counts - len(values) * share).max() < 5 * spread


def assert_rate(flags, probability):
    """Check that `flags` are true with `probability`, as `assert_uniform`."""
    spread = np.sqrt(probability * (1 - probability) / len(flags))
    assert abs(np.mean(flags) - probability) < 5 * spread
