"""Does every exported network predict the same, how big is it, how fast?

    KERAS_BACKEND=jax python -m benchmarks.export --data-dir DIR

`DIR` holds `cifar-10-batches-bin`; without it, images are random. Every
network (`--narrow`: its family at an eighth of the width) gets random weights
and the normalization statistics of some images, is exported in every format
that this backend writes, and opened by that format's own runtime, without
Keras. Event networks see Poisson counts. Prints a Markdown table:

* size of the file or folder, and nodes of its graph;
* agreement of the most probable class with `predict`, and the largest
  difference of the logits, on 256 images;
* the same difference among images of whose potentials none comes within
  1e-5 of the threshold at any step, and their number: those must be exact
  (1e-4), since only a rounded potential there can turn a spike;
* milliseconds at batch 1 and 16 as a ratio to `predict_on_batch`, each the
  median of `--repetitions` calls that take turns.

Fails if an agreement is below 99.5 % or such an image differs.
"""

import argparse
import functools
import os
import pathlib
import sys
import tempfile
import time
import warnings

import keras
import numpy as np

import keras_tcl
from benchmarks import runtimes
from keras_tcl import graph, models
from keras_tcl.inference.converters import BACKENDS
from keras_tcl.inference.exporting import SUFFIXES
from keras_tcl.layers import BatchNormalization, EachStep, Neuron

SUFFIX = {format: suffix for suffix, format in SUFFIXES.items()}
NARROW = {
    "resnet19": lambda **k: models.spiking_resnet(
        [3, 3, 2], [16, 32, 64], classifier=_hidden_classifier(), **k
    ),
    "sew_resnet18": lambda **k: models.sew_resnet(
        [2, 2, 2, 2], [8, 16, 32, 64], **k
    ),
    "spiking_resnet18": lambda **k: models.spiking_resnet(
        [2, 2, 2, 2], [8, 16, 32, 64], **k
    ),
    "spiking_vgg11": lambda **k: models.spiking_vgg(
        [[8], [16], [32, 32], [64, 64, 64, 64]], **k
    ),
    "vggsnn": lambda **k: models.spiking_vgg(
        [[8, 16], [32, 32], [64, 64], [64, 64]],
        (4, 48, 48, 2),
        pooling="flatten",
        **k,
    ),
}


def _hidden_classifier():
    return keras_tcl.layers.Classifier(
        10, hidden_units=[32], dtype="float32", name="classifier"
    )


def images(count, data_dir):
    if data_dir is None:
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (count, 32, 32, 3)).astype("uint8")
    test = keras_tcl.data.load("cifar10", "test", count, data_dir)
    return np.asarray(next(iter(test))[0])


def set_statistics(network, x):
    """Normalize as after training on `x`, so that neurons fire."""

    called = graph.called(training=False)

    def visit(layer, *args, **kwargs):
        inner = layer.layer if isinstance(layer, EachStep) else layer
        if isinstance(inner, BatchNormalization):
            values = keras.ops.convert_to_numpy(args[0])
            axes = tuple(range(values.ndim - 1))
            inner.moving_mean.assign(values.mean(axes))
            inner.moving_variance.assign(values.var(axes))
        elif isinstance(inner, keras.layers.Dense):
            # Or hidden neurons are silent, and all logits are 0.
            scale = np.std(keras.ops.convert_to_numpy(called(layer, *args)))
            inner.kernel.assign(inner.kernel / scale)
        return called(layer, *args, **kwargs)

    with runtimes.without_gradient():
        graph.walk(network, keras.ops.convert_to_tensor(x, "float32"), visit)


