"""Trainings that are broken off, and end as if they had not been."""

import datetime
import functools
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl.callbacks import BackupAndResume, TimestepSchedule
from keras_tcl.losses import STCL
from tests.models import tiny

try:
    import resource
except ImportError:  # Windows.
    resource = None

STEPS = 5


def data(count=4 * STEPS, **kwargs):
    return tiny.data_set(*tiny.images(count), **{"shuffle": True, **kwargs})


def built(seed=0, units=8, is_built=True, optimizer=None, loss=None):
    """Dropout has random numbers, SGD a momentum, and all little to compile."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(tiny.CLASSES),
        ]
    )
    if is_built:
        model.build((None, 8, 8, 1))
    model.compile(
        optimizer or keras.optimizers.SGD(0.1, momentum=0.9),
        loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=keras.config.backend() == "jax",
    )
    return model


class BrokenOff(Exception):
    pass


class After(keras.callbacks.Callback):
    """Does something after so many batches of this `fit`."""

    def __init__(self, batches, action):
        super().__init__()
        self.left, self.action = batches, action

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.action()


def break_off():
    raise BrokenOff


def train(folder, after=0, others=(), model=None, x=None, epochs=3, **kwargs):
    """Model and history of a training, or `None` if it was broken off."""
    model = model or built()
    backup = BackupAndResume(folder, **{"verbose": 0, **kwargs})
    try:
        history = model.fit(
            data() if x is None else x,
            epochs=epochs, verbose=0, validation_data=data(8), shuffle=False,
            callbacks=[After(after, break_off), *others, backup],
        )  # fmt: skip
    except BrokenOff:
        return None
    return values(model), [history.epoch, history.history]


def values(model):
    """All that a training has, by what it belongs to."""
    every = {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }
    return {
        f"{kind} {i}": ops.convert_to_numpy(v)
        for kind, variables in every.items()
        for i, v in enumerate(variables)
    }


@functools.cache
def whole():
    """What `train` gives without this callback."""
    model = built()
    history = model.fit(
        data(), epochs=3, verbose=0, validation_data=data(8), shuffle=False
    )
    return values(model), [history.epoch, history.history]


def assert_same(found, expected, kinds=("model", "optimizer", "metrics")):
    assert found[1] == expected[1]  # The histories.
    one, other = (
        {name: v for name, v in end[0].items() if name.startswith(kinds)}
        for end in (found, expected)
    )
    assert one.keys() == other.keys()
    for name, value in other.items():
        np.testing.assert_array_equal(one[name], value, name)


@pytest.mark.parametrize(
    "save_freq, is_built", [("epoch", True), (1, False), (3, True)]
)
def test_ends_as_if_it_had_not_been_broken_off(tmp_path, save_freq, is_built):
    folder = tmp_path / "backup"
    # In the first epoch, in the second, and after the last batch of one.
    for after in (3, 4, STEPS):
        model = built(is_built=is_built)
        assert train(folder, after, model=model, save_freq=save_freq) is None
    model = built(is_built=is_built)
    assert_same(train(folder, model=model, save_freq=save_freq), whole())
    assert not folder.exists()


def test_seeds_and_time_steps_are_those_of_the_checkpoint(tmp_path):
    """A program that sets no seed draws others when it starts again."""

    def start(folder, after, seed):
        keras.utils.set_random_seed(seed)
        augmenter = keras_tcl.augmentation.RandomCrop(1)
        model = keras_tcl.models.sew_resnet(
            [1], [4], (8, 8, 1), tiny.CLASSES, timesteps=2, augmenter=augmenter
        )
        model.compile(
            keras.optimizers.SGD(0.1, momentum=0.9), STCL(),
            metrics=["accuracy"],
            jit_compile=keras.config.backend() == "jax",
            # To trace each T takes longer than all of these steps.
            run_eagerly=keras.config.backend() == "tensorflow",
        )  # fmt: skip
        others = [TimestepSchedule((1, 2), per_stage=True, draws=2)]
        return train(folder, after, others, model, epochs=2, save_freq=3)

    expected = start(tmp_path / "whole", 0, seed=0)
    assert start(tmp_path / "broken", 4, seed=0) is None
    assert_same(start(tmp_path / "broken", 0, seed=1), expected)


def test_other_callbacks_go_on(tmp_path):
    def start(folder, after):
        stopping = keras.callbacks.EarlyStopping(
            min_delta=9.0, patience=2, restore_best_weights=True
        )
        slower = keras.callbacks.ReduceLROnPlateau(min_delta=9.0, patience=1)
        others = [stopping, slower]
        end = train(folder, after, others, epochs=6, save_freq=2)
        return end, stopping.stopped_epoch

    whole, stopped_at = start(tmp_path / "whole", 0)
    assert stopped_at == 2
    assert start(tmp_path / "broken", 2 * STEPS + 3)[0] is None
    end, also_stopped_at = start(tmp_path / "broken", 0)
    assert_same(end, whole)
    assert also_stopped_at == stopped_at


def test_finished_training_is_prolonged(tmp_path, capsys):
    keep = {"delete_checkpoint": False}
    train(tmp_path, epochs=2, **keep)
    assert_same(train(tmp_path, verbose=1, **keep), whole())
    assert "2 epoch(s) are done" in capsys.readouterr().out
    # Nothing is left to do, and the result is the same.
    assert_same(train(tmp_path, **keep), whole(), ("model",))


def test_saves_by_time(tmp_path):
    every = datetime.timedelta(seconds=1e-6)
    assert train(tmp_path, after=4, save_freq=every) is None
    assert [p.name for p in sorted(tmp_path.iterdir())] == [
        "epoch-00000-step-0000002.npz",
        "epoch-00000-step-0000003.npz",
    ]
    # Processes would not save at the same batches.
    with pytest.raises(ValueError, match="clocks.*shard="):
        train(tmp_path, x=data(shard=(0, 2)), save_freq=every)


def test_what_another_start_left_behind(tmp_path):
    """A damaged file, a half-written one, and data that stand elsewhere."""
    x = data()
    assert train(tmp_path, after=4, x=x, save_freq=1) is None
    newest = max(tmp_path.glob("*.npz"))
    newest.write_bytes(newest.read_bytes()[:2000])
    half = tmp_path / "epoch-00000-step-0000004.npz.tmp"
    half.write_bytes(newest.read_bytes())
    with pytest.warns(UserWarning, match="damaged"):
        assert train(tmp_path, after=1, x=x, save_freq=1) is None
    assert not half.exists() and x.step == 2
    # In this process, the data stand where that failed `fit` had resumed.
    assert_same(train(tmp_path / "new", x=x), whole())


def test_another_training_is_refused(tmp_path):
    assert train(tmp_path, after=4, save_freq=1) is None
    changes = {
        "model": {"model": built(units=6)},
        "compile.optimizer": {"model": built(optimizer="adam")},
        "compile.loss": {
            "model": built(loss="sparse_categorical_crossentropy")
        },
        "data.examples": {"x": data(24)},
    }
    for message, change in changes.items():
        model = change.setdefault("model", built())
        before = [ops.convert_to_numpy(v) for v in model.variables]
        with pytest.raises(ValueError, match=f"another training: {message}"):
            train(tmp_path, **change)
        for a, b in zip(before, model.variables, strict=True):
            np.testing.assert_array_equal(a, ops.convert_to_numpy(b))
    with pytest.raises(ValueError, match="would end before.*epochs=0"):
        train(tmp_path, epochs=0)


@pytest.fixture
def disk():
    """Gives the process its disk back in the end."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield limits
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.skipif(resource is None, reason="needs POSIX' limits")
def test_full_disk_costs_a_warning_and_no_checkpoint(tmp_path, disk):
    """From the third batch on, no file can grow beyond 4 KiB."""
    full = After(
        3, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, disk[1]))
    )
    with pytest.warns(UserWarning, match="No checkpoint could be written"):
        # It goes on for four batches more.
        assert train(tmp_path, STEPS + 2, [full], save_freq=2) is None
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "epoch-00000-step-0000000.npz",
        "epoch-00000-step-0000002.npz",
    ]
    resource.setrlimit(resource.RLIMIT_FSIZE, disk)
    assert_same(train(tmp_path, save_freq=2), whole())


