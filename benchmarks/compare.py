"""Two checkouts of keras_tcl against each other: time and memory.

    python benchmarks/compare.py ../before . --backends jax torch

Every measurement is a process of its own, and the two checkouts take turns.
What is printed is the ratio of the second to the first: of the medians of all
steps, of the fastest steps, and of the largest resident sets. With `--neurons
LIF PLIF`, one checkout is measured with two neurons instead.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

# name: (blocks, filters, T, batch, steps)
CASES = {
    "sew_resnet18-T4": ([2, 2, 2, 2], [64, 128, 256, 512], 4, 16, 5),
    "sew_resnet18-T32": ([2, 2, 2, 2], [64, 128, 256, 512], 32, 2, 5),
    "narrow-T4": ([1, 1, 1], [16, 32, 64], 4, 64, 8),
    "narrow-T32": ([1, 1, 1], [16, 32, 64], 32, 8, 8),
}
BACKENDS = ("tensorflow", "jax", "torch")
PASSES = ("train", "predict")


def measure(case, work, neuron):
    """Seconds of single steps, and the largest resident set in MB."""
    import keras
    import numpy as np

    import keras_tcl

    blocks, filters, timesteps, batch, steps = CASES[case]
    model = keras_tcl.models.sew_resnet(
        blocks,
        filters,
        timesteps=timesteps,
        augmenter=None,
        neuron=getattr(keras_tcl.layers, neuron)(),
    )
    model.compile(
        keras.optimizers.SGD(1e-3, momentum=0.9),
        keras_tcl.losses.MeanCrossEntropy(),
        jit_compile=True if keras.config.backend() == "tensorflow" else "auto",
    )
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, 32, 32, 3), dtype="uint8")
    y = rng.integers(0, 10, batch)
    seconds = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        if work == "train":
            model.fit(x, y, batch, verbose=0)
        else:
            model.predict(x, batch, verbose=0)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds[2:], "megabytes": peak}))


def run(checkout, backend, case, work, neuron):
    folder = Path(checkout).resolve()
    result = subprocess.run(
        [sys.executable, __file__, "--measure", case, work, neuron],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(folder),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        },
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(f"{checkout}, {case}: {result.stderr[-3000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkouts", nargs="*", help="before, after")
    parser.add_argument("--backends", nargs="+", default=BACKENDS)
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--passes", nargs="+", default=PASSES)
    parser.add_argument("--neurons", nargs=2, default=None)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        return
    if arguments.neurons:
        (checkout,) = arguments.checkouts
        sides = [(checkout, neuron) for neuron in arguments.neurons]
    else:
        before, after = arguments.checkouts
        sides = [(before, "LIF"), (after, "LIF")]
    print("| case | pass | backend | time | fastest | memory |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in arguments.cases:
        for work in arguments.passes:
            for backend in arguments.backends:
                runs = [[], []]
                for _ in range(arguments.rounds):
                    for side, (checkout, neuron) in enumerate(sides):
                        runs[side].append(
                            run(checkout, backend, case, work, neuron)
                        )
                times = [[t for r in s for t in r["seconds"]] for s in runs]
                peaks = [max(r["megabytes"] for r in s) for s in runs]
                medians = [statistics.median(t) for t in times]
                ratios = [
                    f"{b / a:.3f} ({a:.{digits}f} to {b:.{digits}f} {unit})"
                    for (a, b), digits, unit in (
                        (medians, 3, "s"),
                        ([min(t) for t in times], 3, "s"),
                        (peaks, 0, "MB"),
                    )
                ]
                print(f"| {case} | {work} | {backend} | {' | '.join(ratios)} |")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
