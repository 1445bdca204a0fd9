"""Memory of a long training: resident set and live objects, by the step.

    KERAS_BACKEND=jax python benchmarks/flat_memory.py

One `fit` of 1,000 steps of a tiny network on a backend; prints every 100 steps
the resident set, the objects that Python's collector knows, and on JAX the
arrays that are alive. What training holds shows as a growth of the latter two;
the resident set alone also moves with the C library's free lists.
"""

import argparse
import gc
import os

import keras
import numpy as np

import keras_tcl


def resident() -> float:
    """Resident set in MiB (Linux)."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def live_arrays() -> int | None:
    """Arrays that JAX keeps; other backends do not say."""
    if keras.config.backend() != "jax":
        return None
    import jax

    return len(jax.live_arrays())


class Report(keras.callbacks.Callback):
    """Prints a line every `every` steps."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every, self.step, self.first = every, 0, None

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step % self.every:
            return
        gc.collect()
        now = resident()
        self.first = now if self.first is None else self.first
        print(
            f"{keras.config.backend()}: step {self.step:5d}, "
            f"{now:7.1f} MiB ({now - self.first:+.1f}), "
            f"{len(gc.get_objects())} objects, "
            f"{live_arrays()} arrays",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--every", type=int, default=100)
    options = parser.parse_args()
    keras.utils.set_random_seed(0)
    model = keras_tcl.models.sew_resnet(
        [1], [4], (8, 8, 3), 4, timesteps=2, augmenter=None
    )
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        keras_tcl.losses.MeanCrossEntropy(),
        metrics=["accuracy"],
    )
    count = 8 * options.steps
    x = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), "uint8")
    y = np.arange(count) % 4
    model.fit(x, y, 8, verbose=0, callbacks=[Report(options.every)])


if __name__ == "__main__":
    main()
