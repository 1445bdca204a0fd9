"""Train the networks that come with the package, each by one command.

    KERAS_BACKEND=torch python -m benchmarks.presets digits
    KERAS_BACKEND=torch python -m benchmarks.presets nmnist --data-dir DIR
    KERAS_BACKEND=torch python -m benchmarks.presets cifar10 --data-dir DIR

The settings were chosen beforehand (benchmarks/defaults.md), or on training
images: `--hold-out` trains on 90 % of them, measures on the rest and ships
nothing. Otherwise the weights of the last epoch are measured once, on the test
images, and become `keras_tcl/presets/NAME`, with the model card written from
what was measured, and golden logits for the tests. `presets.jsonl` beside this
file holds a line of every run.

A run that was interrupted resumes where it was, from `preset_runs/NAME`. Of
several processes (`keras_tcl.distribution`), each trains on its part of every
batch, and normalizes it by itself.
"""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

import keras_tcl
from benchmarks.methods import by_epoch
from benchmarks.paper.optimizer import L2SGD
from keras_tcl import analysis
from keras_tcl.augmentation import RandomCrop
from keras_tcl.callbacks import BackupAndResume, TimestepSchedule
from keras_tcl.distribution import Process
from keras_tcl.losses import TCL
from keras_tcl.models import count_macs
from keras_tcl.models.presets import (
    CARD,
    METADATA,
    SHIPPED,
    WEIGHTS,
    checksums,
)

ROOT = pathlib.Path(__file__).parents[1]
RESULTS = pathlib.Path(__file__).with_suffix(".jsonl")
GOLDEN = ROOT / "tests" / "models" / "golden" / "presets"

