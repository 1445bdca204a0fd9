"""Run a function as the active backend's compiler makes it."""

import keras

BACKEND = keras.config.backend()


def compiled(function):
    """XLA on TensorFlow and JAX; Keras runs PyTorch eagerly by default."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


def traced_with_unknown_batch(function):
    """A TensorFlow graph that does not know the batch size, else no change."""
    if BACKEND != "tensorflow":
        return function
    import tensorflow as tf

    def call(*args):
        signature = tf.nest.map_structure(
            lambda x: tf.TensorSpec((None, *x.shape[1:]), x.dtype), args
        )
        return tf.function(function, input_signature=signature)(*args)

    return call
