"""What the contrastive term costs: time beside a step, and memory at scale.

    KERAS_BACKEND=jax python benchmarks/contrastive.py

1. Forward and backward of the term for four stages of a batch of 128 images
   in two views at T = 4 (1,024 embeddings of 128), and as a share of a
   training step of SEW-ResNet-18 on that batch. The step is measured on a
   smaller batch (`--batch-size`) and scaled up, which favours neither: its
   cost is proportional to the batch.
2. Peak resident memory (Linux) of one term over 16,384 embeddings of 128,
   above what it was before. Their matrix of similarities alone is 1 GiB.
"""

import argparse
import resource
import time

import keras
import numpy as np
from keras import ops

import keras_tcl
from keras_tcl.losses import STCL, temporal_contrastive


def gradient_of(function):
    """Compiled where the backend compiles: x to (value, gradient)."""
    backend = keras.config.backend()
    if backend == "jax":
        import jax

        both = jax.jit(jax.value_and_grad(function))
        return lambda x: jax.block_until_ready(both(x))
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function(jit_compile=True)
        def both(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = function(x)
            return value, tape.gradient(value, x)

        return lambda x: both(x)[0].numpy()

    def both(x):
        x = x.detach().requires_grad_()
        value = function(x)
        value.backward()
        return value, x.grad

    return both


def seconds(function, runs=7):
    function()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def term_time():
    labels = ops.convert_to_tensor(np.arange(128) % 10)
    x = np.random.default_rng(0).normal(size=(4, 128, 2, 4, 128))
    x = ops.convert_to_tensor(x.astype("float32"))

    def term(x):
        values = [temporal_contrastive(x[i], labels) for i in range(4)]
        return ops.mean(sum(values))

    both = gradient_of(term)
    return seconds(lambda: both(x))


def step_time(batch_size):
    model = keras_tcl.sew_resnet18()
    model.compile(keras.optimizers.SGD(1e-3), STCL())
    x = np.zeros((batch_size, 32, 32, 3), "uint8")
    y = np.zeros(batch_size, "int32")
    return seconds(lambda: model.fit(x, y, batch_size, verbose=0), runs=5)


def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--batch-size", type=int, default=8)
    arguments = parser.parse_args()
    x = np.random.default_rng(0).normal(size=(16384, 1, 1, 128))
    x = ops.convert_to_tensor(x.astype("float32"))
    both = gradient_of(lambda x: ops.mean(temporal_contrastive(x)))
    small = gradient_of(lambda x: ops.mean(temporal_contrastive(x)))
    small(x[:64])  # What the first use of a backend brings is not the term's.
    before = peak_memory()
    both(x)
    memory = peak_memory() - before
    term = term_time()
    step = step_time(arguments.batch_size) * 128 / arguments.batch_size
    print(
        f"{keras.config.backend()}: {term * 1e3:.0f} ms for B = 128, V = 2, "
        f"T = 4, four stages, {term / step:.2%} of a step; "
        f"{memory / 1e6:.0f} MB for 16,384 embeddings"
    )


if __name__ == "__main__":
    main()
