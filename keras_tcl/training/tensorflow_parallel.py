"""Data parallel training on TensorFlow, by `tf.distribute`.

Keras hands each replica its share of a batch and adds up the gradients. What
it lacks (3.15): it divides the loss by the number of replicas, where shares
may have more or fewer samples, and clips the gradient of each replica by
itself.
"""

import threading
from typing import Any

import keras
import tensorflow as tf

from keras_tcl.distribution import tensorflow_replicas as replicas
from keras_tcl.distribution.arguments import (
    check_reduction,
    check_shard,
    first_reports,
    keep_order,
)
from keras_tcl.distribution.process import Process
from keras_tcl.distribution.replicas import seeds_of
from keras_tcl.training import fingerprint
from keras_tcl.training.keras_fixes import (
    FixedKeras,
    arguments_of,
    moving_statistics,
)

# The replicas of one process are threads of it.
_step = threading.local()


class ParallelModel(FixedKeras):
    """A model that trains on several replicas, if there are several."""

    def compile(self, *args: Any, **kwargs: Any) -> None:
        super().compile(*args, **kwargs)
        if self._replicas > 1:
            check_reduction(self.loss)
            _check_accumulation(self.optimizer)
            _sees_whole_batches(self.optimizer)

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if self._replicas == 1:
            return super().fit(x, y, *args, **kwargs)
        given = arguments_of("fit", self, x, y, *args, **kwargs)
        process = replicas.process()
        self._check_processes(given, process)
        if process.count > 1:
            keep_order(given)
        reports = first_reports(given, process, self, _Begin())
        with reports, replicas.naming_the_ended():
            return super().fit(**given)

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if self._replicas == 1:
            return super().evaluate(x, y, *args, **kwargs)
        given = arguments_of("evaluate", self, x, y, *args, **kwargs)
        process = replicas.process()
        self._check_processes(given, process)
        if not process.is_first:
            given["verbose"] = 0
        with replicas.naming_the_ended():
            return super().evaluate(**given)

    def _check_processes(self, given: dict[str, Any], process: Process) -> None:
        """Raise a ValueError if processes were not given what is needed."""
        if process.count > 1:
            check_shard(given["x"], process)
            check_shard(given.get("validation_data"), process)
            facts = fingerprint.of_fit(self, given)
            replicas.same("settings", facts, self.distribute_strategy)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        self._refuse_on_replicas("train_on_batch", "fit")
        return super().train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        self._refuse_on_replicas("test_on_batch", "evaluate")
        return super().test_on_batch(*args, **kwargs)

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        if iterator is not None and self._replicas > 1:
            # Keras would take a batch: of an epoch that has not begun, while
            # TensorFlow reads ahead, and of all processes.
            specs = iterator.data_adapter.get_tf_dataset().element_spec
            data_batch = keras.tree.map_structure(_like, specs)
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        if self._replicas == 1:
            return super()._get_metrics_result_or_logs(logs)
        # Logs of a step are a mean over replicas, whatever their shares.
        results = self.get_metrics_result()
        return {name: results.get(name, logs[name]) for name in logs}

    def train_step(self, data: Any) -> Any:
        context = replicas.context()
        if context is None:
            return super().train_step(data)
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        size = tf.cast(tf.shape(keras.tree.flatten(x)[0])[0], "float32")
        share = size / context.all_reduce("SUM", size)
        # Keras has divided the loss by the number of replicas.
        _step.factor = share * context.num_replicas_in_sync
        logs = super().train_step(data)
        # Moving statistics, which each replica has moved.
        moved = moving_statistics(self)
        if moved:
            replicas.average(moved, share)
        return logs

    def _refuse_on_replicas(self, method: str, instead: str) -> None:
        if self._replicas > 1:
            raise ValueError(
                f"`{method}` gives all of its batch to every replica, of which "
                f"there are {self._replicas}: a contrast would compare copies. "
                f"Use `{instead}`, which divides each batch among them."
            )


class _Begin(keras.callbacks.Callback):
    """Has each replica draw random numbers of its own.

    It comes after callbacks that load the seeds, some of which do so before
    the first batch of an epoch.
    """

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._is_first = True

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._is_first:
            strategy = self.model.distribute_strategy
            replicas.set_apart(seeds_of(self.model), strategy)
            self._is_first = False


def _like(spec: tf.TensorSpec) -> tf.Tensor:
    """A tensor of a shape and type, with 1 for what is unknown."""
    return tf.zeros([size or 1 for size in spec.shape], spec.dtype)


def _check_accumulation(optimizer: Any) -> None:
    steps = getattr(optimizer, "gradient_accumulation_steps", None)
    if steps:
        raise ValueError(
            "TensorFlow's replicas cannot accumulate gradients (Keras 3.15 "
            "fails in the first step): leave `gradient_accumulation_steps` "
            "out, or train on one device, or on PyTorch or JAX. Received: "
            f"gradient_accumulation_steps={steps}."
        )


def _sees_whole_batches(optimizer: Any) -> None:
    """Have an optimizer work on replicas as on the whole batch.

    The loss of a replica is a mean over its samples; that over all samples
    is the sum over replicas of their mean times their share.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    scale = type(optimizer).scale_loss
    clip = type(inner)._clip_gradients

    def scale_share(loss: Any) -> Any:
        if replicas.context() is not None:
            loss = loss * tf.cast(_step.factor, loss.dtype)
        return scale(optimizer, loss)

    def clip_sum(gradients: Any) -> Any:
        context = replicas.context()
        limits = (inner.clipnorm, inner.global_clipnorm, inner.clipvalue)
        if context is None or not any(limits):
            return clip(inner, gradients)
        # Keras adds up what this returns.
        total = context.all_reduce("SUM", list(gradients))
        count = context.num_replicas_in_sync
        return [g / count for g in clip(inner, total)]

    def is_finite(gradients: Any) -> Any:
        # Keras asks the first replica, of gradients not yet added up.
        finite = type(optimizer).check_finite(optimizer, gradients)
        context = replicas.context()
        if context is None:
            return finite
        return context.all_reduce("SUM", tf.cast(~finite, "int32")) == 0

    # Not by `setattr`, where Keras would track them.
    if optimizer is not inner:
        optimizer.__dict__["check_finite"] = is_finite
    optimizer.__dict__["scale_loss"] = scale_share
    inner.__dict__["_clip_gradients"] = clip_sum
