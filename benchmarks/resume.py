"""Kills a training at random moments, and compares its end with a whole one.

    KERAS_BACKEND=torch python -m benchmarks.resume

One training of a narrow SEW-ResNet on the digits runs to its end. A second
one, by the same program, is killed (`kill -9`) again and again, and started
anew each time; the last start is let run. A kill comes after a random number
of batches and a random time within one, so that a busy machine changes
nothing. Both trainings must then have the same variables of model, optimizer
and metrics, and the same history, to the bit. They are processes of their own.
What they use: STCL with views cropped at random, SGD with momentum,
T drawn at random for each batch, a rate lowered on plateaus, validation in
each epoch, and a checkpoint after every third batch.

Prints a table in Markdown, and exits with 1 where the ends differ.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
from keras import ops

import keras_tcl
from keras_tcl.callbacks import BackupAndResume, TimestepSchedule
from keras_tcl.losses import STCL


class Tell(keras.callbacks.Callback):
    """Prints each batch before it is trained."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        print(f"at {self.epoch} {batch}", flush=True)


def train(folder, result, epochs):
    """The program that is killed: it knows nothing of it."""
    keras.utils.set_random_seed(0)
    model = keras_tcl.models.sew_resnet(
        [1], [4], (8, 8, 1), 10, timesteps=2,
        augmenter=keras_tcl.augmentation.RandomCrop(1),
    )  # fmt: skip
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        STCL(),
        metrics=["accuracy"],
        # Compiling by XLA takes TensorFlow longer than the training.
        jit_compile=keras.config.backend() == "jax",
    )
    history = model.fit(
        keras_tcl.data.load("digits", "train", 64),
        epochs=epochs,
        verbose=0,
        validation_data=keras_tcl.data.load("digits", "test", 128),
        callbacks=[
            TimestepSchedule((1, 2)),
            keras.callbacks.ReduceLROnPlateau(factor=0.9, patience=1),
            BackupAndResume(folder, save_freq=3),
            Tell(),
        ],
    )
    variables = [
        *model.variables, *model.optimizer.variables, *model.metrics_variables
    ]  # fmt: skip
    np.savez(
        result,
        *(ops.convert_to_numpy(variable) for variable in variables),
        history=json.dumps([history.epoch, history.history]),
    )


def start(folder, result, epochs):
    environment = {
        **os.environ,
        # Each start imports the same modules, and compiles the same network:
        # without these files, that takes many times what the training takes.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode"),
        "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, "-m", "benchmarks.resume", "--train"]
    return subprocess.Popen(
        [*command, str(folder), str(result), "--epochs", str(epochs)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(process, batches):
    """Wait until so many have begun; return what was said of a resume."""
    resumed = ""
    for line in process.stdout:
        if line.startswith("Resumed from"):
            resumed = line
        batches -= line.startswith("at ")
        if batches == 0:
            return resumed
    raise RuntimeError(f"The training ended with {process.wait()}.")


def killed(folder, result, epochs, batches, delay):
    """Kill a start; return what it resumed and how many files it broke off."""
    process = start(folder, result, epochs)
    resumed = wait_for(process, batches)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.stdout.read()
    if process.wait() != -signal.SIGKILL:
        raise RuntimeError("The training came to its end before the kill.")
    return position(resumed), len(list(folder.glob("*.tmp")))


def position(resumed):
    """Epoch and batch, from the name of the file that was taken."""
    name = pathlib.Path(resumed.split(":")[0]).stem.split("-")
    return f"{int(name[1])}, {int(name[3])}" if resumed else "begin"


def same(one, other):
    """How many arrays the files have, and the names of those that differ."""
    with np.load(one) as a, np.load(other) as b:
        assert a.files == b.files
        differ = [n for n in a.files if a[n].tobytes() != b[n].tobytes()]
        return len(a.files), differ


def whole_training(folder, result, epochs):
    """How many batches it trains, and seconds for each after the first."""
    process = start(folder, result, epochs)
    wait_for(process, 2)
    begun = time.monotonic()
    lines = process.stdout.read().splitlines()
    if process.wait():
        raise RuntimeError(f"The training ended with {process.returncode}.")
    batches = 2 + sum(line.startswith("at ") for line in lines)
    return batches, (time.monotonic() - begun) / batches


def measure(kills, epochs, seed, folder):
    results = [folder / "whole.npz", folder / "killed.npz"]
    total, seconds = whole_training(folder / "a", results[0], epochs)
    print(
        f"{keras.config.backend()}, seed {seed}: {total} batches in {epochs} "
        f"epochs, {seconds:.3f} s a batch without a kill.\n\n"
        "| kill | resumed at epoch, batch | batches begun | ms after the last "
        "| half-written file |\n"
        "| --- | --- | --- | --- | --- |",
        flush=True,
    )
    moments = random.Random(seed)
    for number in range(1, kills + 1):
        # Their sum is below `total`, so no start comes to the end.
        batches = moments.randint(1, total // kills - 1)
        delay = moments.uniform(0, seconds)
        resumed, unfinished = killed(
            folder / "b", results[1], epochs, batches, delay
        )
        print(
            f"| {number} | {resumed} | {batches} | {1000 * delay:.0f} "
            f"| {unfinished or ''} |",
            flush=True,
        )
    whole_training(folder / "b", results[1], epochs)
    count, differ = same(*results)
    print(
        f"\n{kills} kills; {count - len(differ)} of {count} arrays (variables "
        "of model, optimizer and metrics, and the history) equal to the bit."
    )
    return not differ


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(*arguments.train, arguments.epochs)
        return
    with tempfile.TemporaryDirectory() as folder:
        equal = measure(
            arguments.kills,
            arguments.epochs,
            arguments.seed,
            pathlib.Path(folder),
        )
    sys.exit(not equal)


if __name__ == "__main__":
    main()
