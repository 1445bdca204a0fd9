"""Kills a training at random moments, and compares its end with a whole one.

    KERAS_BACKEND=torch python -m benchmarks.resume
    KERAS_BACKEND=torch python -m benchmarks.resume --processes 2

One training of a narrow SEW-ResNet on the digits runs to its end. A second
one, by the same program, is killed (`kill -9`) again and again, and started
anew each time; the last start is let run. A kill comes after a random number
of batches and a random time within one, so that a busy machine changes
nothing. Both trainings must then have the same variables of model, optimizer
and metrics, and the same history, to the bit. They are processes of their own.
What they use: STCL with views cropped at random, SGD with momentum,
T drawn at random for each batch, a rate lowered on plateaus, validation in
each epoch, and a checkpoint after every third batch. With several processes in
one training, one of them is killed, and the others have to end by themselves.

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

import keras_tcl
from keras_tcl.callbacks import BackupAndResume, TimestepSchedule
from keras_tcl.distribution import replicas
from keras_tcl.losses import STCL
from tests.distribution import launch


class Tell(keras.callbacks.Callback):
    """Prints each batch before it is trained."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        print(f"at {self.epoch} {batch}", flush=True)


def train(folder, result, epochs):
    """The program that is killed: it knows nothing of it."""
    process = keras_tcl.distribution.data_parallel()
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
    train = keras_tcl.data.load(
        "digits",
        "train",
        64,
        shard=process,
        # JAX's processes have equal parts of each batch.
        drop_remainder=process.count > 1,
    )
    history = model.fit(
        train,
        epochs=epochs,
        verbose=0,
        validation_data=keras_tcl.data.load(
            "digits", "test", 120, shard=process
        ),
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
        result.format(process.index),
        *(replicas.own_value(variable) for variable in variables),
        history=json.dumps([history.epoch, history.history]),
    )


class Start:
    """The processes of one training.

    Args:
        folder: Path, where checkpoints lie.
        result: Path of the file that process `{}` is to write.
        epochs: Integer.
        count: Integer, how many processes there are.
    """

    def __init__(self, folder, result, epochs, count):
        environment = {
            **os.environ,
            # Each start imports the same modules, and compiles the same
            # network: that would take many times what the training takes.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode"),
            "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "jax"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        command = [sys.executable, "-m", "benchmarks.resume", "--train"]
        command += [str(folder), str(result), "--epochs", str(epochs)]
        self.said = [folder.parent / f"{i}.txt" for i in range(count)]
        self.processes = []
        for path, own in zip(self.said, launch.variables(count), strict=True):
            with path.open("w") as said:
                process = subprocess.Popen(
                    command,
                    env=environment | own,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                )
            self.processes.append(process)

    def wait_for(self, batches, number=0):
        """Wait until a process has begun so many; what it said of a resume."""
        resumed = ""
        process = self.processes[number]
        for line in process.stdout:
            if line.startswith("Resumed from"):
                resumed = line
            batches -= line.startswith("at ")
            if batches == 0:
                return resumed
        said = self.said[number].read_text()[-2000:]
        raise RuntimeError(f"It ended with {process.wait()}: {said}")

    def end(self):
        """Wait for all; what the first one printed after what was read."""
        text, *_ = [p.communicate()[0] for p in self.processes]
        codes = [process.returncode for process in self.processes]
        if any(codes):
            raise RuntimeError(f"The training ended with {codes}.")
        return text

    def kill(self, number):
        """Kill one; seconds until the others have ended, and who was named."""
        victim = self.processes[number]
        victim.send_signal(signal.SIGKILL)
        begun = time.monotonic()
        codes = [
            (p.communicate(None, 300), p.returncode)[1] for p in self.processes
        ]
        if codes[number] != -signal.SIGKILL or 0 in codes:
            raise RuntimeError("The training came to its end before the kill.")
        others = [s.read_text() for i, s in enumerate(self.said) if i != number]
        names = {
            "yes" if f"Process {number} (" in text and "has ended" in text
            # JAX aborts at once where the first process has ended.
            else "as the leader" if "leader task" in text
            else "no"
            for text in others
        }  # fmt: skip
        return time.monotonic() - begun, ", ".join(names)


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


def whole_training(folder, result, epochs, count):
    """How many batches it trains, and seconds for each after the first."""
    training = Start(folder, result, epochs, count)
    training.wait_for(2)
    begun = time.monotonic()
    lines = training.end().splitlines()
    batches = 2 + sum(line.startswith("at ") for line in lines)
    return batches, (time.monotonic() - begun) / batches


def measure(kills, epochs, seed, count, folder):
    results = [folder / "whole-{}.npz", folder / "killed-{}.npz"]
    total, seconds = whole_training(folder / "a", results[0], epochs, count)
    columns = ["kill", "resumed at epoch, batch", "batches begun"]
    columns += ["ms after the last", "half-written files"]
    if count > 1:
        columns += ["process killed", "others ended after, s", "it is named"]
    print(
        f"{keras.config.backend()}, {count} process(es), seed {seed}: {total} "
        f"batches in {epochs} epochs, {seconds:.3f} s a batch without a kill."
        f"\n\n| {' | '.join(columns)} |\n{'| --- ' * len(columns)}|",
        flush=True,
    )
    moments = random.Random(seed)
    for number in range(1, kills + 1):
        # Their sum is below `total`, so no start comes to the end.
        batches = moments.randint(1, total // kills - 1)
        delay = moments.uniform(0, seconds)
        victim = moments.randrange(count) if count > 1 else 0
        training = Start(folder / "b", results[1], epochs, count)
        resumed = position(training.wait_for(batches, victim))
        time.sleep(delay)
        after, named = training.kill(victim)
        broken_off = len(list((folder / "b").glob("*.tmp"))) or ""
        row = [number, resumed, batches, f"{1000 * delay:.0f}", broken_off]
        if count > 1:
            row += [victim, f"{after:.1f}", named]
        print(f"| {' | '.join(map(str, row))} |", flush=True)
    whole_training(folder / "b", results[1], epochs, count)
    equal = True
    for index in range(count):
        arrays, differ = same(*(str(r).format(index) for r in results))
        equal = equal and not differ
        print(
            f"\nProcess {index}: {kills} kills; {arrays - len(differ)} of "
            f"{arrays} arrays (variables of model, optimizer and metrics, and "
            "the history) equal to the bit."
        )
    return equal


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
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
            arguments.processes,
            pathlib.Path(folder),
        )
    sys.exit(not equal)


if __name__ == "__main__":
    main()
