"""What does one streamed step cost, beside 1 / T of the whole prediction?

    KERAS_BACKEND=jax python -m benchmarks.streaming

One compiled step of a `Stream` (frame in, mean logits out, both in NumPy)
against `predict_on_batch` of all T steps, divided by T; medians of calls that
take turns. Prints a Markdown table of the ratios: at most 1.15 is wanted.
Beside it the floor: `predict_on_batch` of a network of T = 1, which reads
every weight and starts every operation for one step, as a stream must, and
where T steps at once do so for T. (Of still images the whole prediction runs
the stem once, and a stream at every step.)
"""

import argparse
import time

import keras
import numpy as np

from keras_tcl import models


def medians(functions, repetitions):
    """Median milliseconds of functions that take turns."""
    times = [[] for _ in functions]
    for function in functions:
        for _ in range(3):
            function()
    for _ in range(repetitions):
        for function, found in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            found.append(1e3 * (time.perf_counter() - start))
    return np.median(times, axis=1)


NETWORKS = {
    "sew_resnet18": lambda T: models.sew_resnet18(timesteps=T),
    "sew_resnet 16-32-64": lambda T: models.sew_resnet(
        [1, 1, 1], [16, 32, 64], timesteps=T
    ),
    "sew_resnet 16-32-64, events": lambda T: models.sew_resnet(
        [1, 1, 1], [16, 32, 64], (T, 32, 32, 2)
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=30)
    arguments = parser.parse_args()
    print(
        "| network | backend | T | batch | ms, whole / T | ms, T = 1 | "
        "ms, step | step / (whole / T) | step / (T = 1) |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for name, build in NETWORKS.items():
        keras.utils.set_random_seed(0)
        model, short = build(arguments.timesteps), build(1)
        for batch in (1, 16):
            shape = (batch, *model.network.inputs[0].shape[1:])
            x = np.random.default_rng(0).integers(0, 4, shape).astype("float32")
            frame = x[:, 0] if model.takes_events else x
            session = model.stream()
            first = x[:, :1] if model.takes_events else x
            whole, one, step = medians(
                [
                    lambda x=x, m=model: m.predict_on_batch(x),
                    lambda x=first, m=short: m.predict_on_batch(x),
                    lambda frame=frame, s=session: s(frame),
                ],
                arguments.repetitions,
            )
            whole /= arguments.timesteps
            print(
                f"| {name} | {keras.config.backend()} | {arguments.timesteps} "
                f"| {batch} | {whole:.2f} | {one:.2f} | {step:.2f} "
                f"| {step / whole:.2f} | {step / one:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
