"""What do two augmented views of a batch cost?

    python benchmarks/augmentation.py

Times two views of 128 images of 32 x 32 x 3 (uint8 in, float32 out) on every
installed backend, as they run inside a model: JAX under jit, TensorFlow under
XLA, PyTorch eager. The yardstick is the forward pass of the network's stem
over the same two views, one 3 x 3 convolution from 3 to 64 channels, which is
well under a hundredth of a SEW-ResNet-18 training step. Runs take turns, so
that other work on the machine meets both alike; medians are reported.
"""

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch")
RECIPES = ("cifar", "cifar_stcl")
BATCH, SHAPE = 128, (32, 32, 3)


def compiled(layer, **options):
    """Return `layer` as a function of images, compiled as in a model."""
    import keras

    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda x: layer(x, **options), jit_compile=True)
    if keras.config.backend() == "jax":
        import jax

        weights = [v.value for v in layer.trainable_variables]
        state = [v.value for v in layer.non_trainable_variables]
        step = jax.jit(lambda w, s, x: layer.stateless_call(w, s, x, **options))
        return lambda x: step(weights, state, x)[0]
    import torch

    return torch.no_grad()(lambda x: layer(x, **options))


def seconds(function, images):
    """Time one call, result included."""
    from keras import ops

    start = time.perf_counter()
    ops.convert_to_numpy(function(images)[0, 0, 0, 0])
    return time.perf_counter() - start


def measure(runs):
    import keras
    import numpy as np
    from keras import ops

    from keras_tcl import augmentation

    keras.utils.set_random_seed(0)
    shape = (2 * BATCH, *SHAPE)
    pixels = np.random.randint(0, 256, shape).astype("uint8")
    pixels = ops.convert_to_tensor(pixels)
    stem = keras.layers.Conv2D(64, 3, padding="same", use_bias=False)
    stem.build(shape)
    floats = ops.cast(pixels, "float32")
    functions = {"stem": (compiled(stem), floats)}
    for name in RECIPES:
        augmenter = augmentation.recipe(name, SHAPE)
        augmenter.build(shape)
        functions[name] = (compiled(augmenter, training=True), pixels)
    first = {name: seconds(*call) for name, call in functions.items()}
    times = {name: [] for name in functions}
    for _ in range(runs):
        for name, call in functions.items():
            times[name].append(seconds(*call))
    median = {name: statistics.median(t) for name, t in times.items()}
    for name in functions:
        print(
            f"{keras.config.backend():<11}{name:<12}"
            f"{1e3 * median[name]:>9.1f}{1e3 * min(times[name]):>9.1f}"
            f"{median[name] / median['stem']:>9.2f}{first[name]:>10.1f}",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", choices=BACKENDS)
    parser.add_argument("--runs", type=int, default=30)
    arguments = parser.parse_args()
    if arguments.backend:
        measure(arguments.runs)
        return
    print(f"two views of {BATCH} images {SHAPE}, {arguments.runs} runs")
    print(
        f"{'backend':<11}{'':<12}{'ms':>9}{'least ms':>9}{'/ stem':>9}"
        f"{'first s':>10}",
        flush=True,
    )
    for backend in BACKENDS:
        if importlib.util.find_spec(backend):
            subprocess.run(
                [sys.executable, __file__]
                + ["--backend", backend, "--runs", str(arguments.runs)],
                env={
                    **os.environ,
                    "KERAS_BACKEND": backend,
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                },
                check=True,
            )


if __name__ == "__main__":
    main()
