"""The neuron in float64 NumPy, and the gradient of any tensor function."""

import keras
import numpy as np
from keras import ops

BACKEND = keras.config.backend()


def lif(x, decay, threshold, reset):
    """Potentials before the reset and spikes, `[B, T, ...]` each."""
    u = np.zeros(x[:, 0].shape)
    potentials, spikes = [], []
    for x_t in np.moveaxis(np.asarray(x, "float64"), 1, 0):
        h = decay * u + x_t
        fired = h >= threshold
        u = np.where(fired, 0.0 if reset == "hard" else h - threshold, h)
        potentials.append(h)
        spikes.append(fired.astype("float64"))
    return np.stack(potentials, axis=1), np.stack(spikes, axis=1)


def lif_gradient(
    x, upstream, decay, threshold, reset, detach_reset, derivative
):
    """Gradient of `sum(upstream * spikes)` by forward accumulation.

    The derivatives of the state with respect to the input of every step k are
    carried along with the state, by the chain rule as it stands in the
    equations. The library goes backward in time and shares nothing with this.
    """
    x = np.moveaxis(np.asarray(x, "float64"), 1, 0)
    upstream = np.moveaxis(np.asarray(upstream, "float64"), 1, 0)
    u = np.zeros(x[0].shape)
    du = np.zeros(x.shape)  # du[k] is the derivative of u_t by x_k.
    gradient = np.zeros(x.shape)
    for t in range(len(x)):
        h = decay * u + x[t]
        dh = decay * du
        dh[t] += 1.0
        s = (h >= threshold).astype("float64")
        ds = derivative(h - threshold) * dh
        ds_in_reset = 0.0 if detach_reset else ds
        if reset == "hard":  # u = h * (1 - s)
            u = h * (1 - s)
            du = dh * (1 - s) - h * ds_in_reset
        else:  # u = h - threshold * s
            u = h - threshold * s
            du = dh - threshold * ds_in_reset
        gradient += upstream[t] * ds
    return np.moveaxis(gradient, 0, 1)


def output_and_gradient(
    function, x, upstream, dtype="float32", compiled=BACKEND == "jax"
):
    """Return `function(x)` and the gradient of `sum(upstream * function(x))`.

    Both as tensors of the active backend. `compiled` runs them under XLA, in
    TensorFlow with an unknown batch size; PyTorch stays eager. By default
    whatever is quicker: JAX compiles every single operation of an eager run.
    """
    run = with_gradient(function)
    if compiled and BACKEND == "tensorflow":
        import tensorflow as tf

        spec = tf.TensorSpec((None, *x.shape[1:]), dtype)
        run = tf.function(run, jit_compile=True, input_signature=[spec, spec])
    elif compiled and BACKEND == "jax":
        import jax

        run = jax.jit(run)
    return run(
        ops.convert_to_tensor(x, dtype=dtype),
        ops.convert_to_tensor(upstream, dtype=dtype),
    )


def with_gradient(function):
    """Return `run(x, upstream)`: `function(x)` and its pulled-back upstream."""

    def run(x, upstream):
        if BACKEND == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            return y, tape.gradient(y, x, output_gradients=upstream)
        if BACKEND == "jax":
            import jax

            y, pullback = jax.vjp(function, x)
            return y, pullback(upstream)[0]
        x = x.detach().clone().requires_grad_(True)
        y = function(x)
        y.backward(upstream)
        return y.detach(), x.grad

    return run


def to_numpy(tensor):
    """NumPy float32, which holds every bfloat16 and float16 exactly."""
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))
