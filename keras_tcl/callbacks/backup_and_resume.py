"""A training that is killed, and goes on as if it had not been."""

import datetime
import math
import os
import pathlib
import secrets
import time
import warnings
from typing import Any

import keras
import numpy as np

from keras_tcl import checks
from keras_tcl.callbacks import training_state
from keras_tcl.callbacks.checkpoint_files import CheckpointFiles, State
from keras_tcl.callbacks.identity import difference, identity
from keras_tcl.callbacks.running_fit import RunningFit
from keras_tcl.data import Batches
from keras_tcl.distribution import replicas


class BackupAndResume(keras.callbacks.Callback):
    """Saves a training as it runs, and goes on where it was broken off.

    Run the same program again after a crash, a `kill -9` or a power cut:
    `fit` takes up the newest good checkpoint in `backup_dir`, says so in one
    line, and ends with the weights, the optimizer and the history of a
    training that was never interrupted.

    ```python
    train = keras_tcl.data.load("cifar10", "train")
    backup = keras_tcl.callbacks.BackupAndResume("backup", save_freq=500)
    model.fit(train, epochs=300, callbacks=[backup])
    ```

    `keras.callbacks.BackupAndRestore` begins an interrupted epoch anew, with
    the data in another order; here, it goes on at the very batch.

    **What is saved**: all variables of the model (weights, moving statistics,
    projection heads, the states of its seed generators, so augmentation and
    dropout go on), of the optimizer (iterations, slots, averages, loss scale)
    and of the metrics; epoch and batch; the order of `keras_tcl.data.Batches`,
    which is a function of its seed and the epoch; the number of time steps;
    the history; the global random numbers of Python, of NumPy, and under
    Keras on PyTorch those of PyTorch, of which dropout draws; and what
    `EarlyStopping`, `ReduceLROnPlateau`, `ModelCheckpoint`, `SwapEMAWeights`
    and `TimestepSchedule` carry, and any callback with `get_state()`, which
    returns a dictionary for JSON, and `set_state(state)`. Others begin anew.
    So do random numbers of TensorFlow's own, and of `keras.random` functions
    without a seed generator.

    **How**: before a batch and before all other callbacks, into a file that is
    written under another name and then renamed; the two newest are kept. A
    disk that is full costs a warning, and the training goes on. A file that
    fails its checksum is put aside, and the one before it taken. A checkpoint
    of another backend, network, optimizer, loss or data set is refused.

    The callback goes to the front of the list by itself. In an epoch that is
    taken up in the middle, `batch` is counted from there for all callbacks.

    Args:
        backup_dir: Path of a folder for the checkpoints of this training
            alone. Several processes need one that all of them see.
        save_freq: `"epoch"`, for a checkpoint at the beginning of each epoch;
            or an integer, for one after so many batches; or a
            `datetime.timedelta`, for one whenever that has passed (not with
            several processes). There is always one before the first batch.
            Defaults to `"epoch"`.
        delete_checkpoint: Boolean, whether the checkpoints are deleted at the
            end of `fit`. Otherwise, the program may be run again with more
            `epochs`. Defaults to `True`.
        data: `keras_tcl.data.Batches` that the training reads, where `fit` is
            given something made from it, such as `data.as_tf().map(...)`.
            Defaults to what `fit` is given, if that is such. With other data,
            checkpoints are of whole epochs, and their order is not ours.
        verbose: 0 or 1, whether to print what was resumed. Defaults to `1`.

    Raises:
        ValueError: If an argument is none of these; at the beginning of `fit`,
            if a checkpoint is of another training, with what differs, or all
            are damaged, or processes do not see the same folder.

    Example:

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> def train(epochs):
    ...     keras.utils.set_random_seed(0)
    ...     model = keras_tcl.models.sew_resnet([1], [4], (8, 8, 1), 10)
    ...     model.compile("sgd", keras_tcl.losses.TET())
    ...     backup = keras_tcl.callbacks.BackupAndResume(
    ...         folder, delete_checkpoint=False, verbose=0
    ...     )
    ...     data = keras_tcl.data.load("digits", "train[:128]", 64)
    ...     return model.fit(
    ...         data, epochs=epochs, verbose=0, callbacks=[backup]
    ...     )
    >>> train(1).epoch
    [0]
    >>> train(2).epoch  # The first one was not trained again.
    [0, 1]
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int | datetime.timedelta = "epoch",
        delete_checkpoint: bool = True,
        data: Batches | None = None,
        verbose: int = 1,
    ) -> None:
        super().__init__()
        if not isinstance(backup_dir, (str, os.PathLike)) or not str(
            backup_dir
        ):
            raise ValueError(
                "`backup_dir` must be the path of a folder. Received: "
                f"backup_dir={backup_dir!r}."
            )
        if data is not None and not isinstance(data, Batches):
            raise ValueError(
                "`data` must be `keras_tcl.data.Batches`, as "
                f"`keras_tcl.data.load` returns. Received: data={data!r}."
            )
        self.backup_dir = pathlib.Path(backup_dir)
        self.save_freq = _checked_frequency(save_freq)
        self.delete_checkpoint = delete_checkpoint
        self.data = data
        self.verbose = verbose

    # --- In `fit` -----------------------------------------------------------

    def on_train_begin(self, logs: Any = None) -> None:
        self._fit = RunningFit(self.model)
        self._fit.go_first(self)
        self._data = self._data_of_fit()
        if not self.model.built:  # TensorFlow would build it in a step.
            self._fit.build(self.model)
        optimizer = self.model.optimizer
        if optimizer is not None and not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        self._identity = identity(self.model, self._data)
        if replicas.process().count > 1:
            _check_all_see(self.backup_dir)
        process: tuple[int, int] = replicas.process()
        if self._data is not None and process == (0, 1):
            process = self._data.shard
        self._files = CheckpointFiles(self.backup_dir, process)
        self._files.delete_unfinished()
        self._epoch, self._begun_at, self._step = 0, 0, 0
        self._data_epoch: int | None = None
        self._unsaved, self._saved_at = 0, -math.inf
        self.model._initial_epoch = None
        if self._data is not None:
            self._data.step = 0  # Else what a failed `fit` had resumed.
        # What is still to be put back, once others have begun.
        self._pending = self._resumed()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model._initial_epoch = None  # Else the next `fit` began there.
        if self._data is not None:
            self._data_epoch = self._data.epoch
        steps = self._fit.steps
        if self._pending is not None:
            self._epoch = epoch
            self._fit.expect(steps and steps - self._begun_at)
            self._put_back(self._pending, is_last_time=self._begun_at == 0)
            return
        self._move_to(steps or 0)
        self._epoch, self._begun_at, self._step = epoch, 0, 0
        self._fit.expect(steps)
        if self._is_due(at_epoch=True):
            self._save()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._pending is not None:
            # Once more: others have begun an epoch that had begun before.
            self._put_back(self._pending, is_last_time=True)
        elif self._data is not None and batch:
            self._move_to(self._begun_at + batch)
            if self._is_due():
                self._save()

    def on_train_end(self, logs: Any = None) -> None:
        self.model._initial_epoch = None
        if self._pending is not None:  # There was no epoch left to train.
            self._put_back(self._pending, is_last_time=True)
        elif not self.delete_checkpoint:
            self._epoch, self._step = self.params["epochs"], 0
            self._data_epoch = self._data and self._data.epoch
            self._save()
        if self.delete_checkpoint:
            self._files.delete()

    # --- Parts of it --------------------------------------------------------

    def _data_of_fit(self) -> Batches | None:
        """The batches whose position is saved.

        Raises:
            ValueError: If a checkpoint could not say where they are.
        """
        given = self._fit.dataset
        data = self.data
        if data is None and isinstance(given, Batches):
            data = given
        if data is None:
            if isinstance(self.save_freq, int):
                raise ValueError(
                    "Checkpoints within an epoch need data whose order is "
                    "known: give `fit` `keras_tcl.data.Batches`, or name in "
                    "`data` those that yours are made from; or save each "
                    f'"epoch". Received: save_freq={self.save_freq!r}.'
                )
            return None
        is_other = given is not None and given is not data
        has_steps = self._fit.has_own_steps
        if is_other or has_steps or self._fit.steps != len(data):
            raise ValueError(
                "`fit` must read the `data` that `BackupAndResume` was given, "
                f"all {len(data)} batches in an epoch, without "
                f"`steps_per_epoch`. Received: {self._fit.steps} batches"
                f"{' of other data' * is_other}"
                f"{' by `steps_per_epoch`' * has_steps}."
            )
        if data.shard[1] > 1 and not isinstance(self.save_freq, (str, int)):
            raise ValueError(
                "Processes have clocks of their own, and would save at other "
                'batches each. Save each "epoch", or by a number of batches. '
                f"Received: save_freq={self.save_freq!r}, and data of "
                f"shard={data.shard}."
            )
        return data

    def _resumed(self) -> State | None:
        """The state that this `fit` goes on from, where there is one."""
        found = self._files.newest()
        if found is None:
            return None
        path, (epoch, step), state = found
        self._check(path, epoch, step, state)
        training_state.put_variables(self.model, state)
        self.model._initial_epoch = epoch
        self._begun_at = self._step = step
        if self._data is not None:
            self._data.epoch, self._data.step = state[0]["data_epoch"], step
        if self.verbose:
            batches = f" and {step} of {self._fit.steps} batches" * (step > 0)
            print(f"Resumed from {path}: {epoch} epoch(s){batches} are done.")
        self._saved_at = time.monotonic()
        return state

    def _check(
        self, path: pathlib.Path, epoch: int, step: int, state: State
    ) -> None:
        facts, _ = state
        differs = difference(facts["identity"], self._identity)
        if differs is None:
            if "metrics" in facts["variables"]:
                self._fit.build(self.model)
            differs = training_state.variables_differ(self.model, facts)
        if differs is not None:
            raise ValueError(
                f"The checkpoint {str(path)!r} is of another training: "
                f"{differs}. Nothing was loaded. Train with what it was saved "
                "with, or begin anew with another `backup_dir`."
            )
        if (epoch, step) > (self.params["epochs"], 0):
            raise ValueError(
                f"The checkpoint {str(path)!r} is in epoch {epoch + 1}, and "
                "`fit` would end before. Nothing was loaded. Received: "
                f"epochs={self.params['epochs']}."
            )

    def _put_back(self, state: State, is_last_time: bool) -> None:
        training_state.put(self.model, self._fit.callbacks, state)
        if is_last_time:
            self._pending = None

    def _move_to(self, step: int) -> None:
        self._unsaved += step - self._step
        self._step = step

    def _is_due(self, at_epoch: bool = False) -> bool:
        if self._saved_at == -math.inf:
            return True
        if isinstance(self.save_freq, datetime.timedelta):
            passed = time.monotonic() - self._saved_at
            return passed >= self.save_freq.total_seconds()
        if isinstance(self.save_freq, int):
            return self._unsaved >= self.save_freq
        return at_epoch

    def _save(self) -> None:
        kinds = ["network", "optimizer"]
        if self._step:  # An epoch begins with metrics of 0.
            kinds.append("metrics")
        callbacks = self._fit.callbacks
        facts, arrays = training_state.take(self.model, callbacks, kinds)
        facts["identity"] = self._identity
        facts["data_epoch"] = self._data_epoch
        try:
            position = (self._epoch, self._step)
            self._files.write(position, (facts, arrays))
        except OSError as error:
            warnings.warn(
                f"No checkpoint could be written to {str(self.backup_dir)!r}: "
                f"{error}. The training goes on, and the checkpoint before "
                "this one is kept.",
                stacklevel=2,
            )
        self._unsaved, self._saved_at = 0, time.monotonic()


def _check_all_see(folder: pathlib.Path) -> None:
    """Raise a ValueError in all processes if one sees another folder."""
    of_all = replicas.processes.of_all_processes
    path, is_first = folder / "seen", replicas.process().is_first
    number = secrets.randbelow(2**20) if is_first else 0
    if is_first:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    (number,) = of_all(np.array([number], "float64"))
    sees = path.exists() and path.read_text() == str(round(number))
    (others,) = of_all(np.array([not sees], "float64"))
    if is_first:
        path.unlink()
    if others:
        raise ValueError(
            "`backup_dir` must be a folder that all processes see, such as one "
            "of a file system that their hosts share: a state counts where "
            f"each has written its part. Received: {str(folder)!r}, of which "
            f"{round(others)} process(es) do not see what the first wrote."
        )


def _checked_frequency(save_freq: Any) -> str | int | datetime.timedelta:
    is_time = isinstance(save_freq, datetime.timedelta)
    if save_freq == "epoch" or (is_time and save_freq.total_seconds() > 0):
        return save_freq
    if checks.are_integers([save_freq]):
        return int(save_freq)
    raise ValueError(
        '`save_freq` must be "epoch", a number of batches of at least 1, or a '
        f"`datetime.timedelta` above 0. Received: save_freq={save_freq!r}."
    )
