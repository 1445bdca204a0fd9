"""Train SEW-ResNet-18 on CIFAR with STCL, by the recipe of the paper.

    python examples/train_cifar.py --data-dir ~/keras_tcl_data
    python examples/train_cifar.py --dataset cifar100 --timesteps 8

Started again after an interruption, it goes on where the last epoch ended.
Writes `model.keras` and `latency.png`. Needs `pip install keras_tcl[plot]`.
"""

import argparse
import functools
import pathlib
import sys

import keras

import keras_tcl
from keras_tcl import analysis
from keras_tcl.callbacks import BackupAndResume


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset", choices=["cifar10", "cifar100"], default="cifar10"
    )
    parser.add_argument("--data-dir", help="the folder of the data sets")
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--output", type=pathlib.Path, default="cifar_output")
    parser.add_argument("--quick", action="store_true", help="try it out")
    arguments = parser.parse_args()
    slices, build = ("", ""), keras_tcl.sew_resnet18
    if arguments.quick:
        arguments.epochs, arguments.batch_size = 2, 20
        slices = ("[:80]", "[:20]")
        build = functools.partial(keras_tcl.sew_resnet, [1], [4])

    train, test = (
        keras_tcl.data.load(
            arguments.dataset,
            split,
            arguments.batch_size,
            arguments.data_dir,
        )
        for split in ("train" + slices[0], "test" + slices[1])
    )
    keras.utils.set_random_seed(0)
    info = keras_tcl.data.info(arguments.dataset)
    model = build(
        classes=info.classes,
        timesteps=arguments.timesteps,
        mean=info.mean,
        std=info.std,
    )
    learning_rate = keras.optimizers.schedules.CosineDecay(
        0.1, arguments.epochs * len(train)
    )
    # 5e-4 in PyTorch, where the momentum multiplies it by 1 / (1 - 0.9).
    optimizer = keras.optimizers.SGD(learning_rate, 0.9, weight_decay=5e-3)
    model.compile(optimizer, keras_tcl.losses.STCL(), metrics=["accuracy"])
    model.fit(
        train,
        epochs=arguments.epochs,
        callbacks=[
            analysis.LatencyMonitor(test, frequency=2),
            # An interrupted training goes on where it was, if run again.
            BackupAndResume(arguments.output / "backup"),
        ],
    )
    accuracies = model.evaluate_timesteps(test)
    for t, accuracy in enumerate(accuracies, start=1):
        print(f"accuracy after {t} time step(s): {100 * accuracy:.2f} %")
    model.save(arguments.output / "model.keras")
    ax = analysis.plot_latency({"STCL": accuracies})
    analysis.save_plot(ax, arguments.output / "latency.png")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # It says which file to put where.
        sys.exit(f"{error}")
