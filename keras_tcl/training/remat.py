"""Rematerialization: training that computes twice to keep less in memory."""

from typing import Any

import keras
from keras import ops

from keras_tcl import checks, graph, kernels
from keras_tcl.layers import Neuron, SpikeElementWise
from keras_tcl.training.keras_fixes import clear_losses

REMATS = (None, "stage", "block")


class Remat:
    """A network in training, of which only the inputs of parts are kept.

    The network is cut where a single tensor connects what is before and after.
    What lies within a part is computed again when the backward pass comes to
    it. With parts of n_i activations whose inputs are m_i, training keeps
    sum_i m_i + max_i n_i activations instead of sum_i n_i, for one more
    forward pass. Moving statistics are updated once, by the first pass.

    Args:
        network: Functional `keras.Model` whose outputs are a dictionary.
        by: `"stage"`: a part ends with each stage; or `"block"`: with each
            residual block, or layer of neurons that no connection goes
            around.
    """

    def __init__(self, network: keras.Model, by: str) -> None:
        def ends(layer: Any) -> bool:
            return by == "block" and isinstance(
                layer, (Neuron, SpikeElementWise)
            )

        self.parts = list(graph.segments(network, ends))

    def __call__(self, x: Any) -> tuple[dict[str, Any], list[Any]]:
        """What the network returns, and what its layers add to the loss."""
        outputs: dict[str, Any] = {}
        losses: list[Any] = []
        for part, last in self.parts:
            made, losses_of_part = _recomputed(part, x)
            losses.extend(losses_of_part)
            outputs.update(made)
            x = made[last] if last else None
        outputs.pop(graph.UNNAMED, None)
        return outputs, losses


def check_remat(remat: Any) -> None:
    """Raises a ValueError for an unknown choice."""
    checks.choice("remat", remat, REMATS)


def _recomputed(part: keras.Model, x: Any) -> tuple[dict[str, Any], list]:
    """`part(x)` in training, of which only `x` is kept, and its losses."""
    trained, others = part.trainable_variables, part.non_trainable_variables
    regularized = sum(v.regularizer is not None for v in trained)

    def function(x: Any, *values: Any) -> Any:
        # Without side effects: it runs twice.
        outputs, updated, losses = part.stateless_call(
            values[: len(trained)],
            values[len(trained) :],
            x,
            training=True,
            return_losses=True,
        )
        clear_losses(part)
        # Those of the weights come last. The model adds them by itself.
        return outputs, list(updated), losses[: len(losses) - regularized]

    # Copies, for two reasons: both runs are to see the same values, though
    # some are assigned to in between; and TensorFlow counts the gradient of
    # an argument twice that is itself a variable.
    values = [ops.copy(v.value) for v in (*trained, *others)]
    outputs, updated, losses = kernels.remat(function)(x, *values)
    for variable, value in zip(others, updated, strict=True):
        variable.assign(value)
    return outputs, losses
