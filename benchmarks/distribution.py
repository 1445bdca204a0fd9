"""Does `fit` on several devices or processes end as it does on one?

    KERAS_BACKEND=torch python -m benchmarks.distribution

Each loss of `keras_tcl.losses`, and one of Keras, trains a narrow SEW-ResNet
and a narrow VGG on images in one view, on images in two views, and on event
frames: five steps, of which the last has fewer samples than the others, with
`synchronized=True`. One process trains all of them on one device, another one
on two, and so on. Compared are the weights (moving statistics among them) and
the logs.

A loss without global contrast, or a normalization of each device by itself,
is to be seen as a difference: the last rows have `synchronized=False`.

Prints tables in Markdown, writes a line of JSON for each training to `--out`,
and exits with 1 where weights differ by more than 1e-5.
"""

import argparse
import inspect
import json
import os
import pathlib
import sys
import tempfile
import time

import keras
import numpy as np

import keras_tcl
from keras_tcl import losses
from keras_tcl.losses import TemporalLoss
from tests.distribution import launch, training

BACKEND = keras.config.backend()
LIMIT = 1e-5
STEPS = 5
BATCH_SIZE = 8
# Samples of the last batch. Of TensorFlow's 4 replicas, one has none;
# PyTorch's processes need one each, and JAX's equal parts.
LAST = {"tensorflow": 3, "torch": 5, "jax": 6}[BACKEND]
SIZE = (STEPS - 1) * BATCH_SIZE + LAST
# `{way: (processes, virtual devices of each)}`
WAYS = {
    "jax": {
        "1 device": (1, 1),
        "2 devices": (1, 2),
        "4 devices": (1, 4),
        "2 processes": (2, 1),
    },
    "torch": {
        "1 process": (1, 1),
        "2 processes": (2, 1),
        "4 processes": (4, 1),
    },
}
WAYS["tensorflow"] = WAYS["jax"]
KINDS = {
    "images, 1 view": {"views": 1},
    "images, 2 views": {"views": 2},
    "events": {"views": 1, "events": True},
}
FAMILIES = ("sew", "vgg")
SUM = "TET() + 0.5 * TemporalDistillation() + 0.3 * TemporalContrast()"
# Where each device is to differ, unless the backend knows of none.
CONTROLS = ("STCL", "TET")


def names():
    """All losses, a sum of them (which `LossSum` is), and one of Keras."""
    found = [getattr(losses, name) for name in losses.__all__]
    found = [
        kind.__name__
        for kind in found
        if inspect.isclass(kind)
        and issubclass(kind, TemporalLoss)
        # The one has no formula, the other needs parts.
        and kind not in (TemporalLoss, losses.LossSum)
    ]
    return [*found, SUM, "sparse_categorical_crossentropy"]


def made(name, shape):
    """A new loss."""
    if name == "sparse_categorical_crossentropy":
        return name
    if name == "Distillation":
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Flatten(), keras.layers.Dense(4)]
        teacher = keras.Sequential([keras.Input(shape), *layers])
        return losses.Distillation(teacher)
    if name == "TemporalSelfDistillation":
        return losses.TemporalSelfDistillation(steps=1)
    return eval(name if "(" in name else f"{name}()", vars(losses))


def cells(only="", spread=False):
    """Of each training: its loss, family, kind of data, and whether normal."""
    combinations = [(family, kind) for kind in KINDS for family in FAMILIES]
    found = []
    for number, name in enumerate(names()):
        chosen = combinations
        if spread:
            chosen = [combinations[number % len(combinations)]]
        if name == "sparse_categorical_crossentropy":  # It sees one view.
            chosen = [pair for pair in chosen if KINDS[pair[1]]["views"] == 1]
        found += [(name, *pair, True) for pair in chosen]
    found += [(name, "sew", "images, 2 views", False) for name in CONTROLS]
    return [cell for cell in found if only in " ".join(map(str, cell))]


def prepared(cell, process):
    """A compiled model, and the data of a process."""
    name, family, kind, synchronized = cell
    settings = {
        **training.SETTINGS,
        **KINDS[kind],
        "family": family,
        "widths": [4, 8],
        "size": SIZE,
        "batch_size": BATCH_SIZE,
        "synchronized": synchronized,
    }
    x, y = training.samples(settings)
    settings["loss"] = made(name, x.shape[1:])
    model = training.built(settings)
    return model, training.batches(x, y, settings, process)


def train(cell, process):
    """Weights before and after, and logs."""
    model, data = prepared(cell, process)
    weights = [w for w in model.weights if "float" in w.dtype]
    before = [keras.ops.convert_to_numpy(w) for w in weights]
    history = model.fit(data, verbose=0).history
    after = [keras.ops.convert_to_numpy(w) for w in weights]
    return before, after, {name: values[-1] for name, values in history.items()}


