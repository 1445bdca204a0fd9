"""One training run: build, train or resume, evaluate."""

import datetime
import importlib
import math
import os
import pathlib
import platform
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_tcl
from benchmarks.paper.checkpoints import Checkpoints
from benchmarks.paper.configuration import Configuration
from benchmarks.paper.optimizer import L2SGD
from keras_tcl import analysis, augmentation

# Firing rates are means over as many test examples, evenly spaced.
RATE_EXAMPLES = 1000


class DataMissing(Exception):
    """A data set is not there; the message says where to put it."""


def open_data(
    configuration: Configuration, split: str, data_dir: Any = None
) -> Any:
    """The source of a split.

    Raises:
        DataMissing: where there is no trace of the data set.
        ValueError: where it is incomplete or damaged.
    """
    info = keras_tcl.data.info(configuration.dataset)
    options = dict(configuration.data_options)
    if _has_events(info):
        options["timesteps"] = configuration.timesteps
    try:
        return keras_tcl.data.source(info.name, split, data_dir, **options)
    except (ValueError, ImportError) as error:
        # A package is needed where there are no official files.
        if isinstance(error, ValueError) and info.where not in str(error):
            raise
        package = f" ({error})" if isinstance(error, ImportError) else ""
        raise DataMissing(
            f"{info.name}: {info.where} (--data-dir or KERAS_TCL_DATA_DIR)"
            f"{package}"
        ) from error


def build(configuration: Configuration) -> keras_tcl.TCLModel:
    """The network, not yet compiled."""
    keras.config.set_dtype_policy(configuration.dtype_policy)
    info = keras_tcl.data.info(configuration.dataset)
    size = configuration.data_options.get("image_size")
    shape = (size, size, 3) if size else info.shape
    options = dict(configuration.network_options)
    if _has_events(info):
        shape = (configuration.timesteps, *info.shape[1:])
    else:
        options.update(
            timesteps=configuration.timesteps,
            value_range=info.value_range,
            mean=info.mean,
            std=info.std,
        )
    return getattr(keras_tcl.models, configuration.network)(
        input_shape=shape,
        classes=info.classes,
        neuron=keras_tcl.layers.LIF(surrogate=configuration.surrogate),
        augmenter=_augmenter(configuration.augmentation),
        embedding_stages="all",
        **options,
    )


def loss_of(configuration: Configuration) -> keras_tcl.losses.TemporalLoss:
    """The loss as the paper prints it, unless the options say otherwise."""
    options = dict(configuration.loss_options)
    if configuration.loss in ("TCL", "STCL"):
        options = {"normalization": "paper", "per_step": 0.0, **options}
    return getattr(keras_tcl.losses, configuration.loss)(**options)


def compile_model(
    model: keras_tcl.TCLModel, configuration: Configuration, steps: int
) -> None:
    """The paper's recipe: SGD whose rate falls to 0 in a cosine."""
    rate = keras.optimizers.schedules.CosineDecay(
        configuration.learning_rate, configuration.epochs * steps
    )
    model.compile(
        L2SGD(rate, configuration.momentum, configuration.weight_decay),
        loss_of(configuration),
        metrics=["accuracy"],
    )


