"""Data parallel training on PyTorch, by `fit` as users know it.

Every process has the whole model and a share of each batch. Within a step,
losses and normalizations see the samples of all (`torch_step`); the gradient
that the optimizer is given is that of the whole batch, so that clipping, loss
scaling and accumulation mean what they mean on one device; and logs are those
of all, so that callbacks decide alike.

Keras' main branch has `DataParallel` for PyTorch. Where it serves, this goes.
"""

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import keras
import torch

from keras_tcl import inputs
from keras_tcl.distribution import arguments, replicas, torch_step
from keras_tcl.distribution import torch_processes as processes
from keras_tcl.distribution.parts import share
from keras_tcl.distribution.process import SEEDS_APART
from keras_tcl.training import fingerprint
from keras_tcl.training.keras_fixes import (
    FixedKeras,
    arguments_of,
    moving_statistics,
)

_KINDS = ("a training step", "an evaluation step", "the end of its data")


class ParallelModel(FixedKeras):
    """A model that trains in several processes, if there are several."""

    _passes = 0

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if processes.count() == 1:
            return super().fit(x, y, *args, **kwargs)
        given = arguments_of("fit", self, x, y, *args, **kwargs)
        arguments.check_reduction(self.loss)
        process = processes.process()
        seed = processes.from_first(random.getrandbits(31))
        share(given, process, seed)
        arguments.keep_order(given)
        processes.same("settings", fingerprint.of_fit(self, given))
        reports = arguments.first_reports(given, process, self, _Begin())
        with reports, self._pass():
            return super().fit(**given)

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if processes.count() == 1:
            return super().evaluate(x, y, *args, **kwargs)
        given = arguments_of("evaluate", self, x, y, *args, **kwargs)
        # `fit` has divided what it evaluates itself.
        if not given.get("_use_cached_eval_dataset"):
            share(given, processes.process(), None)
            processes.same("settings", fingerprint.of_data(given["x"]))
        if not self._passes:
            processes.take_from_first([v.value for v in self.variables])
        if processes.index():
            given["verbose"] = 0
        with self._pass():
            return super().evaluate(**given)

    def get_metrics_result(self) -> dict[str, Any]:
        if not self._passes:
            return super().get_metrics_result()
        if torch_step.current() is None:
            _check_alike(processes.agree(None, [2, 0, 0]))
        with _metrics_of_all(self.metrics_variables):
            results = super().get_metrics_result()
            return keras.tree.map_structure(_copy, results)

    @contextlib.contextmanager
    def _together(
        self, check: Callable[[Any], None], data: Any, is_training: bool
    ) -> Iterator[None]:
        """A step of all processes, once each has checked its data."""
        if not self._passes:
            check(data)
            yield
            return
        error = None
        try:
            check(data)
        except ValueError as found:
            error = found
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        kind, size = int(not is_training), len(keras.tree.flatten(x)[0])
        # Event frames bring their own T.
        timesteps = inputs.as_views(x)[0].shape[1]
        timesteps = getattr(self, "timesteps", None) or timesteps
        rows = processes.agree(error, [kind, size, timesteps])
        _check_alike(rows)
        sizes = [row[1] for row in rows]
        with torch_step.together(sizes, processes.index()) as step:
            if is_training:
                with self._gradients_of_all(step):
                    yield
            else:
                yield

    @contextlib.contextmanager
    def _gradients_of_all(self, step: torch_step.Step) -> Iterator[None]:
        """Within, the optimizer is given the gradient of the whole batch.

        The loss of a step is a mean over its samples; that over all samples
        is the sum over processes of their mean times their share.
        """
        optimizer = self.optimizer
        scale_loss, apply = optimizer.scale_loss, optimizer.apply

        def scale_share(loss: Any) -> Any:
            return scale_loss(loss * step.share)

        def apply_sum(gradients: Any, variables: Any = None) -> Any:
            # So are moving statistics, which each process has moved.
            moved = [v.value.data for v in moving_statistics(self)]
            for value in moved:
                value.mul_(step.share)
            found = [g for g in gradients if g is not None]
            processes.add_up([*found, *moved])
            return apply(gradients, variables)

        # Not by `setattr`, where Keras would track them.
        optimizer.__dict__.update(scale_loss=scale_share, apply=apply_sum)
        try:
            yield
        finally:
            del optimizer.__dict__["scale_loss"], optimizer.__dict__["apply"]

    @contextlib.contextmanager
    def _pass(self) -> Iterator[None]:
        object.__setattr__(self, "_passes", self._passes + 1)
        try:
            yield
        finally:
            object.__setattr__(self, "_passes", self._passes - 1)


class _Begin(keras.callbacks.Callback):
    """Has all processes begin with the first one's weights and state.

    It comes after callbacks that load them.
    """

    def on_train_begin(self, logs: Any = None) -> None:
        variables = [*self.model.variables, *self.model.optimizer.variables]
        processes.take_from_first([v.value.data for v in variables])
        initial = processes.from_first(self.model._initial_epoch)
        self.model._initial_epoch = initial
        for seed in replicas.seeds_of(self.model):
            # Another augmentation of what is another sample.
            seed.value.data[0] += SEEDS_APART * processes.index()


def _check_alike(rows: list[list[int]]) -> None:
    """Raise a ValueError, in all processes, if they are not in one step."""
    for index, (kind, _, timesteps) in enumerate(rows):
        if kind != rows[0][0]:
            raise ValueError(
                "All processes must be given the same number of batches. "
                f"Process 0 has come to {_KINDS[rows[0][0]]}, process {index} "
                f"to {_KINDS[kind]}."
            )
        if timesteps != rows[0][2]:
            raise ValueError(
                "All processes must have the same number of time steps in a "
                f"step. Received: T = {rows[0][2]} in process 0, "
                f"T = {timesteps} in process {index}."
            )


@contextlib.contextmanager
def _metrics_of_all(variables: list[Any]) -> Iterator[None]:
    """Within, the variables of metrics are those of all processes."""
    own = [variable.value.detach().clone() for variable in variables]
    with torch.no_grad():
        # Of a mean, each process has a share; others are sums.
        for variable in variables:
            if variable.aggregation == "mean":
                variable.value.div_(processes.count())
            elif variable.aggregation == "only_first_replica":
                variable.value.mul_(int(processes.index() == 0))
        processes.add_up([variable.value.data for variable in variables])
    try:
        yield
    finally:
        with torch.no_grad():
            for variable, value in zip(variables, own, strict=True):
                variable.value.copy_(value)


def _copy(x: Any) -> Any:
    return x.detach().clone() if isinstance(x, torch.Tensor) else x
