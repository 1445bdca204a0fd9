"""The methods of the paper on 400 digits: accuracy at every latency.

    KERAS_BACKEND=jax python benchmarks/digits.py [--seeds 3] [--epochs 40]

The network and the training are those of `examples/demo.py`. Each seed draws
400 of scikit-learn's 1,797 digits to train with; the others are the test. All
methods take the same number of steps; those of two views see twice as many
images, with brightness, contrast and a cutout beside the crop. The losses
differ only in what is written in the table.
"""

import argparse
import pathlib
import sys
import time

import keras
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "examples"))
import demo  # noqa: E402

import keras_tcl  # noqa: E402
from keras_tcl.losses import (  # noqa: E402
    STCL,
    TCL,
    TET,
    MeanCrossEntropy,
)

METHODS = {
    "baseline": lambda: MeanCrossEntropy(),
    "baseline, no augmentation": lambda: MeanCrossEntropy(),
    "TET": lambda: TET(),
    "TCL, paper": lambda: TCL(),
    "TCL, mean": lambda: TCL(normalization="mean"),
    "STCL, weight 0": lambda: STCL(weight=0.0),
    "STCL, paper": lambda: STCL(),
    "STCL, mean, 2": lambda: STCL(weight=2.0, normalization="mean"),
}


def run(loss, augmenter, seed, epochs):
    keras.utils.set_random_seed(seed)
    digits = keras_tcl.data.source("digits", "train+test")
    order = np.random.default_rng(seed).permutation(len(digits))
    train = keras_tcl.data.Batches(
        keras_tcl.data.Subset(digits, order[:400]),
        demo.BATCH_SIZE,
        shuffle=True,
        seed=seed,
        drop_remainder=True,
    )
    test = keras_tcl.data.Subset(digits, order[400:])
    model = demo.build(augmenter)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        0.1, epochs * len(train)
    )
    model.compile(
        keras.optimizers.SGD(learning_rate, 0.9, weight_decay=5e-4), loss
    )
    model.fit(train, epochs=epochs, verbose=0)
    return 100 * model.evaluate_timesteps(*test.read(np.arange(len(test))))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    arguments = parser.parse_args()
    print(
        f"{arguments.epochs} epochs, {arguments.seeds} seeds, "
        f"{keras.config.backend()}: accuracy in %, mean +- standard deviation"
    )
    print("| method | t = 1 | t = 2 | t = 3 | t = 4 | s a run |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in arguments.methods:
        start = time.perf_counter()
        views = METHODS[name]().views
        results = []
        for seed in range(arguments.seeds):
            keras.utils.clear_session()
            _, augmenter = demo.methods()["STCL" if views > 1 else "baseline"]
            if "no augmentation" in name:
                augmenter = None
            results.append(
                run(METHODS[name](), augmenter, seed, arguments.epochs)
            )
        mean, deviation = np.mean(results, axis=0), np.std(results, axis=0)
        cells = " | ".join(
            f"{m:.1f} +- {d:.1f}" for m, d in zip(mean, deviation, strict=True)
        )
        seconds = (time.perf_counter() - start) / arguments.seeds
        print(f"| {name} | {cells} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
