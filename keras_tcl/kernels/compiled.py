"""A model's forward pass, compiled as its backend does it."""

from collections.abc import Callable
from typing import Any

import keras

BACKEND = keras.config.backend()

if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "jax":
    import jax
elif BACKEND == "torch":
    import torch


def compiled(model: keras.Model) -> Callable[[Any], Any]:
    """Returns the function `model(x, training=False)`, compiled.

    Unlike `predict_on_batch` it takes and returns tensors of the backend, so
    that what comes out can go in again without leaving the device. It sees
    the weights as they are at each call.
    """
    if BACKEND == "tensorflow":
        return tf.function(lambda x: model(x, training=False))
    if BACKEND == "jax":

        @jax.jit
        def run(trainable: Any, non_trainable: Any, x: Any) -> Any:
            outputs, _ = model.stateless_call(
                trainable, non_trainable, x, training=False
            )
            return outputs

        return lambda x: run(
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
            x,
        )

    def without_autograd(x: Any) -> Any:
        with torch.no_grad():
            return model(x, training=False)

    return without_autograd