def margins(network, x):
    """How near the threshold each sample's potentials come, at any step."""
    nearest = np.full(len(x), np.inf)

    def visit(layer, *args, **kwargs):
        if isinstance(layer, Neuron):
            values = keras.ops.convert_to_numpy(args[0])
            u = np.zeros_like(values[:, 0])
            for t in range(values.shape[1]):
                h = layer.decay * u + values[:, t]
                gap = np.abs(h - layer.threshold).reshape(len(x), -1)
                np.minimum(nearest, gap.min(1), out=nearest)
                s = h >= layer.threshold
                u = h - layer.threshold * s if layer.reset == "soft" else h * ~s
        return graph.called(training=False)(layer, *args, **kwargs)

    with runtimes.without_gradient():
        graph.walk(network, keras.ops.convert_to_tensor(x, "float32"), visit)
    return nearest


def measure(functions, repetitions):
    """Median milliseconds of functions that take turns."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repetitions):
        for function, found in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            found.append(1e3 * (time.perf_counter() - start))
    return np.median(times, axis=1)


def rows(name, model, x, arguments):
    """A line of the table for each format."""
    set_statistics(model.network, x[:16])
    expected = model.predict(x, batch_size=16, verbose=0)
    if not expected.std(axis=0).min() > 0:
        sys.exit(f"{name} predicts the same for all images: nothing to test.")
    near = np.concatenate(
        [margins(model.network, x[i : i + 16]) for i in range(0, len(x), 16)]
    )
    clear = near >= 1e-5
    for format in arguments.formats:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / f"model{SUFFIX[format]}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                start = time.perf_counter()
                model.export(path, format)
                seconds = time.perf_counter() - start
            files = [f for f in pathlib.Path(folder).rglob("*") if f.is_file()]
            size = sum(f.stat().st_size for f in files)
            nodes = runtimes.count_nodes(format, str(path))
            run = runtimes.OPEN[format](str(path))
            got = np.concatenate(
                [
                    run({"inputs": x[i : i + 16]})["logits"]
                    for i in range(0, len(x), 16)
                ]
            )
            agreement = 100 * np.mean(got.argmax(1) == expected.argmax(1))
            gaps = np.abs(got - expected).max(1)
            ratios = []
            for batch in (1, 16):
                part = x[:batch]
                there, here = measure(
                    [
                        functools.partial(run, {"inputs": part}),
                        functools.partial(model.predict_on_batch, part),
                    ],
                    arguments.repetitions,
                )
                ratios.append(f"{there:.1f} / {here:.1f} = {there / here:.2f}")
        exact = gaps[clear].max() if clear.any() else 0.0
        print(
            f"| {name} | {format} | {keras.config.backend()} "
            f"| {size / 1e6:.2f} | {nodes} | {seconds:.0f} "
            f"| {agreement:.1f} | {gaps.max():.0e} "
            f"| {exact:.0e} of {clear.sum()} | {' | '.join(ratios)} |",
            flush=True,
        )
        yield agreement >= 99.5 and exact <= 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="the folder of the data sets")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--narrow", action="store_true")
    names = sorted(NARROW)
    parser.add_argument("--models", nargs="+", default=names, choices=names)
    able = [f for f, b in BACKENDS.items() if keras.config.backend() in b]
    parser.add_argument("--formats", nargs="+", default=able, choices=able)
    arguments = parser.parse_args()
    print(
        "| network | format | backend | MB | nodes | s to write | top-1, % "
        "| difference | where no potential is near | ms, batch 1 "
        "| ms, batch 16 |\n" + "| --- " * 11 + "|"
    )
    good = []
    for name in arguments.models:
        keras.utils.set_random_seed(0)
        if arguments.narrow:
            model = NARROW[name](timesteps=4)
        elif name == "vggsnn":
            model = models.vggsnn((4, 48, 48, 2))
        else:
            model = models.create_model(name)
        if model.takes_events:
            shape = (arguments.samples, 4, 48, 48, 2)
            rng = np.random.default_rng(0)
            x = rng.poisson(0.3, shape).astype("float32")
        else:
            x = images(arguments.samples, arguments.data_dir)
        good += rows(name, model, x, arguments)
    if not all(good):
        sys.exit("An exported network predicts something else.")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    main()
