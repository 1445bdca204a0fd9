"""Gradient caching: a batch, and its contrast, that is larger than the memory.

The loss of a batch compares all of its samples, so it cannot be had sample by
sample; but it reads no more of the network than its outputs, which are small.
With outputs o_m = f(x_m; w) of the micro-batches x_m, the gradient is

    d loss / d w  =  sum_m  c_m . d o_m / d w,     c_m = d loss / d o_m

1. Each micro-batch runs through the network, and only its outputs are kept.
2. The loss of the whole batch gives their gradients c_m, which are cached.
3. Each micro-batch runs again, with the same random numbers, and takes its
   c_m back to the weights. (It is the gradient of sum_m c_m . o_m.)

So the activations in memory are those of one micro-batch, for one more forward
pass. All of it is one function whose gradient is computed so. The step around
it stays Keras', with its loss, metrics, loss scaling and optimizer.

Augmentation is drawn for the whole batch at once, and is what it is without
micro-batches. Batch normalization in training sees one micro-batch at a time,
and moves its statistics once for each, as in data parallel training whose
statistics are not synchronized; other losses, such as penalties of activities,
are means over micro-batches. Dropout draws anew for each micro-batch, and an
initial potential that is a running mean moves on with each. Where there is none
of these, or normalization is frozen, weights after a step equal those of the
one batch to rounding. Layers that draw random numbers need a `SeedGenerator`.

Gradient accumulation (`gradient_accumulation_steps` of an optimizer) needs
as little memory and one pass less, but the contrast is that of a micro-batch.

Reference:

- [Gao et al., 2021](https://arxiv.org/abs/2101.06983), GradCache
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_tcl import checks, graph, kernels
from keras_tcl.distribution import replicas
from keras_tcl.layers import BatchNormalization
from keras_tcl.training.keras_fixes import clear_losses


def in_micro_batches(
    size: int | None, layers: Sequence[keras.layers.Layer]
) -> "MicroBatches | None":
    """`MicroBatches` of a size that is checked; `None` if that is `None`."""
    if size is None:
        return None
    return MicroBatches(layers, checks.integer("micro_batch_size", size))


class MicroBatches:
    """A network in training, on one micro-batch after the other.

    Args:
        layers: Sequence of layers with all variables that are trained, or
            change, in the forward pass.
        size: Integer, samples of a micro-batch; the last one may have fewer.
    """

    def __init__(self, layers: Sequence[keras.layers.Layer], size: int) -> None:
        self.layers, self.size = layers, size

    def __call__(
        self, run: Callable[[Any], Any], x: Any, views: int
    ) -> tuple[Any, list[Any]]:
        """What `run(x)` returns, and what the layers add to the loss.

        Args:
            run: Function of rows `[batch * V, ...]` that returns tensors of
                as many rows, in any structure.
            x: Tensor `[batch * V, ...]`.
            views: Integer V.
        """
        self._check_synchronized()
        rows = x.shape[0]
        if rows is not None and rows <= self.size * views:
            return run(x), []
        trained = [v for x in self.layers for v in x.trainable_variables]
        others = [v for x in self.layers for v in x.non_trainable_variables]

        def function(x: Any, values: Any, state: Any) -> tuple[Any, Any]:
            mapping = [
                *zip(trained, values, strict=True),
                *zip(others, state, strict=True),
            ]
            with keras.StatelessScope(mapping, collect_losses=True) as scope:
                outputs = run(x)
            # A layer remembers which ones it has added, by their addresses.
            for layer in self.layers:
                clear_losses(layer)
            state = [scope.get_current_value(v) for v in others]
            _check_losses(scope.losses)
            # Means over samples, to be those of all micro-batches.
            size = ops.shape(x)[0]
            losses = [ops.broadcast_to(one, (size,)) for one in scope.losses]
            return (outputs, losses), state

        # Copies: TensorFlow counts the gradient of an argument twice that is
        # itself a variable, and some are assigned to before the second pass.
        values, state = (
            [ops.copy(v.value) for v in kind] for kind in (trained, others)
        )
        (outputs, losses), state = kernels.recomputed(
            function, x, values, state, self.size * views
        )
        for variable, value in zip(others, state, strict=True):
            variable.assign(value)
        return outputs, [_mean(of_samples) for of_samples in losses]

    def without_gradient(
        self, run: Callable[[Any], Any], x: Any, views: int
    ) -> Any:
        """What `run(x)` returns, which changes no variable."""

        def step(x: Any, carry: Any) -> tuple[Any, Any]:
            return run(x), carry

        outputs, _ = kernels.in_pieces(step, x, (), self.size * views)
        return outputs

    def _check_synchronized(self) -> None:
        """Raise a ValueError where replicas would wait for one another."""
        counts = {-(-size // self.size) for size in replicas.sizes()}
        if len(counts) < 2 and not replicas.are_in_step():
            return
        if not any(
            layer._synchronized and layer.trainable
            for network in self.layers
            for layer in graph.inner_layers(network)
            if isinstance(layer, BatchNormalization)
        ):
            return
        reason = (
            f"Their samples, {replicas.sizes()}, make {sorted(counts)} of them."
            if counts
            else "TensorFlow's replicas cannot."
        )
        raise ValueError(
            "Processes or replicas with `synchronized=True` must take the same "
            "micro-batches together, for their statistics are those of all. "
            f"{reason} Build the network with `synchronized=False`, or choose "
            "a batch size that divides. Received: "
            f"micro_batch_size={self.size}."
        )


def _check_losses(losses: list[Any]) -> None:
    for loss in losses:
        if len(loss.shape):
            raise ValueError(
                "With `micro_batch_size`, what a layer adds by `add_loss` must "
                "be one number, a mean over its samples. Received: a loss of "
                f"shape {tuple(loss.shape)}."
            )


def _mean(of_samples: Any) -> Any:
    """The mean, and 0 of a replica without samples."""
    size = ops.maximum(ops.shape(of_samples)[0], 1)
    return ops.sum(of_samples) / ops.cast(size, of_samples.dtype)
