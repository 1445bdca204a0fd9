"""Which method is most accurate at each latency? One run a line.

    KERAS_BACKEND=torch python -m benchmarks.methods DATA OUT.jsonl METHOD \
        --rate 0.4 --seed 0
    python -m benchmarks.methods OUT.jsonl             # the table
    python -m benchmarks.methods                       # the methods

DATA is `digits`, or the folder that holds CIFAR-10 (`--images` of the 50,000:
the first so many of the training split, of which the last 5,000 are never
trained on). All methods train `sew_resnet8`, T = 4, by one recipe; what
differs is the line of `METHODS`, and the learning rate, which each may choose
on the held-out images. The accuracy on the test images is written into
another file, `OUT.test.jsonl`, which is opened after the choice.

benchmarks/methods.md says by which criterion, and has the tables.
"""

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

import keras_tcl
from benchmarks.defaults import over_seeds
from benchmarks.paper.optimizer import L2SGD
from keras_tcl import augmentation, losses
from keras_tcl.callbacks import BackupAndResume, TimestepSchedule


@dataclasses.dataclass(frozen=True)
class Method:
    """What differs from the baseline."""

    loss: str
    schedule: Any = None
    per_stage: bool = False
    neuron: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"`{self.loss}`"]
        if self.schedule is not None:
            more = ", per_stage=True" * self.per_stage
            parts.append(f"`TimestepSchedule({self.schedule}{more})`")
        parts += [f"`LIF({k}={v!r})`" for k, v in self.neuron.items()]
        return ", ".join(parts)


METHODS = {
    "baseline": Method("MeanCrossEntropy()"),
    "TET": Method("TET()"),
    "TCL": Method("TCL()"),
    "STCL": Method("STCL()"),
    "latency": Method("LatencyCrossEntropy()"),
    "random T": Method("MeanCrossEntropy()", schedule=range(1, 5)),
    "T rises": Method("TET()", schedule={0: 1, 0.25: 2, 0.5: 4}),
    "mixed T": Method("TET()", schedule=range(1, 5), per_stage=True),
    "distillation": Method("TET() + 0.5 * TemporalDistillation()"),
    "consistency": Method("TET() + 0.5 * TemporalConsistency()"),
    "strong to weak": Method("TET() + 0.5 * Strong2Weak()"),
    "weak to strong": Method("TET() + 0.5 * Weak2Strong()"),
    "selective": Method("TET() + 0.5 * SelectiveTemporalAlignment()"),
    "self-distillation": Method(
        "MeanCrossEntropy() + 0.5 * TemporalSelfDistillation(1)"
        " + 0.5 * SpatialSelfDistillation()"
    ),
    "initial potential": Method(
        "TET()", neuron={"initial_potential": "running_mean"}
    ),
    "latency + contrast": Method(
        "LatencyCrossEntropy() + 0.3 * TemporalContrast()"
    ),
    "latency + distillation": Method(
        "LatencyCrossEntropy() + 0.5 * TemporalDistillation()"
    ),
    "all": Method(
        "LatencyCrossEntropy() + 0.5 * TemporalDistillation()"
        " + 0.3 * TemporalContrast()"
    ),
}
HELD_OUT = 5000
EPOCHS = {"digits": 40, "cifar10": 20}
BATCH = {"digits": 32, "cifar10": 64}


def data_of(data: str, images: int, seed: int) -> list[Any]:
    """Sources to train on, to choose by, and to test with."""
    if data == "digits":
        digits = keras_tcl.data.source("digits", "train+test")
        order = np.random.default_rng(seed).permutation(len(digits))
        parts = order[:400], order[400:800], order[800:]
        return [keras_tcl.data.Subset(digits, part) for part in parts]
    first = min(images, 50_000 - HELD_OUT)
    splits = f"train[:{first}]", f"train[{50_000 - HELD_OUT}:]", "test"
    return [keras_tcl.data.source("cifar10", split, data) for split in splits]


def schedule_of(method: Method, epochs: int) -> list[keras.callbacks.Callback]:
    """The schedule of T of a method, if it has one."""
    schedule = method.schedule
    if schedule is None:
        return []
    if isinstance(schedule, Mapping):
        schedule = by_epoch(schedule, epochs)
    return [TimestepSchedule(schedule, method.per_stage)]


