"""What a training step needs in memory: one batch, cached, or accumulated.

    KERAS_BACKEND=torch python benchmarks/gradient_caching.py
    KERAS_BACKEND=jax python benchmarks/gradient_caching.py
    KERAS_BACKEND=tensorflow python benchmarks/gradient_caching.py

A narrow SEW-ResNet, STCL (two views), T = 4. For each way to take a step over
`--batch` samples, a process of its own trains a few steps. It reports how far
the resident set of the process grew in them, above what it was before the
first step (with the compiler's work and the C library's free lists, so it is
an upper bound), and on JAX and PyTorch what the tensors of a step need
(`benchmarks/memory.py`). `accumulated` takes steps of `--micro` samples, whose
gradients the optimizer averages: the contrast is that of a micro-batch.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time

WAYS = ("one batch", "cached", "accumulated")


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Peak(threading.Thread):
    """The largest resident set from `start()` to `stop()`, in MB."""

    def __init__(self):
        super().__init__(daemon=True)
        self.largest, self.ended = resident(), threading.Event()

    def run(self):
        while not self.ended.wait(0.002):
            self.largest = max(self.largest, resident())

    def stop(self):
        self.ended.set()
        self.join()
        return self.largest


def measure(way, batch, micro, size, steps):
    """Growth of the resident set, MB of tensors or `None`, seconds a step."""
    import keras
    import numpy as np

    import keras_tcl

    keras.utils.set_random_seed(0)
    model = keras_tcl.models.sew_resnet(
        [1, 1], [16, 32], input_shape=(size, size, 3), classes=10, timesteps=4
    )
    accumulates = way == "accumulated"
    parts = batch // micro if accumulates else None
    model.compile(
        keras.optimizers.SGD(0.01, gradient_accumulation_steps=parts),
        keras_tcl.losses.STCL(),
        micro_batch_size=micro if way == "cached" else None,
    )
    x = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3))
    x, y = x.astype("uint8"), np.arange(batch) % 10
    rows = micro if accumulates else batch
    before, peak = resident(), Peak()
    peak.start()
    # The first step compiles: it is in the memory, and not in the time.
    model.fit(x, y, rows, epochs=1, verbose=0)
    start = time.perf_counter()
    model.fit(x, y, rows, epochs=steps, verbose=0)
    seconds = (time.perf_counter() - start) / steps
    grown = peak.stop() - before
    return grown, tensors(model, x[:rows], y[:rows]), seconds


def tensors(model, x, y):
    """MB that the tensors of one step need, where the backend tells."""
    import keras
    import memory

    ways = {"jax": memory.planned_by_xla, "torch": memory.allocated_by_torch}
    way = ways.get(keras.config.backend())
    return None if way is None else float(way(model, x, y)) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=WAYS, help="measure it here")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--micro", type=int, default=16)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2)
    given = parser.parse_args()
    settings = given.batch, given.micro, given.size, given.steps
    if given.way:
        print(json.dumps(measure(given.way, *settings)))
        return
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    print(
        f"{backend}, batch {given.batch}, micro-batch {given.micro}, "
        f"{given.size} x {given.size} pixels, STCL, T = 4\n\n"
        "| step | resident set grows | tensors | time |\n"
        "| --- | --- | --- | --- |"
    )
    first = None
    for way in WAYS:
        done = subprocess.run(
            [sys.executable, *sys.argv, "--way", way],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        grown, of_tensors, seconds = json.loads(done.stdout.splitlines()[-1])
        first = first or seconds
        told = "-" if of_tensors is None else f"{of_tensors:.0f} MB"
        print(
            f"| {way} | {grown:.0f} MB | {told} | {seconds / first:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
