"""Trainings that are broken off, and end as if they had not been."""

import datetime
import json
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
from benchmarks import resume
from keras_tcl.callbacks import (
    BackupAndResume,
    TimestepSchedule,
    checkpoint_files,
)
from keras_tcl.losses import STCL, TET

try:
    import resource
except ImportError:  # Windows.
    resource = None

STEPS = 5


def data(split="train[:160]", batch_size=32, **kwargs):
    return keras_tcl.data.load("digits", split, batch_size, **kwargs)


def built(filters=4, optimizer=None, loss=None, seed=0):
    keras.utils.set_random_seed(seed)
    model = keras_tcl.models.sew_resnet(
        [1], [filters], (8, 8, 1), 10, timesteps=2,
        augmenter=keras_tcl.augmentation.RandomCrop(1),
    )  # fmt: skip
    model.compile(
        optimizer or keras.optimizers.SGD(0.1, momentum=0.9),
        loss or TET(),
        metrics=["accuracy"],
        # Compiling by XLA takes longer than these trainings.
        jit_compile=keras.config.backend() == "jax",
    )
    return model


class BrokenOff(Exception):
    pass


class BreakOff(keras.callbacks.Callback):
    """Raises after so many batches of this `fit`."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise BrokenOff


def train(folder, after=0, others=(), epochs=3, model=None, **kwargs):
    """Model and history of a training, or `None` if it was broken off."""
    model = model or built()
    others = [other() for other in others]
    backup = BackupAndResume(folder, **{"verbose": 0, **kwargs})
    callbacks = [BreakOff(after), *others, backup]
    try:
        history = model.fit(
            data(), epochs=epochs, verbose=0, callbacks=callbacks,
            validation_data=data("test[:64]"),
        )  # fmt: skip
    except BrokenOff:
        return None
    return model, history, others


def assert_same(one, other):
    for variables in ("variables", "metrics_variables"):
        pairs = zip(
            getattr(one, variables), getattr(other, variables), strict=True
        )
        for a, b in pairs:
            np.testing.assert_array_equal(
                ops.convert_to_numpy(a), ops.convert_to_numpy(b), a.path
            )
    for a, b in zip(
        one.optimizer.variables, other.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(a), ops.convert_to_numpy(b), a.path
        )


@pytest.mark.parametrize(
    "save_freq, loss", [("epoch", TET()), (1, TET()), (3, STCL())]
)
def test_ends_as_if_it_had_not_been_broken_off(tmp_path, save_freq, loss):
    model, history, _ = train(tmp_path / "whole", model=built(loss=loss))
    folder = tmp_path / "broken"
    # In the first epoch, in the second, and after the last batch of one.
    for after in (3, 4, STEPS):
        model_of_now = built(loss=loss)
        assert (
            train(folder, after, model=model_of_now, save_freq=save_freq)
            is None
        )
    found, resumed, _ = train(
        folder, model=built(loss=loss), save_freq=save_freq
    )
    assert_same(found, model)
    assert resumed.epoch == history.epoch == [0, 1, 2]
    assert resumed.history == history.history
    assert not folder.exists() or not list(folder.iterdir())


def test_optimizer_and_other_callbacks_go_on(tmp_path):
    others = [
        lambda: TimestepSchedule((1, 2)),
        lambda: keras.callbacks.EarlyStopping(patience=2, baseline=0.0),
        lambda: keras.callbacks.ReduceLROnPlateau(min_delta=9.0, patience=1),
    ]

    def model():
        return built(optimizer="adam")

    expected, history, (_, whole, _) = train(
        tmp_path / "whole", 0, others, 6, model()
    )
    folder = tmp_path / "broken"
    for after in (7, 3):
        assert train(folder, after, others, 6, model(), save_freq=2) is None
    found, resumed, (_, stopping, _) = train(
        folder, 0, others, 6, model(), save_freq=2
    )
    assert_same(found, expected)
    assert resumed.history == history.history
    assert stopping.stopped_epoch == whole.stopped_epoch > 0
    assert found.timesteps == 2


def test_mixed_timesteps_go_on(tmp_path):
    others = [lambda: TimestepSchedule((1, 2), per_stage=True, draws=2)]
    expected, history, _ = train(tmp_path / "whole", 0, others)
    assert train(tmp_path / "broken", 7, others, save_freq=3) is None
    found, resumed, _ = train(tmp_path / "broken", 0, others, save_freq=3)
    assert_same(found, expected)
    assert resumed.history == history.history


@pytest.mark.parametrize("per_stage", [False, True])
def test_seeds_are_those_of_the_checkpoint(tmp_path, per_stage):
    """A program that sets no seed draws others when it starts again."""
    others = [lambda: TimestepSchedule((1, 2), per_stage=per_stage, draws=2)]
    expected, history, _ = train(tmp_path / "whole", 0, others)
    folder = tmp_path / "broken"
    for seed, after in ((0, 7), (1, 4)):
        model = built(seed=seed)
        assert train(folder, after, others, model=model, save_freq=3) is None
    found, resumed, _ = train(
        folder, 0, others, model=built(seed=2), save_freq=3
    )
    assert_same(found, expected)
    assert resumed.history == history.history


def test_finished_training_is_prolonged(tmp_path, capsys):
    expected, history, _ = train(tmp_path / "whole")
    keep = {"delete_checkpoint": False}
    train(tmp_path / "two", epochs=2, **keep)
    found, resumed, _ = train(tmp_path / "two", verbose=1, **keep)
    assert_same(found, expected)
    assert resumed.history == history.history
    assert "2 epoch(s) are done" in capsys.readouterr().out
    # Nothing is left to do, and the result is the same.
    again, resumed, _ = train(tmp_path / "two", **keep)
    for variable, other in zip(
        again.network.variables, expected.network.variables, strict=True
    ):
        np.testing.assert_array_equal(
            ops.convert_to_numpy(variable), ops.convert_to_numpy(other)
        )
    assert resumed.history == history.history


def test_saves_by_time(tmp_path):
    every = datetime.timedelta(seconds=1e-6)
    keep = {"delete_checkpoint": False, "save_freq": every}
    assert train(tmp_path, after=4, **keep) is None
    assert [p.name for p in sorted(tmp_path.iterdir())] == [
        "epoch-00000-step-0000002.npz",
        "epoch-00000-step-0000003.npz",
    ]


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_damaged_file_is_put_aside_and_the_one_before_it_taken(
    tmp_path, damage
):
    expected, _, _ = train(tmp_path / "whole")
    folder = tmp_path / "broken"
    assert train(folder, after=4, save_freq=1) is None
    newest = max(folder.glob("*.npz"))
    content = bytearray(newest.read_bytes())
    if damage == "bit":
        content[len(content) // 2] ^= 1
    newest.write_bytes(content[: {"cut": 2000, "empty": 0}.get(damage)])
    with pytest.warns(UserWarning, match="damaged"):
        found, _, _ = train(folder, save_freq=1)
    assert_same(found, expected)


def test_damaged_file_that_another_process_put_aside(tmp_path):
    """Processes of one training look at the same files at the same time."""
    gone = tmp_path / "epoch-00000-step-0000002.npz"
    with pytest.warns(UserWarning, match="damaged"):
        assert not checkpoint_files._is_good(gone)


def test_all_files_damaged_is_an_error(tmp_path):
    assert train(tmp_path, after=4, save_freq=1) is None
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"):
        with pytest.raises(ValueError, match="damaged"):
            train(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"filters": 6}, "model"),
        ({"optimizer": "adam"}, "compile.optimizer"),
        ({"loss": STCL()}, "compile.loss"),
    ],
)
def test_another_training_is_refused(tmp_path, change, message):
    assert train(tmp_path, after=4, save_freq=1) is None
    other = built(**change)
    before = [ops.convert_to_numpy(v) for v in other.variables]
    with pytest.raises(ValueError, match=f"another training: {message}"):
        train(tmp_path, model=other)
    for a, b in zip(before, other.variables, strict=True):
        np.testing.assert_array_equal(a, ops.convert_to_numpy(b))


def test_other_data_are_refused(tmp_path):
    assert train(tmp_path, after=4, save_freq=1) is None
    for other in (data("train[:192]"), data(batch_size=16)):
        with pytest.raises(ValueError, match="another training: data"):
            built().fit(other, verbose=0, callbacks=[BackupAndResume(tmp_path)])


def test_full_disk_costs_a_warning(tmp_path, monkeypatch):
    """`/dev/full` in the place of the file: the write itself fails."""
    if not pathlib.Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    expected, _, _ = train(tmp_path / "whole")
    opened = open

    def full(file, mode="r", *args, **kwargs):
        within = str(tmp_path / "full") in str(file) and "w" in mode
        return opened("/dev/full" if within else file, mode, *args, **kwargs)

    monkeypatch.setattr("builtins.open", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        found, _, _ = train(tmp_path / "full", save_freq=2)
    assert_same(found, expected)


def test_data_made_from_batches_go_on(tmp_path):
    """Data made from batches: `data` names those that are saved."""
    pytest.importorskip("tensorflow")

    def fit(folder, after=0):
        train = data()
        dataset = train.as_tf().map(lambda x, y: (x, y))
        backup = BackupAndResume(folder, 2, data=train, verbose=0)
        model = built()
        callbacks = [BreakOff(after), backup]
        model.fit(
            dataset, epochs=3, verbose=0, callbacks=callbacks, shuffle=False
        )
        return model

    expected = fit(tmp_path / "whole")
    with pytest.raises(BrokenOff):
        fit(tmp_path / "broken", STEPS + 4)
    assert_same(fit(tmp_path / "broken"), expected)


@pytest.mark.parametrize("steps", [STEPS - 1, STEPS])
def test_epochs_of_other_lengths_are_refused(tmp_path, steps):
    with pytest.raises(ValueError, match="without `steps_per_epoch`"):
        built().fit(
            data(), steps_per_epoch=steps, epochs=2, verbose=0,
            callbacks=[BackupAndResume(tmp_path)],
        )  # fmt: skip


def test_half_written_file_is_ignored_and_deleted(tmp_path):
    expected, _, _ = train(tmp_path / "whole")
    folder = tmp_path / "broken"
    assert train(folder, after=4, save_freq=2) is None
    newest = max(folder.glob("*.npz"))
    assert newest.name == "epoch-00000-step-0000002.npz"
    # As a kill within the next `write` leaves it.
    half = folder / "epoch-00000-step-0000004.npz.tmp"
    half.write_bytes(newest.read_bytes()[:2000])
    # That of another program is not ours to delete.
    foreign = folder / "notes.tmp"
    foreign.write_text("notes")
    model = built()
    assert train(folder, after=1, model=model, save_freq=2) is None
    assert not half.exists() and foreign.exists()
    assert_same(train(folder, save_freq=2)[0], expected)


class FillDisk(keras.callbacks.Callback):
    """From a batch of this `fit` on, no file can grow beyond 4 KiB."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))