def train(
    configuration: Configuration,
    seed: int,
    folder: pathlib.Path,
    data_dir: Any = None,
    on_epoch: Callable[[int, dict[str, float]], None] = lambda *_: None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train from the last good checkpoint, or from scratch, and evaluate.

    Args:
        configuration: `Configuration`.
        seed: Int.
        folder: Path, where the checkpoints are.
        data_dir: Path, as for `keras_tcl.data.load`.
        on_epoch: Function called after each epoch with the number of epochs
            trained and the logs.
        say: Function of a string, told what is out of the ordinary.

    Returns:
        Dict, the result that is filed as JSON.
    """
    keras.utils.clear_session()
    train_source = open_data(configuration, configuration.train, data_dir)
    test_source = open_data(configuration, configuration.test, data_dir)
    checkpoints = Checkpoints(folder, say)
    restored = checkpoints.restore()
    done = 0 if restored is None else restored[1]["epochs"]
    data = keras_tcl.data.Batches(
        train_source,
        configuration.batch_size,
        shuffle=True,
        seed=seed,
        drop_remainder=True,
        initial_epoch=done,
    )
    if restored is None:
        keras.utils.set_random_seed(seed)
        model = build(configuration)
        compile_model(model, configuration, len(data))
        progress: dict[str, Any] = {
            "epochs": 0,
            "backend": keras.config.backend(),
            "seconds": 0.0,
            "resumed_after": [],
            "history": [],
        }
    else:
        model, progress = restored
        progress["resumed_after"].append(done)
        say(f"resumed after epoch {done} of {configuration.epochs}")
    if done < configuration.epochs:
        model.fit(
            data,
            epochs=configuration.epochs,
            initial_epoch=done,
            verbose=0,
            shuffle=False,
            callbacks=[_Checkpoint(checkpoints, progress, on_epoch)],
        )
    checkpoints.tidy()
    return {
        "configuration": configuration.as_json(),
        "key": configuration.key,
        "seed": seed,
        **_evaluate(model, test_source, configuration.batch_size),
        **progress,
        "examples": {"train": len(train_source), "test": len(test_source)},
        "parameters": keras_tcl.models.count_parameters(model),
        "versions": versions(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "finished": datetime.datetime.now(datetime.UTC).isoformat(
            "T", "seconds"
        ),
    }


def try_steps(
    configuration: Configuration,
    steps: int,
    batch_size: int | None = None,
    data_dir: Any = None,
) -> dict[str, Any]:
    """Run a few real training steps, to know that a run starts.

    Where the data set is missing, the images are random; shapes, network,
    augmentation, loss and optimizer are those of the run.

    Returns:
        Dict of the batch size, the data used, parameters, losses and seconds.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    batch_size = batch_size or configuration.batch_size
    model = build(configuration)
    compile_model(model, configuration, steps)
    try:
        source = open_data(configuration, configuration.train, data_dir)
        chosen = np.linspace(0, len(source) - 1, batch_size).astype(int)
        x, y = source.read(chosen)
        data = "real"
    except DataMissing:
        shape = (batch_size, *model.sample_shape)
        rng = np.random.default_rng(0)
        x = rng.integers(0, 5 if model.takes_events else 256, shape, "uint8")
        y = rng.integers(0, model.classes, batch_size)
        data = "random: data missing"
    x, y = np.asarray(x), np.asarray(y)
    start = time.perf_counter()
    losses = [
        model.train_on_batch(x, y, return_dict=True)["loss"]
        for _ in range(steps)
    ]
    if not all(map(math.isfinite, losses)):
        raise ValueError(f"The loss is not finite. Received: {losses}.")
    return {
        "batch_size": batch_size,
        "data": data,
        "parameters": keras_tcl.models.count_parameters(model),
        "losses": losses,
        "seconds": time.perf_counter() - start,
    }


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    backend = keras.config.backend()
    return {
        "keras_tcl": keras_tcl.__version__,
        "keras": keras.__version__,
        backend: importlib.import_module(backend).__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


class _Checkpoint(keras.callbacks.Callback):
    """Saves the model and its progress after every epoch."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        progress: dict[str, Any],
        on_epoch: Callable[[int, dict[str, float]], None],
    ) -> None:
        super().__init__()
        self.checkpoints = checkpoints
        self.progress = progress
        self.report = on_epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = {name: float(value) for name, value in (logs or {}).items()}
        self.progress["epochs"] = epoch + 1
        self.progress["history"].append(logs)
        self.progress["seconds"] += time.perf_counter() - self.start
        self.checkpoints.save(self.model, self.progress)
        self.report(epoch + 1, logs)


def _evaluate(
    model: keras_tcl.TCLModel, source: Any, batch_size: int
) -> dict[str, Any]:
    """Accuracy at every latency, and firing rates, in percent."""
    data = keras_tcl.data.Batches(source, batch_size)
    count = min(RATE_EXAMPLES, len(source))
    chosen = np.linspace(0, len(source) - 1, count).astype(int)
    x = np.asarray(source.read(chosen)[0])

    def rates(by: str) -> dict[str, float]:
        measured = analysis.firing_rates(model, x, by, batch_size)
        return {
            name: float(100 * np.mean(rate)) for name, rate in measured.items()
        }

    # The paper does not say which of the two its table 4 shows.
    return {
        "accuracy": (100 * model.evaluate_timesteps(data)).tolist(),
        "firing_rates": rates("block"),
        "output_rates": rates("block_output"),
    }


def _augmenter(name: str) -> Any:
    """A recipe of the library by its name, or one for 8 x 8 digits."""
    if not name.startswith("digits"):
        return name
    crop = augmentation.RandomCrop(1)
    if name == "digits":
        return crop
    jitter = augmentation.ColorJitter(0.4, 0.4, 0.0, 0.0, value_range=(0, 16))
    return augmentation.Pipeline([crop, jitter, augmentation.Cutout(3)])


def _has_events(info: Any) -> bool:
    return len(info.shape) == 4
