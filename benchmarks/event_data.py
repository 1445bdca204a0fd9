"""How fast do event recordings become batches, and does memory stay flat?

Method. AEDAT-2 recordings of 200,000 events at 128 x 128, about as many as
CIFAR10-DVS has, are made here, framed into the cache and read through
`keras_tcl.data.Batches`, shuffled, in batches of 64: at the paper's T = 4
and 48 x 48, and at T = 10 and 128 x 128. N-MNIST follows where DATA_DIR has it.
Resident memory is the process's at the end of each row (Linux).

    python benchmarks/event_data.py [DATA_DIR] [--recordings 500]

DATA_DIR is $KERAS_TCL_DATA_DIR by default. Wanted: 200 cached recordings a
second or more on two cores, and memory that stops growing with the first
epoch.
"""

import argparse
import os
import pathlib
import tempfile
import time
import warnings
from typing import Any

import numpy as np

import keras_tcl.data

BATCH_SIZE = 64
EVENTS = 200_000


def write_recordings(folder: pathlib.Path, number: int) -> None:
    """Write noise as AEDAT-2 files, below one folder a class."""
    random = np.random.default_rng(0)
    for i in range(number):
        pairs = np.empty((EVENTS, 2), ">u4")
        pairs[:, 0] = random.integers(0, 2**15, EVENTS)
        pairs[:, 1] = np.sort(random.integers(0, 1_300_000, EVENTS))
        path = folder / str(i % 10) / f"{i}.aedat"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"#!AER-DAT2.0\r\n" + pairs.tobytes())


def resident_mebibytes() -> float:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def report(
    name: str, folder: pathlib.Path, epochs: int, **options: Any
) -> None:
    """Print one table: the cache made, the cache found, epochs of batches."""
    print(f"\n{name} {options or ''}")
    print("| | recordings/s | resident, MiB |\n| --- | --- | --- |")

    def row(what: str, start: float) -> None:
        rate = len(source) / (time.perf_counter() - start)
        print(f"| {what} | {rate:,.0f} | {resident_mebibytes():,.0f} |")

    for what in ("cache made", "cache found"):
        start = time.perf_counter()
        source = keras_tcl.data.source(name, "train", folder, **options)
        row(what, start)
    dataset = keras_tcl.data.Batches(source, BATCH_SIZE, shuffle=True)
    for epoch in range(epochs):
        start = time.perf_counter()
        for _ in dataset:
            pass
        row(f"epoch {epoch + 1}", start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "data_dir", nargs="?", default=os.environ.get("KERAS_TCL_DATA_DIR")
    )
    parser.add_argument("--recordings", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*published ones")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_recordings(folder / "made", arguments.recordings)
        for options in ({"frame_size": 48}, {"timesteps": 10}):
            report("event_folder", folder / "made", arguments.epochs, **options)
        if arguments.data_dir and pathlib.Path(arguments.data_dir).is_dir():
            report(
                "nmnist",
                pathlib.Path(arguments.data_dir),
                arguments.epochs,
                cache_dir=folder / "cache",
            )
        else:
            print("\nN-MNIST left out: no DATA_DIR.")


if __name__ == "__main__":
    main()
