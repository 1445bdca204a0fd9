"""Fine-tune a trained network to decide in fewer time steps.

    python examples/finetune_latency.py cifar_output/model.keras --timesteps 2

Trains on at T = 2 with TCL or TET, and prints the accuracy at every latency
before and after. Writes `finetuned.keras` beside the model.
"""

import argparse
import pathlib
import sys

import keras

import keras_tcl

LOSSES = {"tcl": keras_tcl.losses.TCL, "tet": keras_tcl.losses.TET}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="a `.keras` file")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", help="the folder of the data sets")
    parser.add_argument("--timesteps", type=int, default=2)
    parser.add_argument("--loss", choices=LOSSES, default="tcl")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--quick", action="store_true", help="try it out")
    arguments = parser.parse_args()
    slices = ("", "")
    if arguments.quick:
        arguments.epochs, arguments.batch_size = 1, 20
        slices = ("[:80]", "[:20]")

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
    model = keras_tcl.load_model(arguments.model)
    latency = model.timesteps
    before = model.evaluate_timesteps(test)

    model.timesteps = arguments.timesteps
    learning_rate = keras.optimizers.schedules.CosineDecay(
        arguments.learning_rate, arguments.epochs * len(train)
    )
    # 5e-4 in PyTorch, where the momentum multiplies it by 1 / (1 - 0.9).
    optimizer = keras.optimizers.SGD(learning_rate, 0.9, weight_decay=5e-3)
    model.compile(optimizer, LOSSES[arguments.loss](), metrics=["accuracy"])
    model.fit(train, epochs=arguments.epochs)

    model.timesteps = latency
    after = model.evaluate_timesteps(test)
    steps = "".join(f"t = {t:<5}" for t in range(1, latency + 1))
    print(f"{'accuracy in %':15}{steps}")
    for name, accuracies in (("before", before), ("fine-tuned", after)):
        cells = "".join(f"{100 * accuracy:<9.2f}" for accuracy in accuracies)
        print(f"{name:15}{cells}")
    model.save(arguments.model.with_name("finetuned.keras"))


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:  # It says which file to put where.
        sys.exit(f"{error}")
