"""The convolutions of SEW-ResNet-18 by themselves, forward and backward.

    KERAS_BACKEND=jax python -m benchmarks.convolutions
    KERAS_BACKEND=jax python -m benchmarks.convolutions --keras

32x32, batch 16, T = 4. Their sum beside a whole training step says how much
of it is left for everything else; `--keras` runs `keras.layers.Conv2D`.
"""

import argparse
import statistics
import time

import keras

import keras_tcl
from benchmarks.speed.ours import layer_step

# How many, images, height, channels in and out, kernel, stride.
LAYERS = [
    (1, 16, 32, 3, 64, 3, 1),
    (4, 64, 32, 64, 64, 3, 1),
    (1, 64, 32, 64, 128, 3, 2),
    (1, 64, 32, 64, 128, 1, 2),
    (3, 64, 16, 128, 128, 3, 1),
    (1, 64, 16, 128, 256, 3, 2),
    (1, 64, 16, 128, 256, 1, 2),
    (3, 64, 8, 256, 256, 3, 1),
    (1, 64, 8, 256, 512, 3, 2),
    (1, 64, 8, 256, 512, 1, 2),
    (3, 64, 4, 512, 512, 3, 1),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keras", action="store_true")
    library = keras if parser.parse_args().keras else keras_tcl
    total = 0.0
    for count, images, height, inputs, filters, size, stride in LAYERS:
        layer = library.layers.Conv2D(
            filters, size, stride, padding="same", use_bias=False
        )
        run = layer_step(layer, (images, height, height, inputs))
        run(2)
        times = []
        for _ in range(7):
            start = time.perf_counter()
            run(1)
            times.append(time.perf_counter() - start)
        median = statistics.median(times)
        total += count * median
        print(
            f"{count} x {size}x{size}/{stride}, {inputs} to {filters}, "
            f"{height}x{height}, {images} images: {median * 1e3:.1f} ms",
            flush=True,
        )
    print(f"{keras.config.backend()}, {library.__name__}: {total:.3f} s in all")


if __name__ == "__main__":
    main()
