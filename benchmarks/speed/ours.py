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
        shape = (case["batch"], case["timesteps"], 32, 32, 64)
        return layer_step(NEURONS[neuron](), shape, case["precision"])
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


def layer_step(layer, shape, dtype="float32"):
    """Function that runs a layer's forward and backward pass `n` times."""
    rng = np.random.default_rng(0)
    layer.build(shape)
    x, upstream = (
        keras.ops.convert_to_tensor(
            rng.normal(shift, 1, size).astype("float32"), dtype=dtype
        )
        for shift, size in (
            (0.3, shape),
            (0.0, layer.compute_output_shape(shape)),
        )
    )
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        weights = [v.value for v in layer.trainable_variables]

        @jax.jit
        def both(x, weights, upstream):
            def call(x, weights):
                return layer.stateless_call(weights, [], x)[0]

            outputs, pull_back = jax.vjp(call, x, weights)
            return outputs, pull_back(upstream)

        def step():
            jax.block_until_ready(both(x, weights, upstream))

    elif backend == "tensorflow":
        import tensorflow as tf

        weights = [v.value for v in layer.trainable_variables]

        @tf.function(jit_compile=True)
        def both(x, upstream):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x, training=True)
            return outputs, tape.gradient(outputs, [x, *weights], upstream)

        def step():
            _, gradients = both(x, upstream)
            keras.ops.ravel(gradients[0])[0].numpy()

    else:
        import torch

        x.requires_grad_()

        def step():
            layer(x, training=True).backward(upstream)
            x.grad = None
            layer.zero_grad()
            if x.is_cuda:
                torch.cuda.synchronize()

    def run(n):
        for _ in range(n):
            step()

    return run