# Joules of one operation in float32 at 45 nm: Horowitz, "Computing's energy
# problem", ISSCC 2014.
ADDITION, MULTIPLICATION_AND_ADDITION = 0.9e-12, 4.6e-12


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one preset is trained.

    Attributes:
        description: String, what it is.
        dataset: String, a name of `keras_tcl.data`.
        loss: Function that makes the loss.
        augmenter: Function that makes the augmenter; or a recipe's name.
        licence: String, that of the weights.
        network: String, a name of `keras_tcl.list_models()`.
        arguments: Dictionary, those of the network that are not the data's.
        begins_with: String, what the preset of that name, with whose weights
            the training begins, has been trained by; or none: random weights.
        rate: Float, the highest learning rate.
        warmup: Float, the part of the training in which the rate rises; it
            falls to 0 in a cosine after that.
        l2: Float, the factor of the L2 regularization.
        epochs, batch_size: Integers.
        timesteps: Dictionary `{begin: T}` of the time steps trained on, where
            `begin` is a share of the epochs; or none: all, from the start.
        limits: Sequence of strings, what not to expect.
    """

    description: str
    dataset: str
    loss: Callable[[], Any]
    augmenter: Callable[[], Any] | str
    licence: str
    network: str = "sew_resnet8"
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    begins_with: str = ""
    rate: float = 0.2
    warmup: float = 0.0
    l2: float = 5e-4
    epochs: int = 40
    batch_size: int = 32
    timesteps: Mapping[float, int] = dataclasses.field(default_factory=dict)
    limits: Sequence[str] = ()


RECIPES = {
    "digits": Recipe(
        description=(
            "A SEW-ResNet-8 that reads handwritten digits of 8 x 8 pixels "
            "(scikit-learn's). It is small enough for any test or lesson."
        ),
        dataset="digits",
        loss=TCL,
        augmenter=lambda: RandomCrop(1),
        licence="Apache-2.0, as the package; trained on data of CC BY 4.0",
        limits=[
            "It knows centred digits of that one collection: it is for trying "
            "the package out, and for fine-tuning on other tiny images.",
            "Loss and learning rate were chosen in trainings on 400 digits, "
            "measured on others out of all 1,797, those of `test` among them "
            "(benchmarks/defaults.md): the accuracy may be a little too good.",
            "One training with one seed.",
        ],
    ),
    "nmnist": Recipe(
        description=(
            "A SEW-ResNet-8 that reads digits seen by an event camera "
            "(N-MNIST), as frames of counts, from a part of its recordings."
        ),
        dataset="nmnist",
        loss=TCL,
        augmenter=lambda: RandomCrop(2),
        licence="CC BY-SA 4.0, as the data",
        arguments={"input_shape": (None, 34, 34, 2)},
        epochs=12,
        limits=[
            "Trained and tested on a small part of N-MNIST, see above: the "
            "accuracy is that of these recordings, and no claim about the "
            "data set. The training is short, and the network unsure of what "
            "it knows: see confidence and calibration error.",
            "Frames cut into time steps of equally many events; others are "
            "another task.",
            "One training with one seed.",
        ],
    ),
    "cifar10": Recipe(
        description="A SEW-ResNet-8 for the photographs of CIFAR-10.",
        dataset="cifar10",
        loss=TCL,
        augmenter="cifar",
        licence="Apache-2.0, as the package",
        rate=0.4,
        warmup=0.3,
        epochs=24,
        batch_size=64,
        # A third of the time goes to each: an epoch of four steps takes 4.5
        # times as long as one of one.
        timesteps={0.0: 1, 14 / 24: 2, 21 / 24: 4},
        limits=[
            "The recipe was set beforehand, and no other was tried.",
            "A small network and a short training: for what is possible, see "
            "the README's networks.",
            "One training with one seed.",
        ],
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--data-dir", help="the folder of the data sets")
    parser.add_argument("--hold-out", action="store_true", help="ship nothing")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--runs", type=pathlib.Path, default="preset_runs")
    parser.add_argument("--presets", type=pathlib.Path, default=SHIPPED)
    parser.add_argument("--golden", type=pathlib.Path, default=GOLDEN)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    options = parser.parse_args(arguments)
    process = keras_tcl.distribution.data_parallel()
    recipe = RECIPES[options.name]
    if options.hold_out and recipe.begins_with:
        parser.error("The weights to begin with know the images held out.")
    version = commit()  # Before results are written into the tree.
    if options.epochs:
        recipe = dataclasses.replace(recipe, epochs=options.epochs)
    splits = ("train[:90%]", "train[90%:]") if options.hold_out else None
    train, test = (
        keras_tcl.data.source(recipe.dataset, split, options.data_dir)
        for split in splits or ("train", "test")
    )
    run = options.runs / f"{options.name}{'-held-out' * options.hold_out}"
    model, seconds = trained(recipe, train, run, process)
    if not process.is_first:
        return
    info = train.info
    measured = analysis.report(
        model,
        keras_tcl.data.Batches(test, recipe.batch_size),
        class_names=info.class_names,
    )
    print(measured)
    line = {
        "name": options.name,
        "tested_on": splits[1] if splits else "test",
        "seconds": round(seconds),
        "commit": version,
        "epochs": recipe.epochs,
        "samples": measured.samples,
        "accuracy": measured.accuracy.round(4).tolist(),
    }
    with open(options.results, "a") as file:
        print(json.dumps(line), file=file)
    if splits:
        return
    folder = options.presets / options.name
    (folder / CARD).unlink(missing_ok=True)
    metadata = {
        "description": recipe.description,
        "network": recipe.network,
        "arguments": network_arguments(recipe, info),
        "licence": recipe.licence,
        "results": {
            **measured.to_dict(),
            "energy": energy(model, test, recipe.batch_size),
        },
        "data": {
            "name": info.name,
            "trained_on": f"{len(train):,} samples, all at hand of `train`",
            "tested_on": f"{len(test):,} samples, all at hand of `test`",
            "the_data_set_has": ", ".join(
                f"{count:,} in `{split}`"
                for split, count in keras_tcl.data.info(
                    info.name
                ).splits.items()
            ),
            **info.notes,
            "licence": info.licence,
            "citation": info.citation,
        },
        "recipe": recipe_facts(recipe, model),
        "origin": {
            "command": f"`python -m benchmarks.presets {options.name}`"
            + f" in {process.count} processes" * (process.count > 1),
            "commit": version,
            "training": f"{seconds:.0f} s",
            "licence": recipe.licence,
        },
        "limits": list(recipe.limits),
    }
    model.save_to_preset(folder, metadata)
    write_golden(model, options.golden / f"{options.name}.npz")
    print(f"wrote {folder}")


def network_arguments(recipe: Recipe, info: Any) -> dict[str, Any]:
    """The arguments of the network: the data's, and the recipe's."""
    return {**info.network_arguments(), **recipe.arguments}


class Clock(keras.callbacks.Callback):
    """Counts seconds, those before an interruption among them."""

    def on_train_begin(self, logs: Any = None) -> None:
        self.set_state({"seconds": 0.0})

    def get_state(self) -> dict[str, float]:
        """For `BackupAndResume`."""
        return {"seconds": time.monotonic() - self._begun}

    def set_state(self, state: dict[str, float]) -> None:
        """Go on from what `get_state` returned."""
        self._begun = time.monotonic() - state["seconds"]


def trained(
    recipe: Recipe, train: Any, run: pathlib.Path, process: Process
) -> tuple[keras_tcl.TCLModel, float]:
    """The model after its last epoch, and how many seconds that took."""
    keras.utils.set_random_seed(0)
    data = keras_tcl.data.Batches(
        train,
        recipe.batch_size,
        shuffle=True,
        drop_remainder=True,
        shard=process,
    )
    model = compiled(recipe, train.info, len(data))
    clock = Clock()
    callbacks = [BackupAndResume(run, delete_checkpoint=False), clock]
    if recipe.timesteps:
        schedule = by_epoch(recipe.timesteps, recipe.epochs)
        callbacks.append(TimestepSchedule(schedule))
    model.fit(
        data,
        epochs=recipe.epochs,
        callbacks=callbacks,
        verbose=2 if recipe.dataset == "cifar10" else "auto",
    )
    return model, clock.get_state()["seconds"]


def compiled(recipe: Recipe, info: Any, steps: int) -> keras_tcl.TCLModel:
    """The network with its loss and optimizer, before the first step."""
    augmenter: Any = recipe.augmenter
    model = keras_tcl.create_model(
        recipe.network,
        **network_arguments(recipe, info),
        augmenter=augmenter() if callable(augmenter) else augmenter,
        weights=info.name if recipe.begins_with else None,
    )
    steps *= recipe.epochs
    rising = round(recipe.warmup * steps)
    rate = keras.optimizers.schedules.CosineDecay(
        recipe.rate / 25 if rising else recipe.rate,
        steps - rising,
        warmup_target=recipe.rate if rising else None,
        warmup_steps=rising,
    )
    model.compile(
        L2SGD(rate, l2=recipe.l2), recipe.loss(), metrics=["accuracy"]
    )
    return model


def recipe_facts(recipe: Recipe, model: keras_tcl.TCLModel) -> dict[str, Any]:
    """What a reader needs to know to train it again."""
    loss = model.loss
    settings = {
        name: value
        for name, value in loss.get_config().items()
        if name not in ("name", "dtype", "reduction")
    }
    timesteps = by_epoch(recipe.timesteps, recipe.epochs)
    augmenter = recipe.augmenter
    if not isinstance(augmenter, str):
        augmenter = type(model.augmenter).__name__
        augmenter += f"({model.augmenter.padding})"
    rises = f"rises in the first {recipe.warmup:.0%} and " * bool(recipe.warmup)
    begins_with = recipe.begins_with
    return {
        **({"begins_with": begins_with} if begins_with else {}),
        "loss": f"{type(loss).__name__}, {settings}",
        "optimizer": f"SGD, momentum {model.optimizer.momentum}, "
        f"L2 {model.optimizer.l2}",
        "learning_rate": f"{recipe.rate}, {rises}falls to 0 in a cosine",
        "epochs": recipe.epochs,
        **({"timesteps": timesteps} if timesteps else {}),
        "batch_size": recipe.batch_size,
        "augmentation": augmenter,
        "weights_of": "the last epoch",
        "seed": 0,
    }


def energy(
    model: keras_tcl.TCLModel, source: Any, batch_size: int
) -> dict[str, Any]:
    """A rough estimate of operations and joules at every latency."""
    data = keras_tcl.data.Batches(source, batch_size)
    rates = analysis.firing_rates(model, data, by="model")["model"]
    macs = count_macs(model)
    operations = np.cumsum(rates) * macs
    dense = MULTIPLICATION_AND_ADDITION * macs
    return {
        "operations": operations.tolist(),
        "joules": (ADDITION * operations).tolist(),
        "method": (
            "The energy is a rough estimate for one sample: of the "
            f"{macs / 1e6:.2f} million multiply-accumulate operations of a "
            "step, the share that is the mean firing rate of all neurons at "
            f"that step counts, as an addition of {1e12 * ADDITION:g} pJ "
            "(float32 at 45 nm, Horowitz 2014). The first layer, whose inputs "
            "are no spikes, is counted like the others; memory is not. A "
            "network of this shape without spikes would take "
            f"{1e6 * dense:.2f} µJ, at "
            f"{1e12 * MULTIPLICATION_AND_ADDITION:g} pJ an operation."
        ),
    }


def write_golden(model: keras_tcl.TCLModel, path: pathlib.Path) -> None:
    """Logits of made-up inputs, for every backend to agree with."""
    random = np.random.default_rng(0)
    shape = (8, *(size or 4 for size in model.sample_shape))
    if model.takes_events:
        x = random.poisson(0.5, shape).astype("uint8")
    else:
        low, high = map(int, model.value_range)
        x = random.integers(low, high + 1, shape, "uint8")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, x=x, logits=model.predict_timesteps(x))


def commit() -> str:
    """The commit that this runs at, with `-dirty` if files differ from it."""
    words = ["git", "describe", "--always", "--abbrev=12", "--dirty"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def rewrite_cards() -> None:
    """Write the cards of all presets anew, after a change of their layout."""
    for name, metadata in keras_tcl.list_presets().items():
        card = keras_tcl.models.model_card(metadata, name)
        (SHIPPED / name / CARD).write_text(card, "utf-8")


def rewrite_checksums(folder: pathlib.Path = SHIPPED) -> None:
    """Give presets from before the checksums of files that have none yet.

    After a change of which files have one. The weights are not written, and
    what has a checksum keeps it: this does not make a damaged file good.

    Args:
        folder: Path, with a folder for each preset.

    Raises:
        ValueError: If a file is not what its checksum was made of. No preset
            was changed.
    """
    written = {}
    for path in sorted(folder.glob(f"*/{METADATA}")):
        facts = json.loads(path.read_text("utf-8"))
        known, found = facts["sha256"], checksums(path.parent)
        wrong = [file for file in known if known[file] != found.get(file)]
        if wrong or WEIGHTS not in known:
            raise ValueError(
                f"{wrong or WEIGHTS} of {str(path.parent)!r} is not what "
                f"{METADATA} has the checksum of. Nothing was written. Take "
                "the preset from the repository's history, or train it anew."
            )
        facts["sha256"] = found
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        written[path] = f"{text}\n".encode()
    for path, content in written.items():
        path.write_bytes(content)


if __name__ == "__main__":
    main()