def train_all(folder, devices, *chosen):
    """What one process does."""
    if devices > 1:
        training.show_devices(devices)
    process = keras_tcl.distribution.data_parallel()
    for number, cell in enumerate(cells(*chosen)):
        before, after, logs = train(cell, process)
        np.savez(
            folder / f"{number}-{process.index}.npz",
            logs=json.dumps(logs),
            **{f"before{i}": w for i, w in enumerate(before)},
            **{f"after{i}": w for i, w in enumerate(after)},
        )
        print(number, cell, flush=True)
    if BACKEND == "jax" and process.count > 1:
        import jax

        jax.distributed.shutdown()


def start(folder, processes, devices, only, spread):
    """Run the processes that train in one way."""
    folder.mkdir()
    command = [sys.executable, "-m", "benchmarks.distribution"]
    command += ["--train", str(folder), "--devices", str(devices)]
    command += ["--only", only] + ["--spread"] * spread
    # XLA compiles much here and computes little.
    os.environ.setdefault(
        "XLA_FLAGS",
        "--xla_backend_optimization_level=0 "
        "--xla_llvm_disable_expensive_passes=true",
    )
    launch.all_of(command, processes, folder)


def read(path):
    """Arrays before and after, and logs, of one training in one process."""
    with np.load(path) as file:
        count = sum(name.startswith("after") for name in file.files)
        before, after = (
            [file[f"{when}{i}"].astype("float64") for i in range(count)]
            for when in ("before", "after")
        )
        return before, after, json.loads(str(file["logs"]))


def greatest(pairs):
    return max(
        float(np.abs(a - b).max(initial=0)) for a, b in zip(*pairs, strict=True)
    )


def compared(folders, number):
    """Of one training in all ways: differences from one device."""
    before, wanted, logs = read(folders[0] / f"{number}-0.npz")
    rows = []
    for folder in folders[1:]:
        found = [read(path) for path in folder.glob(f"{number}-*.npz")]
        # Those of each process; they are to be the same.
        weights = max(greatest((wanted, after)) for _, after, _ in found)
        of_logs = max(
            abs(other[name] - value) / max(abs(value), 1e-6)
            for _, _, other in found
            for name, value in logs.items()
        )
        rows.append({"weights": weights, "logs": of_logs})
    return greatest((before, wanted)), rows


def measure(folder, out, *chosen):
    """Train in all ways; return the results, one for each training."""
    ways, folders = WAYS[BACKEND], []
    for number, (processes, devices) in enumerate(ways.values()):
        folders.append(folder / str(number))
        begun = time.monotonic()
        start(folders[-1], processes, devices, *chosen)
        seconds = time.monotonic() - begun
        print(f"{list(ways)[number]}: {seconds:.0f} s", file=sys.stderr)
    results = []
    for number, cell in enumerate(cells(*chosen)):
        moved, rows = compared(folders, number)
        of_ways = dict(zip(list(ways)[1:], rows, strict=True))
        results.append({
            "backend": BACKEND, "loss": cell[0], "family": cell[1],
            "kind": cell[2], "synchronized": cell[3], "moved": moved,
            "differences": of_ways,
        })  # fmt: skip
    if out:
        with open(out, "a") as file:
            file.writelines(json.dumps(result) + "\n" for result in results)
    return results


def table(results):
    """For each loss and way, the greatest differences of its trainings."""
    ways = list(results[0]["differences"])
    yield (
        "| loss | trainings | weights moved by | "
        + " | ".join(f"{way}: weights, logs" for way in ways)
        + " |"
    )
    yield "| --- " * (3 + len(ways)) + "|"
    groups = {}
    for result in results:
        groups.setdefault((result["loss"], result["synchronized"]), []).append(
            result
        )
    for (loss, synchronized), group in groups.items():
        of_ways = [
            ", ".join(
                f"{max(r['differences'][way][what] for r in group):.0e}"
                for what in ("weights", "logs")
            )
            for way in ways
        ]
        least = min(result["moved"] for result in group)
        note = "" if synchronized else ", `synchronized=False`"
        cells = [f"`{loss}`{note}", str(len(group)), f"{least:.0e}", *of_ways]
        yield f"| {' | '.join(cells)} |"


def beyond(results):
    """The trainings that are to be equal, and differ."""
    return [
        f"{r['loss']}, {r['family']}, {r['kind']}, {way}: "
        f"{found['weights']:.1e}"
        for r in results
        for way, found in r["differences"].items()
        if r["synchronized"] and not found["weights"] <= LIMIT
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a training's name")
    parser.add_argument(
        "--spread",
        action="store_true",
        help="each loss with one network and kind of data, in turn",
    )
    parser.add_argument("--out", help="file of results, one JSON a line")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    parser.add_argument("--devices", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    chosen = arguments.only, arguments.spread
    if arguments.train:
        folder = pathlib.Path(arguments.train)
        train_all(folder, arguments.devices, *chosen)
        return
    with tempfile.TemporaryDirectory() as folder:
        results = measure(pathlib.Path(folder), arguments.out, *chosen)
    print("\n".join(table(results)))
    differing = beyond(results)
    if differing:
        sys.exit("Differ by more than 1e-5: " + "; ".join(differing))


if __name__ == "__main__":
    main()
