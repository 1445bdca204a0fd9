r"""Compare the baseline, TET, TCL and STCL on one data set of images.

    python examples/compare_losses.py
    python examples/compare_losses.py --dataset cifar10 \
        --train train --test test

Prints the accuracy at every latency, and draws it and the firing rates.
Without arguments on 400 of the digits that come with scikit-learn. Needs
`pip install keras_tcl[data,plot]`.
"""

import argparse
import math
import pathlib
import sys

import keras

import keras_tcl
from keras_tcl import analysis, augmentation, losses

METHODS = {
    "baseline": losses.MeanCrossEntropy(),
    "TET": losses.TET(),
    "TCL": losses.TCL(),
    "STCL": losses.STCL(),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--train", default="train[:400]", help="its split")
    parser.add_argument("--test", default="train[400:]+test")
    parser.add_argument("--data-dir", help="the folder of the data sets")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=40)
    parser.add_argument("--output", type=pathlib.Path, default="losses_output")
    parser.add_argument("--quick", action="store_true", help="try it out")
    arguments = parser.parse_args()
    filters, timesteps = [16, 32, 64], 4
    if arguments.quick:
        filters, timesteps, arguments.epochs = [4], 2, 1
        arguments.train, arguments.test = "train[:40]", "test[:32]"
    arguments.output.mkdir(parents=True, exist_ok=True)
    info = keras_tcl.data.info(arguments.dataset)
    train, test = (
        keras_tcl.data.source(arguments.dataset, split, arguments.data_dir)
        for split in (arguments.train, arguments.test)
    )
    x_train, y_train = train.read(range(len(train)))
    x_test, y_test = test.read(range(len(test)))
    batch_size, epochs = arguments.batch_size, arguments.epochs
    shift = augmentation.RandomCrop(1)
    accuracies, rates = {}, {}
    for name, loss in METHODS.items():
        keras.utils.set_random_seed(0)
        model = keras_tcl.sew_resnet(
            [1] * len(filters),
            filters,
            timesteps=timesteps,
            # A mirrored digit is none.
            augmenter=shift if info.name == "digits" else "auto",
            **info.network_arguments(),
        )
        learning_rate = keras.optimizers.schedules.CosineDecay(
            0.2, epochs * math.ceil(len(x_train) / batch_size)
        )
        # 5e-4 in PyTorch, where the momentum multiplies it by 1 / (1 - 0.9).
        optimizer = keras.optimizers.SGD(learning_rate, 0.9, weight_decay=5e-3)
        model.compile(optimizer, loss, metrics=["accuracy"])
        model.fit(x_train, y_train, batch_size, epochs)
        accuracies[name] = model.evaluate_timesteps(x_test, y_test)
        rates[name] = analysis.firing_rates(model, x_test, by="block")

    steps = range(1, len(accuracies["baseline"]) + 1)
    print("| accuracy in % |" + "".join(f" t = {t} |" for t in steps))
    print("| --- |" + " --- |" * len(steps))
    for name, values in accuracies.items():
        print(f"| {name} |" + "".join(f" {100 * v:.1f} |" for v in values))
    ax = analysis.plot_latency(accuracies)
    analysis.save_plot(ax, arguments.output / "latency.png")
    ax = analysis.plot_firing_rates(rates)
    analysis.save_plot(ax, arguments.output / "firing_rates.png")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # It says which file to put where.
        sys.exit(f"{error}")
