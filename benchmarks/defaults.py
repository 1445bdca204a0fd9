"""Which settings should TCL and STCL have by default? One run a line.

    KERAS_BACKEND=torch python -m benchmarks.defaults DATA OUT.jsonl \
        --name NAME --seed SEED [SETTING=VALUE ...]
    python -m benchmarks.defaults OUT.jsonl            # the table
    python -m benchmarks.defaults OUT.jsonl --plot PLOT.png "NAME=label" ...

DATA is `digits`, or the folder that holds CIFAR-10. On the digits, 400 of
1,797 drawn by the seed are trained on and another 400 are held out to choose
by; on CIFAR-10, the first 5,000 training images, and the last 5,000. `--save
FOLDER` keeps the weights; `--test FOLDER` measures them, once and after the
choice, on the test images (the other 997 digits; CIFAR-10's 10,000).
benchmarks/defaults.md says by which criterion.

| setting | value |
| --- | --- |
| loss | ce, tet, tcl, stcl |
| weight, temperature, per_step | as for `STCL` |
| taps | all, two (the last two stages), one |
| decay | 1: weight times 1 - (epoch / epochs)^2 |
| augmentation | light (crop; and flip on CIFAR-10), strong (the paper's), mixed (one view light, one strong) |
| classified | all, first (of the views) |
| head | plain, bn (normalization before the ReLU) |
| epochs, batch, rate | 40, 32, 0.1 (digits); 10, 64, 0.1 |
"""  # noqa: E501

import argparse
import json
import os
import pathlib
import sys
import time
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_tcl
from benchmarks.paper.optimizer import L2SGD
from keras_tcl import analysis, augmentation
from keras_tcl.augmentation import Pipeline, RandomCrop
from keras_tcl.losses import STCL, TCL, TET, MeanCrossEntropy
from keras_tcl.optional import require

SETTINGS: dict[str, Any] = {
    "loss": "stcl",
    "weight": 0.15,
    "temperature": 0.07,
    "per_step": 0.0,
    "taps": "all",
    "decay": 0,
    "augmentation": "light",
    "classified": "all",
    "head": "plain",
    "epochs": 0,
    "batch": 0,
    "rate": 0.1,
    "normalization": "mean",
}
EPOCHS = {"digits": 40, "cifar10": 10}
BATCH = {"digits": 32, "cifar10": 64}


class FirstViewClassified(STCL):
    """`STCL` that classifies the first view alone."""

    def terms(self, y_true: Any, y_pred: Any) -> dict[str, Any]:
        outputs = self._outputs(y_pred)
        first = outputs._replace(logits=outputs.logits[:, :1])
        return super().terms(y_true, first)


class NormalizedHead(keras_tcl.layers.ProjectionHead):
    """A projection head with batch normalization before its ReLU."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.hidden_layer.activation = keras.activations.linear
        self.normalization = keras.layers.BatchNormalization(momentum=0.9)
        self.normalization.build((*input_shape[:2], self.hidden_layer.units))

    def call(self, inputs: Any) -> Any:
        if len(inputs.shape) == 5:
            inputs = ops.mean(inputs, axis=(2, 3))
        hidden = self.normalization(self.hidden_layer(inputs), training=True)
        return self.output_layer(ops.relu(hidden))


class Mixed(keras.layers.Layer):
    """The first of two views lightly augmented, the second strongly."""

    def __init__(self, light: Any, strong: Any) -> None:
        super().__init__(dtype="float32")
        self.light, self.strong = light, strong

    def call(self, x: Any, training: bool = True) -> Any:
        shape = x.shape
        x = ops.reshape(x, (-1, 2, *shape[1:]))
        views = [
            self.light(x[:, 0], training=True),
            self.strong(x[:, 1], training=True),
        ]
        return ops.reshape(ops.stack(views, 1), (-1, *shape[1:]))


class Decay(keras.callbacks.Callback):
    """Lets the contrastive weight fall to 0 as 1 - (epoch / epochs)^2."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 0:
            self.first = self.model.loss.get_config()
        weight = self.first["weight"] * (1 - (epoch / self.epochs) ** 2)
        # PyTorch's steps read it anew.
        loss = type(self.model.loss)(**{**self.first, "weight": weight})
        self.model.loss = loss


def loss_of(settings: dict[str, Any]) -> Any:
    kind = settings["loss"]
    if kind in ("ce", "tet"):
        return {"ce": MeanCrossEntropy, "tet": TET}[kind]()
    cls = TCL if kind == "tcl" else STCL
    if settings["classified"] == "first":
        cls = FirstViewClassified
    names = ("temperature", "weight", "normalization", "per_step")
    return cls(**{name: settings[name] for name in names})


def augmenter_of(kind: str, info: Any) -> Any:
    if info.name == "digits":
        light = RandomCrop(1)
        strong = Pipeline(
            [
                RandomCrop(1),
                augmentation.ColorJitter(0.4, 0.4, 0, 0, value_range=(0, 16)),
                augmentation.Cutout(3),
            ]
        )
    else:
        light = augmentation.recipe("cifar", info.shape)
        strong = augmentation.recipe("cifar_stcl", info.shape)
    return {"light": light, "strong": strong, "mixed": Mixed(light, strong)}[
        kind
    ]


def data_of(data: str, seed: int, test: bool) -> tuple[Any, Any]:
    if data == "digits":
        digits = keras_tcl.data.source("digits", "train+test")
        order = np.random.default_rng(seed).permutation(len(digits))
        held = order[800:] if test else order[400:800]
        return (
            keras_tcl.data.Subset(digits, order[:400]),
            keras_tcl.data.Subset(digits, held),
        )
    held = "test" if test else "train[45000:]"
    return tuple(
        keras_tcl.data.source("cifar10", split, data)
        for split in ("train[:5000]", held)
    )