@pytest.fixture
def disk():
    """Gives the process its disk back in the end."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.skipif(resource is None, reason="needs POSIX' limits")
def test_disk_that_fills_up_keeps_the_checkpoint_before(tmp_path, disk):
    expected, _, _ = train(tmp_path / "whole")
    folder = tmp_path / "full"
    others = [lambda: FillDisk(3)]
    with pytest.warns(UserWarning, match="No checkpoint could be written"):
        # It goes on for four batches more.
        assert train(folder, STEPS + 2, others, save_freq=2) is None
    assert [path.name for path in sorted(folder.iterdir())] == [
        "epoch-00000-step-0000000.npz",
        "epoch-00000-step-0000002.npz",
    ]
    disk()
    assert_same(train(folder, save_freq=2)[0], expected)


@pytest.mark.parametrize(
    "kwargs", [{"save_freq": 0}, {"save_freq": "step"}, {"data": [1]}]
)
def test_bad_arguments(tmp_path, kwargs):
    name = next(iter(kwargs))
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}="):
        BackupAndResume(tmp_path, **kwargs)


def test_steps_of_data_without_a_known_order_are_refused(tmp_path):
    x, y = data(batch_size=160)[0]
    with pytest.raises(ValueError, match="whose order is known"):
        built().fit(x, y, verbose=0, callbacks=[BackupAndResume(tmp_path, 3)])


PROGRAM = """
import json, os, signal, sys
from tests.callbacks import test_backup_and_resume as this
folder, results, after = sys.argv[1], sys.argv[2], int(sys.argv[3])

class Kill(this.BreakOff):
    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

this.BreakOff = Kill
model, history, _ = this.train(folder, after, save_freq=2, verbose=1)
values = [this.ops.convert_to_numpy(v) for v in model.variables]
this.np.savez(results, *values)
print(json.dumps(history.history))
"""


@pytest.mark.slow
def test_killed_process(tmp_path):
    """A real process, killed in the middle of an epoch."""

    def run(folder, after):
        root = pathlib.Path(keras_tcl.__file__).parents[1]
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, tmp_path / folder,
             tmp_path / f"{folder}.npz", str(after)],
            cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True, text=True,
        )  # fmt: skip

    whole = run("whole", 0)
    assert whole.returncode == 0, whole.stderr
    assert run("killed", STEPS + 3).returncode == -signal.SIGKILL
    last = run("killed", 0)
    assert last.returncode == 0, last.stderr
    assert "Resumed from" in last.stdout
    lines = [run.stdout.strip().splitlines()[-1] for run in (whole, last)]
    assert json.loads(lines[0]) == json.loads(lines[1])
    one, other = (np.load(tmp_path / f"{n}.npz") for n in ("whole", "killed"))
    for name in one.files:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    assert resume.measure(kills=2, epochs=4, seed=1, folder=tmp_path)