def by_epoch(by_share: Mapping[float, int], epochs: int) -> dict[int, int]:
    """`{epoch: T}` for a `TimestepSchedule`, from `{share of epochs: T}`.

    A T whose share is less than an epoch is left out, but for the first.
    """
    begins: dict[int, int] = {}
    for share, timesteps in sorted(by_share.items()):
        epoch = round(share * epochs)
        if epoch < epochs and epoch not in begins:
            begins[epoch] = timesteps
    last = max(by_share.items(), default=(0, None))[1]
    if by_share and last not in begins.values():
        raise ValueError(
            f"{epochs} epochs are too few for the time steps {dict(by_share)}, "
            "by shares: the last would not be trained."
        )
    return begins


def run(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Train by one method; what was found on held-out and on test images."""
    keras.utils.set_random_seed(arguments.seed)
    name = "digits" if arguments.data == "digits" else "cifar10"
    method = METHODS[arguments.method]
    epochs = arguments.epochs or EPOCHS[name]
    train, held, test = data_of(
        arguments.data, arguments.images, arguments.seed
    )
    info = keras_tcl.data.info(name)
    crop = augmentation.RandomCrop(1)
    model = keras_tcl.sew_resnet8(
        **info.network_arguments(),
        neuron=keras_tcl.layers.LIF(**method.neuron),
        augmenter=crop if name == "digits" else "cifar",
    )
    batches = keras_tcl.data.Batches(
        train,
        BATCH[name],
        shuffle=True,
        seed=arguments.seed,
        drop_remainder=True,
    )
    rate = keras.optimizers.schedules.CosineDecay(
        arguments.rate, epochs * len(batches)
    )
    loss = eval(method.loss, vars(losses))
    model.compile(L2SGD(rate, 0.9, 5e-4), loss)
    callbacks = schedule_of(method, epochs)
    if arguments.resume:
        callbacks.append(BackupAndResume(arguments.resume))
    start = time.perf_counter()
    verbose = 2 if name == "cifar10" else 0
    history = model.fit(
        batches, epochs=epochs, verbose=verbose, callbacks=callbacks
    ).history
    seconds = time.perf_counter() - start
    if arguments.save:
        model.save(arguments.save)
    row = {
        "data": name,
        "method": arguments.method,
        "loss": method.loss,
        "rate": arguments.rate,
        "seed": arguments.seed,
        "images": len(train),
        "epochs": epochs,
        "seconds": round(seconds),
        "last": {k: round(v[-1], 3) for k, v in history.items()},
    }

    def measured(source: Any) -> dict[str, Any]:
        part = keras_tcl.data.Batches(source, 250)
        accuracy = model.evaluate_timesteps(part)
        return {"accuracy": [round(100 * float(a), 2) for a in accuracy]}

    return {**row, **measured(held)}, {**row, **measured(test)}


def table(path: pathlib.Path) -> str:
    """Means over seeds at the best rate of each method, best methods first."""
    groups: dict[Any, dict[float, list[Any]]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        key = row["data"], row["images"], row["epochs"], row["method"]
        groups.setdefault(key, {}).setdefault(row["rate"], []).append(row)
    lines = [
        "| data | images | epochs | method | rate | seeds | t = 1 | 2 | 3 | 4 |"
        " mean | s |",
        "| --- " * 12 + "|",
    ]
    found = []
    for key, rates in groups.items():
        for rate, rows in rates.items():
            values = np.array([row["accuracy"] for row in rows])
            seconds = np.mean([row["seconds"] for row in rows])
            found.append(
                (key[:3], -values.mean(), key[3], rate, values, seconds)
            )
    for where, mean, method, rate, values, seconds in sorted(
        found, key=lambda row: row[:2]
    ):
        cells = over_seeds(values)
        row = [*where, method, rate, len(values), *cells, f"{-mean:.2f}"]
        lines.append(
            "| " + " | ".join(map(str, [*row, f"{seconds:.0f}"])) + " |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="?")
    parser.add_argument("output", nargs="?", type=pathlib.Path)
    parser.add_argument("method", nargs="?", choices=METHODS)
    parser.add_argument("--rate", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--resume", type=pathlib.Path, help="a folder")
    parser.add_argument("--save", type=pathlib.Path, help="a .keras file")
    arguments = parser.parse_args()
    if arguments.data is None:
        for name, method in METHODS.items():
            print(f"| {name} | {method} |")
    elif arguments.output is None:
        print(table(pathlib.Path(arguments.data)))
    else:
        held, test = run(arguments)
        sealed = arguments.output.with_suffix(".test.jsonl")
        for path, row in ((arguments.output, held), (sealed, test)):
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        print(held, file=sys.stderr)


if __name__ == "__main__":
    main()
