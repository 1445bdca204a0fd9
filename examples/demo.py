"""Train a spiking network on real digits by three losses, and compare.

The baseline (cross entropy of the mean output) against TCL and STCL, on 400
of scikit-learn's 8 x 8 handwritten digits; tested on the 1,397 others.

    python examples/demo.py [--epochs 40] [--output demo_output]
"""

import argparse
import pathlib
import time

import keras
import matplotlib
import numpy as np

import keras_tcl
from keras_tcl.losses import STCL, TCL, MeanCrossEntropy

BATCH_SIZE = 32


METHODS = {"baseline": MeanCrossEntropy(), "TCL": TCL(), "STCL": STCL()}


def build():
    """A small SEW-ResNet, T = 4, that sees digits moved by up to a pixel."""
    info = keras_tcl.data.info("digits")
    shift = keras_tcl.augmentation.RandomCrop(1)
    return keras_tcl.sew_resnet8(**info.network_arguments(), augmenter=shift)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", type=pathlib.Path, default="demo_output")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    train = keras_tcl.data.load("digits", "train[:400]", BATCH_SIZE)
    test = keras_tcl.data.source("digits", "train[400:]+test")
    x_test, y_test = test.read(np.arange(len(test)))

    accuracies = {}
    for name, loss in METHODS.items():
        print(f"\n{name}: {arguments.epochs} epochs on {len(train)} batches")
        keras.utils.set_random_seed(0)
        model = build()
        learning_rate = keras.optimizers.schedules.CosineDecay(
            0.2, arguments.epochs * len(train)
        )
        model.compile(
            keras.optimizers.SGD(learning_rate, 0.9, weight_decay=5e-4),
            loss,
            metrics=["accuracy"],
        )
        start = time.perf_counter()
        model.fit(train, epochs=arguments.epochs)
        print(f"{time.perf_counter() - start:.0f} s")
        accuracies[name] = model.evaluate_timesteps(x_test, y_test)

    print(f"\nAccuracy on {len(y_test)} test digits at latency t")
    print("t         " + "".join(f"{t:8d}" for t in range(1, 5)))
    for name, values in accuracies.items():
        print(f"{name:10}" + "".join(f"{value:8.1%}" for value in values))

    matplotlib.use("Agg")  # No window.
    plot = arguments.output / "latency.png"
    axes = keras_tcl.analysis.plot_latency(accuracies)
    keras_tcl.analysis.save_plot(axes, plot)

    path = arguments.output / "model.keras"
    model.save(path)
    reopened = keras.models.load_model(path)
    reopened.timesteps = 1
    digits = reopened.predict(x_test[:8], verbose=0).argmax(axis=-1)
    print(f"\nWrote {path} and {plot}. Reopened, and run for 1 time step:")
    print("predicted", *digits)
    print("true     ", *y_test[:8])


if __name__ == "__main__":
    main()
