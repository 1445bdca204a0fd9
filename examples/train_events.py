r"""Train a spiking network on recordings of an event camera with TCL.

    python examples/train_events.py --data-dir ~/keras_tcl_data
    python examples/train_events.py --dataset nmnist --timesteps 4
    python examples/train_events.py --dataset event_folder --data-dir ~/mine \
        --sensor-size 128 128

Writes `model.keras`, `latency.png` and `firing_rates.png`. Needs
`pip install keras_tcl[dvs,plot]`.
"""

import argparse
import functools
import pathlib
import sys

import keras

import keras_tcl
from keras_tcl import analysis


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dataset",
        choices=["cifar10_dvs", "nmnist", "event_folder"],
        default="cifar10_dvs",
    )
    parser.add_argument("--data-dir", help="the folder of the data sets")
    parser.add_argument("--sensor-size", type=int, nargs=2)
    parser.add_argument("--timesteps", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--output", type=pathlib.Path, default="event_output")
    parser.add_argument("--quick", action="store_true", help="try it out")
    arguments = parser.parse_args()
    build = keras_tcl.sew_resnet18
    if arguments.quick:
        arguments.timesteps, arguments.epochs, arguments.batch_size = 3, 2, 4
        build = functools.partial(keras_tcl.sew_resnet, [1], [4])

    options = {"timesteps": arguments.timesteps}
    if arguments.sensor_size:
        options["sensor_size"] = arguments.sensor_size
    # Each recording becomes T frames that count its events by polarity.
    train, test = (
        keras_tcl.data.load(
            arguments.dataset,
            split,
            arguments.batch_size,
            arguments.data_dir,
            **options,
        )
        for split in ("train", "test")
    )
    source = train.source
    keras.utils.set_random_seed(0)
    model = build(input_shape=source.element_shape, classes=source.info.classes)
    learning_rate = keras.optimizers.schedules.CosineDecay(
        0.1, arguments.epochs * len(train)
    )
    # 5e-4 in PyTorch, where the momentum multiplies it by 1 / (1 - 0.9).
    optimizer = keras.optimizers.SGD(learning_rate, 0.9, weight_decay=5e-3)
    model.compile(optimizer, keras_tcl.losses.TCL(), metrics=["accuracy"])
    model.fit(train, epochs=arguments.epochs)

    accuracies = model.evaluate_timesteps(test)
    for t, accuracy in enumerate(accuracies, start=1):
        print(f"accuracy after {t} time step(s): {100 * accuracy:.2f} %")
    arguments.output.mkdir(parents=True, exist_ok=True)
    model.save(arguments.output / "model.keras")
    rates = analysis.firing_rates(model, test, by="block")
    for ax, name in (
        (analysis.plot_latency({"TCL": accuracies}), "latency"),
        (analysis.plot_firing_rates(rates), "firing_rates"),
    ):
        analysis.save_plot(ax, arguments.output / f"{name}.png")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # It says which file to put where.
        sys.exit(f"{error}")