def test_data_made_from_batches_go_on(tmp_path):
    """`data` names those whose position is saved."""
    pytest.importorskip("tensorflow")

    def start(after):
        of = data()
        x = of.as_tf().map(lambda x, y: (x, y))
        return train(tmp_path, after, x=x, data=of, save_freq=2)

    assert start(STEPS + 4) is None
    assert_same(start(0), whole())


@pytest.mark.parametrize("steps", [STEPS - 1, STEPS])
def test_epochs_of_other_lengths_are_refused(tmp_path, steps):
    with pytest.raises(ValueError, match="without `steps_per_epoch`"):
        built().fit(
            data(), steps_per_epoch=steps, epochs=2, verbose=0,
            callbacks=[BackupAndResume(tmp_path)],
        )  # fmt: skip


@pytest.mark.parametrize(
    "kwargs", [{"save_freq": 0}, {"save_freq": "step"}, {"data": [1]}]
)
def test_bad_arguments(tmp_path, kwargs):
    name = next(iter(kwargs))
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}="):
        BackupAndResume(tmp_path, **kwargs)


def test_steps_of_data_without_a_known_order_are_refused(tmp_path):
    x, y = tiny.images()
    with pytest.raises(ValueError, match="whose order is known"):
        built().fit(x, y, verbose=0, callbacks=[BackupAndResume(tmp_path, 3)])


PROGRAM = """
import os, signal, sys
from tests.callbacks import test_backup_and_resume as this

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

others = [this.After(this.STEPS + 3, kill)]
this.train(sys.argv[1], others=others, save_freq=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(resource is None, reason="needs SIGKILL")
def test_killed_process(tmp_path):
    """A real one; `benchmarks/resume.py` kills many, at random moments."""
    root = pathlib.Path(keras_tcl.__file__).parents[1]
    killed = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert max(tmp_path.iterdir()).name == "epoch-00001-step-0000001.npz"
    assert_same(train(tmp_path, save_freq=2), whole())