def run(
    data: str, seed: int, settings: dict[str, Any], weights: Any, test: bool
) -> Any:
    keras.utils.set_random_seed(seed)
    name = "digits" if data == "digits" else "cifar10"
    info = keras_tcl.data.info(name)
    settings["epochs"] = settings["epochs"] or EPOCHS[name]
    settings["batch"] = settings["batch"] or BATCH[name]
    source, held = data_of(data, seed, test)
    train = keras_tcl.data.Batches(
        source, settings["batch"], shuffle=True, seed=seed, drop_remainder=True
    )
    if settings["head"] == "bn":
        keras_tcl.models.tcl_model.ProjectionHead = NormalizedHead
    taps = {"all": 3, "two": 2, "one": 1}[settings["taps"]]
    model = keras_tcl.models.sew_resnet(
        [1, 1, 1],
        [16, 32, 64],
        input_shape=info.shape,
        classes=info.classes,
        timesteps=4,
        value_range=info.value_range,
        mean=info.mean,
        std=info.std,
        augmenter=augmenter_of(settings["augmentation"], info),
        embedding_stages=["stage1", "stage2", "stage3"][3 - taps :],
    )
    rate = keras.optimizers.schedules.CosineDecay(
        settings["rate"], settings["epochs"] * len(train)
    )
    model.compile(L2SGD(rate, 0.9, 5e-4), loss_of(settings))
    callbacks = [Decay(settings["epochs"])] if settings["decay"] else []
    start, history = time.perf_counter(), {}
    if test:
        model.load_weights(weights)
    else:
        history = model.fit(
            train, epochs=settings["epochs"], verbose=0, callbacks=callbacks
        ).history
    seconds = time.perf_counter() - start
    if weights and not test:
        model.save_weights(weights)
    accuracy = model.evaluate_timesteps(keras_tcl.data.Batches(held, 250))
    return {
        "data": name,
        "seed": seed,
        "test": test,
        "accuracy": [round(100 * float(value), 2) for value in accuracy],
        "seconds": round(seconds),
        "last": {k: round(v[-1], 3) for k, v in history.items()},
        "settings": settings,
    }


def over_seeds(values: np.ndarray) -> list[str]:
    """Means of `[seeds, columns]`, with deviations where there are several."""
    cells = [f"{value:.1f}" for value in values.mean(axis=0)]
    if len(values) == 1:
        return cells
    deviations = values.std(axis=0, ddof=1)
    return [
        f"{cell} ± {deviation:.1f}"
        for cell, deviation in zip(cells, deviations, strict=True)
    ]


def table(path: pathlib.Path) -> str:
    """Means over seeds, in the order of the file."""
    rows: dict[Any, list[Any]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        key = row["data"], row["test"], row["name"]
        rows.setdefault(key, []).append(row)
    lines = [
        "| data | name | seeds | t = 1 | 2 | 3 | 4 | mean | s a run |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (data, test, name), group in rows.items():
        values = np.array([row["accuracy"] for row in group])
        cells = over_seeds(values)
        where = data + (", test" if test else "")
        seconds = np.mean([row.get("seconds", 0) for row in group])
        cells += [f"{values.mean():.2f}", f"{seconds:.0f}"]
        lines.append(
            f"| {where} | {name} | {len(group)} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


TITLES = {"cifar10": "CIFAR-10, 5,000 images", "digits": "400 digits"}


def plot(rows: list[Any], labels: dict[str, str], path: pathlib.Path) -> None:
    """Accuracy on the test images against t, a panel for each data set."""
    pyplot = require("matplotlib.pyplot", "A plot", "keras_tcl[plot]")
    figure, axes = pyplot.subplots(
        1, len(TITLES), figsize=(7.2, 2.9), layout="constrained"
    )
    for ax, (data, title) in zip(axes, TITLES.items(), strict=True):
        curves = {}
        for name, label in labels.items():
            runs = [
                np.array(row["accuracy"]) / 100
                for row in rows
                if (row["data"], row["name"], row["test"]) == (data, name, True)
            ]
            if runs:
                curves[label] = [*curves.get(label, []), *runs]
        analysis.plot_latency(curves, ax)
        ax.set_title(title)
    analysis.save_plot(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("output", nargs="?", type=pathlib.Path)
    parser.add_argument("--name")
    parser.add_argument("--plot", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=pathlib.Path)
    parser.add_argument("--test", type=pathlib.Path)
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE")
    arguments = parser.parse_intermixed_args()
    if arguments.plot:
        lines = pathlib.Path(arguments.data).read_text().splitlines()
        pairs = [str(arguments.output), *arguments.settings]
        labels = dict(pair.rsplit("=", 1) for pair in pairs)
        plot([json.loads(line) for line in lines], labels, arguments.plot)
        return
    if arguments.output is None:
        print(table(pathlib.Path(arguments.data)))
        return
    settings = dict(SETTINGS)
    for pair in arguments.settings:
        key, value = pair.split("=")
        settings[key] = type(SETTINGS[key])(value)
    name = arguments.name or " ".join(arguments.settings)
    folder = arguments.save or arguments.test
    weights = folder and folder / f"{name} {arguments.seed}.weights.h5"
    row = run(
        arguments.data,
        arguments.seed,
        settings,
        weights,
        test=arguments.test is not None,
    )
    row = {"name": name, **row}
    with arguments.output.open("a") as file:
        file.write(json.dumps(row) + os.linesep)
    print(row, file=sys.stderr)


if __name__ == "__main__":
    main()
