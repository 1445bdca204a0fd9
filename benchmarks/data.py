"""How fast do images become batches, and does a training loop wait for them?

    python benchmarks/data.py [DATA_DIR]

DATA_DIR, by default $KERAS_TCL_DATA_DIR, holds the official binary files of
CIFAR-10; without them random pixels of that shape do. The second data set are
JPEG files of 500 x 375, noise on waves, which the benchmark writes, resized to
224. Both are shuffled, in batches of 128, as `keras_tcl.data.Batches` (a
`keras.utils.PyDataset`) and as their `as_tf()` (a `tf.data.Dataset`). Two
questions:

1. Reading alone: images a second.
2. Busy: the share of a training loop's time that is not spent waiting for the
   next batch, with a stand-in for the step. It either sleeps, as the CPU does
   while a GPU works (8.5 ms for a batch of 128 is 15,000 images a second), or
   multiplies matrices on all cores for some 50 ms, as training on a CPU would,
   only shorter.

Resident memory is the process's at the end of each row (Linux). Wanted: busy
at least 95 % for CIFAR, and memory that stops growing with the first epoch.
The load of the machine is printed too: beside other work, every hand-over
between threads waits for its turn, and figures are lower.
"""

import argparse
import importlib.util
import os
import pathlib
import statistics
import tempfile
import time

import keras
import numpy as np

from keras_tcl import data

BATCH_SIZE = 128


def cifar(folder):
    """CIFAR-10's training split, or random pixels in its place."""
    if pathlib.Path(folder, "cifar-10-batches-bin").is_dir():
        return data.source("cifar10", "train", folder)
    print("no CIFAR-10 in DATA_DIR: random pixels")
    x = np.random.default_rng(0).integers(0, 256, (50000, 32, 32, 3), "uint8")
    return data.ArraySource(data.info("cifar10"), x, np.arange(50000) % 10)


def photographs(folder, number):
    """JPEG files of about the size that photographs have."""
    from PIL import Image

    random = np.random.default_rng(0)
    y, x = np.mgrid[:375, :500]
    for i in range(number):
        phase = random.uniform(0, 6, 3)
        waves = np.stack(
            [np.sin(x / 30 + p) * np.cos(y / 20 - p) for p in phase], -1
        )
        pixels = 127 + 100 * waves + random.normal(0, 8, waves.shape)
        file = folder / str(i % 10) / f"{i}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
        image.save(file, quality=90)
    return data.source("image_folder", "all", folder, image_size=224)


def sleep():
    time.sleep(0.0085)


MATRIX = np.random.default_rng(0).normal(size=(1000, 1000)).astype("float32")


def multiply():
    for _ in range(2):
        MATRIX @ MATRIX


def run(batches, step):
    """Seconds that this loop takes, and how many of them it waits."""
    start = time.perf_counter()
    waiting = 0.0
    iterator = iter(batches)
    for _ in range(len(batches)):
        begin = time.perf_counter()
        x, y = next(iterator)
        waiting += time.perf_counter() - begin
        keras.ops.convert_to_tensor(x)
        keras.ops.convert_to_tensor(y)
        step()
    return time.perf_counter() - start, waiting


def resident_mebibytes():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(name, source, steps, epochs):
    print(f"\n{name}: {len(source):,} images {source.element_shape}")
    print("| | images/s | busy | resident, MiB |\n| --- | --- | --- | --- |")
    batches = data.Batches(
        source, BATCH_SIZE, shuffle=True, drop_remainder=True
    )
    formats = {"keras": batches}
    if importlib.util.find_spec("tensorflow"):
        formats["tf"] = batches.as_tf()
    for format, dataset in formats.items():
        images = len(dataset) * BATCH_SIZE
        for what, step in steps.items():
            runs = [run(dataset, step) for _ in range(epochs)]
            rate = statistics.median(images / total for total, _ in runs)
            busy = statistics.median(1 - wait / total for total, wait in runs)
            print(
                f"| {format}, step: {what} | {rate:,.0f} | "
                f"{'' if what == 'none' else f'{busy:.1%}'} | "
                f"{resident_mebibytes():,.0f} |"
            )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "data_dir", nargs="?", default=os.environ.get("KERAS_TCL_DATA_DIR", "")
    )
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--photographs", type=int, default=1280)
    arguments = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, backend "
        f"{keras.config.backend()}"
    )
    nothing = {"none": lambda: None}
    report(
        "CIFAR-10",
        data.Subset(
            cifar(arguments.data_dir), range(arguments.batches * BATCH_SIZE)
        ),
        {**nothing, "8.5 ms asleep": sleep, "matrices": multiply},
        arguments.epochs,
    )
    with tempfile.TemporaryDirectory() as folder:
        report(
            "JPEG files",
            photographs(pathlib.Path(folder), arguments.photographs),
            nothing,
            arguments.epochs,
        )


if __name__ == "__main__":
    main()
