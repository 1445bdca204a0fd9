"""One training step of SEW-ResNet-18 against its twin with ReLU for LIF.

Same network, batch, optimizer and precision on both sides; the two take turns
in one process, and the medians are compared. Run it under each backend:

    KERAS_BACKEND=jax python benchmarks/step.py

TensorFlow runs with XLA, JAX is always compiled, PyTorch runs eagerly: the
best setting of each on a CPU.
"""

import argparse
import time

import keras
import numpy as np

import keras_tcl
from keras_tcl.losses import MeanCrossEntropy

NEURONS = {"LIF": keras_tcl.layers.LIF, "ReLU": keras.layers.ReLU}


def build(neuron, arguments):
    model = keras_tcl.sew_resnet18(
        timesteps=arguments.timesteps, augmenter=None, neuron=neuron()
    )
    backend = keras.config.backend()
    model.compile(
        keras.optimizers.SGD(1e-3, momentum=0.9),
        MeanCrossEntropy(),
        jit_compile=True if backend == "tensorflow" else "auto",
    )
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1, help="per round")
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    count = arguments.batch_size * arguments.steps
    x = rng.integers(0, 256, (count, 32, 32, 3), dtype="uint8")
    y = rng.integers(0, 10, count)

    def seconds_per_step(model, steps=arguments.steps):
        size = arguments.batch_size
        start = time.perf_counter()
        model.fit(x[: steps * size], y[: steps * size], size, verbose=0)
        return (time.perf_counter() - start) / steps

    models, first, times = {}, {}, {name: [] for name in NEURONS}
    for name, neuron in NEURONS.items():
        models[name] = build(neuron, arguments)
        first[name] = seconds_per_step(models[name], steps=1)
    for _ in range(arguments.rounds):
        for name, model in models.items():
            times[name].append(seconds_per_step(model))

    medians = {name: float(np.median(t)) for name, t in times.items()}
    print(
        f"{keras.config.backend()}, SEW-ResNet-18, 32x32, "
        f"T = {arguments.timesteps}, batch {arguments.batch_size}, float32: "
        f"medians of {arguments.rounds} rounds of {arguments.steps} steps"
    )
    for name, median in medians.items():
        spread = [f"{t:.2f}" for t in (min(times[name]), max(times[name]))]
        compiling = first[name] - median
        print(
            f"{name:5} {median:.3f} s a step ({' to '.join(spread)}), "
            f"{compiling:.1f} s to trace and compile"
        )
    fastest = min(times["LIF"]) / min(times["ReLU"])
    print(
        f"LIF / ReLU {medians['LIF'] / medians['ReLU']:.3f}, of the fastest "
        f"{fastest:.3f}"
    )


if __name__ == "__main__":
    main()
