"""A user's own neuron, and the same one in float64 NumPy."""

import keras
import numpy as np
from keras import ops

import keras_tcl


@keras.saving.register_keras_serializable("tests")
class AdaptiveLIF(keras_tcl.layers.Neuron):
    def build(self, input_shape):
        self.rise = self.add_weight(
            shape=(input_shape[-1],), initializer="ones", name="rise"
        )

    def initial_state(self, shape):
        return {"u": ops.zeros(shape), "a": ops.zeros(shape)}

    def step(self, x, state):
        h = 0.5 * state["u"] + x
        v = h - 1.0 - self.rise * state["a"]
        s = keras_tcl.surrogates.spike(v, "atan")
        return s, {"u": h * (1 - s), "a": 0.75 * state["a"] + s}


def adaptive_lif(x, rise, upstream):
    """Spikes, and the gradients of `sum(upstream * spikes)`.

    By forward accumulation: the derivatives of the state with respect to the
    input of every step k, and to `rise`, are carried along with the state.

    Args:
        x: `[B, T, C]`.
        rise: `[C]`.
        upstream: `[B, T, C]`.

    Returns:
        Spikes, their distances from the threshold, and the gradients of `x`
        and of `rise`.
    """
    x, upstream = (
        np.moveaxis(a.astype("float64"), 1, 0) for a in (x, upstream)
    )
    steps = len(x)
    u, a = np.zeros(x[0].shape), np.zeros(x[0].shape)
    # Row k: by x_k; the last row: by `rise`.
    du, da = np.zeros((2, steps + 1, *x[0].shape))
    gradient = np.zeros((steps + 1, *x[0].shape))
    spikes, distances = [], []
    for t in range(steps):
        h, dh = 0.5 * u + x[t], 0.5 * du
        dh[t] += 1
        v, dv = h - 1 - rise * a, dh - rise * da
        dv[-1] -= a
        s = (v >= 0).astype("float64")
        ds = dv / (1 + np.square(np.pi * v))
        u, du = h * (1 - s), dh * (1 - s) - h * ds
        a, da = 0.75 * a + s, 0.75 * da + ds
        gradient += upstream[t] * ds
        spikes.append(s)
        distances.append(np.abs(v))
    return (
        np.stack(spikes, 1),
        np.stack(distances, 1),
        np.moveaxis(gradient[:-1], 0, 1),
        gradient[-1].sum(0),
    )
