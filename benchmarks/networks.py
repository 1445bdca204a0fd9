"""Do all network families learn, on real images and real recordings?

    KERAS_BACKEND=jax python benchmarks/networks.py --data-dir DIR

`DIR` holds `cifar-10-batches-bin` and `NMNIST` (subsets of the latter will
do). Each family is built narrow, for a few minutes on two cores, and trained
on a subset with the mean cross entropy; this says that the networks train,
not how good they get. Prints a Markdown table and fails if a training loss
does not fall or an accuracy misses its floor.
"""

import argparse
import sys
import time
import warnings

import keras
import numpy as np

import keras_tcl
from keras_tcl import models
from keras_tcl.layers import Classifier
from keras_tcl.losses import MeanCrossEntropy

WIDTHS = [8, 16, 32]
# Test accuracy in percent, fixed before the first run. Chance is 10.
FLOORS = {"cifar10": 35.0, "nmnist": 75.0}
SETTINGS = {
    "cifar10": {"train": "train[:4000]", "test": "test[:2000]", "epochs": 8},
    "nmnist": {"train": "train", "test": "test", "epochs": 12},
}


def resnet19(classes=10, **kwargs):
    return models.spiking_resnet(
        [1, 1, 1],
        WIDTHS,
        classes=classes,
        normalization="batch",
        classifier=Classifier(classes, hidden_units=[64], dtype="float32"),
        **kwargs,
    )


FAMILIES = {
    "sew_resnet": lambda **k: models.sew_resnet([1, 1, 1], WIDTHS, **k),
    "sew_resnet, twice as wide": lambda **k: models.sew_resnet(
        [1, 1, 1], [2 * width for width in WIDTHS], **k
    ),
    "spiking_resnet": lambda **k: models.spiking_resnet([1, 1, 1], WIDTHS, **k),
    "resnet19": resnet19,
    "spiking_vgg": lambda **k: models.spiking_vgg(
        [[8], [16, 16], [32, 32]], **k
    ),
    "vggsnn": lambda **k: models.spiking_vgg(
        [[8, 8], [16, 16], [32, 32]], pooling="flatten", **k
    ),
}
RUNS = [
    ("cifar10", "sew_resnet"),
    ("cifar10", "spiking_resnet"),
    ("cifar10", "resnet19"),
    ("cifar10", "spiking_vgg"),
    ("nmnist", "sew_resnet, twice as wide"),
    ("nmnist", "vggsnn"),
]


def arrays(dataset, split, data_dir):
    with warnings.catch_warnings():
        # That a subset does not compare with published results.
        warnings.simplefilter("ignore")
        source = keras_tcl.data.source(dataset, split, data_dir)
        x, y = source.read(range(len(source)))
    return np.asarray(x), np.asarray(y)


def run(dataset, family, data_dir):
    """Train one network; return its row of the table and whether it is good."""
    settings = SETTINGS[dataset]
    x, y = arrays(dataset, settings["train"], data_dir)
    test = arrays(dataset, settings["test"], data_dir)
    keras.utils.set_random_seed(0)
    events = dataset == "nmnist"
    model = FAMILIES[family](
        input_shape=x.shape[1:],
        timesteps=2,
        # A mirrored digit is another, or none.
        augmenter=None if events else "auto",
    )
    batch_size = 32
    steps = len(x) // batch_size * settings["epochs"]
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(
        keras.optimizers.Adam(rate), MeanCrossEntropy(), metrics=["accuracy"]
    )
    start = time.perf_counter()
    history = model.fit(
        x, y, batch_size, settings["epochs"], verbose=0, shuffle=True
    ).history["loss"]
    seconds = time.perf_counter() - start
    accuracies = 100 * model.evaluate_timesteps(*test, batch_size=100)
    floor = FLOORS[dataset]
    good = history[-1] < history[0] and accuracies[-1] >= floor
    parameters = models.count_parameters(model)
    row = (
        f"| {dataset} | {family} | {parameters / 1e3:.0f} k | {len(x)} / "
        f"{len(test[0])} | {history[0]:.2f} to {history[-1]:.2f} | "
        f"{', '.join(f'{a:.1f}' for a in accuracies)} | {floor:.0f} | "
        f"{seconds:.0f} |"
    )
    return row, good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--only", default="", help="a family or data set")
    arguments = parser.parse_args()
    print(
        "| data | family | parameters | training / test samples | training "
        "loss, first to last epoch | test accuracy at t = 1..T, % | floor, % "
        "| seconds |\n" + "| --- " * 8 + "|",
        flush=True,
    )
    missed = []
    for dataset, family in RUNS:
        if arguments.only not in (dataset, family, ""):
            continue
        row, good = run(dataset, family, arguments.data_dir)
        print(row, flush=True)
        if not good:
            missed.append(f"{family} on {dataset}")
    if missed:
        sys.exit(f"Missed: {', '.join(missed)}.")


if __name__ == "__main__":
    main()
