"""keras_tcl, and its twin with ReLU in place of LIF, on any backend."""

import keras
import numpy as np

import keras_tcl
from keras_tcl.losses import MeanCrossEntropy

NEURONS = {"lif": keras_tcl.layers.LIF, "relu": keras.layers.ReLU}


def warm_up():
    """Let Keras import what it imports late (TensorFlow, where installed)."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.zeros((2, 2)), np.zeros(2), verbose=0)
    keras.saving.serialize_keras_object(model.layers[0])


def steps(case, neuron="lif", remat=None):
    """Function that runs `n` steps and returns when they are done."""
    if case["precision"] == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    if case["network"] == "lif":
        return _layer_step(NEURONS[neuron](), case)
    size, channels = case["size"], case["channels"]
    arguments = {"augmenter": None, "neuron": NEURONS[neuron]()}
    shape = (size, size, channels)
    if case["events"]:
        model = keras_tcl.models.vggsnn(
            (case["timesteps"], *shape), **arguments
        )
        shape = (case["timesteps"], *shape)
    else:
        model = getattr(keras_tcl, case["network"])(
            shape, timesteps=case["timesteps"], **arguments
        )
    on_tensorflow = keras.config.backend() == "tensorflow"
    model.compile(
        keras.optimizers.SGD(1e-3, momentum=0.9),
        MeanCrossEntropy(),
        # XLA is the fastest setting; Keras' "auto" leaves it off on a CPU.
        jit_compile=True if on_tensorflow else "auto",
        remat=remat,
    )
    rng = np.random.default_rng(0)
    batch = case["batch"]
    x = rng.integers(0, 256, (batch, *shape)).astype("float32")
    y = rng.integers(0, 10, batch)

    def train(n):
        repeated = np.concatenate([x] * n), np.concatenate([y] * n)
        model.fit(*repeated, batch_size=batch, verbose=0)

    def infer(n):
        model.predict(np.concatenate([x] * n), batch_size=batch, verbose=0)

    return {"train": train, "infer": infer}[case["mode"]]


def _layer_step(layer, case):
    """Forward and backward pass of one layer, all at once."""
    rng = np.random.default_rng(0)
    shape = (case["batch"], case["timesteps"], 32, 32, 64)
    dtype = case["precision"]
    x, upstream = (
        keras.ops.convert_to_tensor(
            rng.normal(shift, 1, shape).astype("float32"), dtype=dtype
        )
        for shift in (0.3, 0.0)
    )
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        def both(x, upstream):
            spikes, pull_back = jax.vjp(lambda x: layer(x, training=True), x)
            return spikes, pull_back(upstream)

        both = jax.jit(both)

        def step():
            jax.block_until_ready(both(x, upstream))

    elif backend == "tensorflow":
        import tensorflow as tf

        @tf.function(jit_compile=True)
        def both(x, upstream):
            with tf.GradientTape() as tape:
                tape.watch(x)
                spikes = layer(x, training=True)
            return spikes, tape.gradient(spikes, x, upstream)

        def step():
            _, gradient = both(x, upstream)
            gradient[0, 0, 0, 0, 0].numpy()

    else:
        import torch

        x.requires_grad_()

        def step():
            layer(x, training=True).backward(upstream)
            x.grad = None
            if x.is_cuda:
                torch.cuda.synchronize()

    def run(n):
        for _ in range(n):
            step()

    return run
