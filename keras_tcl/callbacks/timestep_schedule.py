"""Another number of time steps for each epoch or batch."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from keras_tcl import checks
from keras_tcl.losses import TemporalLoss

# An integer, or several to draw from.
Timesteps = int | Sequence[int]


class TimestepSchedule(keras.callbacks.Callback):
    """Sets the number of time steps T that a model trains with.

    With fewer steps than `model.timesteps`, an epoch takes less time; and a
    network that has seen every T is accurate at more of them:

    ```python
    TimestepSchedule({0: 1, 10: 2, 20: 4})  # T = 2 from the 11th epoch on
    TimestepSchedule(lambda epoch: min(1 + epoch // 10, 4))
    TimestepSchedule(range(1, 5))  # T of each batch at random, from 1 to 4
    TimestepSchedule({0: 2, 10: (2, 3, 4)})
    TimestepSchedule(range(1, 5), per_stage=True)  # mixed time steps
    ```

    With `per_stage`, each stage of the network has a T of its own in a batch
    (see `model.stage_timesteps`). A model of event frames can be trained so,
    too: the T of its data is then the greatest.

    Only training steps have another T: validation, and what other callbacks
    do at the end of an epoch, have that of before `fit`, and so has the model
    after it, also after an exception. Within an epoch, other callbacks see the
    T of the batch. The metrics of the training are over batches of whatever T
    they had.

    Each T is compiled once, and then taken up again. Of several steps in one
    execution (`steps_per_execution`), all have the T of the first.

    Args:
        timesteps: What T is in an epoch: an integer, or a sequence (or range)
            of integers, of which one is drawn for each batch, all alike
            likely; or a function of the epoch, from 0, that returns such; or
            a dictionary of such by the epoch from which they count. (Before
            the first one named, T is `model.timesteps`.) It is drawn from
            Python's random numbers, which `keras.utils.set_random_seed` sets.
        per_stage: Boolean, whether each stage of the network has a T of its
            own (MTT). Defaults to `False`.
        draws: Integer, with `per_stage`: at the beginning of `fit`, so many
            times a T is drawn for each stage, and each batch takes one of
            these draws, for each of them is compiled. Defaults to `8`.

    Raises:
        ValueError: If a T is no integer from 1 to `model.timesteps`, or an
            epoch none of at least 0; at the beginning of `fit` for what a
            function returns, for a T that is too large or that the loss
            cannot take, and for a model of event frames, whose T is in the
            data (but `per_stage`).

    Example:

    >>> model = keras_tcl.models.sew_resnet([1], [4], (8, 8, 1), 10)
    >>> model.compile("sgd", keras_tcl.losses.TET())
    >>> x, y = np.random.randint(0, 256, (16, 8, 8, 1)), np.arange(16) % 10
    >>> schedule = keras_tcl.callbacks.TimestepSchedule(range(1, 5))
    >>> history = model.fit(x, y, verbose=0, callbacks=[schedule])
    >>> model.timesteps
    4

    Reference:

    - [Du et al., 2025](https://arxiv.org/abs/2503.17394), mixed time step
      training, which is `per_stage`; there, the losses of three draws for
      each batch are added
    """

    # Others are to see, at the end of an epoch, the T of the model.
    goes_first = True

    def __init__(
        self,
        timesteps: Timesteps
        | Mapping[int, Timesteps]
        | Callable[[int], Timesteps],
        per_stage: bool = False,
        draws: int = 8,
    ) -> None:
        super().__init__()
        self.timesteps: Any = timesteps
        self.per_stage = per_stage
        self.draws = checks.integer("draws", draws)
        if isinstance(timesteps, Mapping):
            for epoch, choices in timesteps.items():
                checks.integer("epoch", epoch, at_least=0)
                _choices(choices)
        elif not callable(timesteps):
            _choices(timesteps)

    def on_train_begin(self, logs: Any = None) -> None:
        full = getattr(self.model, "timesteps", None)
        if full is None and self.per_stage:
            full = self.model.sample_shape[0]
        if full is None:
            raise ValueError(
                "`TimestepSchedule` sets `model.timesteps`, and this model "
                "has none to set: T of event frames is their number in the "
                "data. Give `fit` recordings of fewer frames."
            )
        self._full: int = full
        # Of all epochs: a fault in the last one shows before the first step.
        self._choices = [
            _choices(self._timesteps_in(epoch), full)
            for epoch in range(self.params["epochs"])
        ]
        _check_loss(self.model, self._choices)
        self._random = random.Random(random.getrandbits(64))
        # What a batch takes one of, for each sequence of T to draw from.
        self._pools: dict[tuple[int, ...], list[Any]] = {
            tuple(choices): choices for choices in self._choices
        }
        if self.per_stage:
            stages = len(self.model.stages)
            for choices in self._pools:
                self._pools[choices] = [
                    self._random.choices(choices, k=stages)
                    for _ in range(self.draws)
                ]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._now = self._pools[tuple(self._choices[epoch])]

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._set(self._random.choice(self._now))

    def on_test_begin(self, logs: Any = None) -> None:
        self._set(None)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._set(None)

    def get_state(self) -> dict[str, Any]:
        """What decides the T of the batches to come, for a checkpoint."""
        return {
            "random": self._random.getstate(),
            "pools": list(self._pools.items()),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Draw from now on what was drawn after `get_state`."""
        version, numbers, gauss = state["random"]
        self._random.setstate((version, tuple(numbers), gauss))
        for choices, pool in state["pools"]:
            self._pools[tuple(choices)] = pool

    def _timesteps_in(self, epoch: int) -> Any:
        timesteps = self.timesteps
        if isinstance(timesteps, Mapping):
            begun = [first for first in timesteps if first <= epoch]
            return timesteps[max(begun)] if begun else self._full
        return timesteps(epoch) if callable(timesteps) else timesteps

    def _set(self, timesteps: Any) -> None:
        """Set what a batch is trained with, or, for `None`, what is ours."""
        if self.per_stage:
            self.model.stage_timesteps = timesteps
        elif self.model.timesteps != (timesteps or self._full):
            self.model.timesteps = timesteps or self._full


def _check_loss(model: Any, choices: list[list[int]]) -> None:
    """Asks the loss, before the first step, for each T that may come.

    With `per_stage`, a loss sees that of the last stage, which may be any.

    Raises:
        ValueError: If the loss cannot be trained with one of them.
    """
    loss = getattr(model, "loss", None)
    if not isinstance(loss, TemporalLoss):
        return
    for timesteps in sorted({t for of_epoch in choices for t in of_epoch}):
        try:
            loss.check_timesteps(timesteps)
        except ValueError as error:
            raise ValueError(
                f"The `TimestepSchedule` has T = {timesteps}, with which the "
                f"loss {loss.name!r} cannot be trained: {error} Nothing was "
                "trained. Leave that T out of the schedule, or compile the "
                "model with a loss that takes it."
            ) from error


def _choices(timesteps: Any, full: int | None = None) -> list[int]:
    """The T to draw from.

    Raises:
        ValueError: If they are no integers from 1 to `full`.
    """
    choices = timesteps
    if isinstance(timesteps, range):
        choices = list(timesteps)
    elif not isinstance(timesteps, (list, tuple)):
        choices = [timesteps]
    if not checks.are_integers(choices) or (full and max(choices) > full):
        raise ValueError(
            "The time steps of a `TimestepSchedule` must be an integer of at "
            f"least 1{f' and at most model.timesteps={full}' * bool(full)}, "
            "or a sequence of such, or a function of the epoch or a "
            "dictionary {epoch: time steps} of one of these. "
            f"Received: timesteps={timesteps!r}."
        )
    return [int(choice) for choice in choices]
