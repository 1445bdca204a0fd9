"""A backbone run in parts, to keep less of it in memory."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from keras_tcl.layers import SpikeElementWise
from keras_tcl.models.blocks import is_neuron

if keras.config.backend() == "jax":
    from keras_tcl.kernels.jax_remat import remat as _remat
else:
    _remat = keras.remat

REMATS = (None, "stage", "block")


class Parts:
    """A backbone cut where a single tensor connects what is before and after.

    Its layers are shared, and the numbers are those of the backbone itself.

    Args:
        backbone: Functional `keras.Model` whose outputs are a dictionary of
            stages.
        cut: `"stage"`: a part ends with each stage; or `"block"`: with each
            residual block, or layer of neurons that no connection goes
            around.
    """

    def __init__(self, backbone: keras.Model, cut: str) -> None:
        self.parts = []
        start = backbone.inputs[0]
        for outputs in _outputs_of_parts(backbone, cut):
            part = keras.Model(start, outputs)
            # The graph was drawn with one T, and runs with any other.
            part.input_spec = keras.InputSpec(ndim=len(start.shape))
            last, start = list(outputs.items())[-1]
            self.parts.append((part, last))

    def infer(self, x: Any) -> dict[str, Any]:
        """Features of the stages in inference.

        Run as a whole, a functional model holds the outputs of all layers
        until its last one is done; a part, until the part is done.
        """
        return self._chain(x, lambda part, x: part(x, training=False))

    def train(self, x: Any) -> tuple[dict[str, Any], list[Any]]:
        """Features of the stages in training, and layers' own losses.

        Of each part only the input is kept for the gradient; what is within
        is computed again when the backward pass comes to it. With parts of
        n_i activations whose inputs are m_i, training keeps sum_i m_i +
        max_i n_i activations instead of sum_i n_i, for one more forward pass.
        Moving statistics are updated once, by the first pass.
        """
        losses: list[Any] = []

        def run(part: keras.Model, x: Any) -> dict[str, Any]:
            outputs, losses_of_part = _recomputed(part, x)
            losses.extend(losses_of_part)
            return outputs

        return self._chain(x, run), losses

    def _chain(
        self, x: Any, run: Callable[[keras.Model, Any], dict[str, Any]]
    ) -> dict[str, Any]:
        features: dict[str, Any] = {}
        for part, last in self.parts:
            outputs = run(part, x)
            x = outputs[last]
            features.update(outputs)
        features.pop(_NO_STAGE, None)
        return features


def check_remat(remat: Any) -> None:
    """Raises a ValueError for an unknown choice."""
    if remat not in REMATS:
        raise ValueError(
            f"`remat` must be one of {REMATS}. Received: remat={remat!r}."
        )


_NO_STAGE = "no_stage"


def _outputs_of_parts(
    backbone: keras.Model, cut: str
) -> Iterator[dict[str, Any]]:
    """By name what each part puts out; the last is the next part's input."""
    stages = {id(tensor): name for name, tensor in backbone.output.items()}
    nodes = [
        node
        for depth in sorted(backbone._nodes_by_depth, reverse=True)
        for node in backbone._nodes_by_depth[depth]
        if not node.is_input
    ]
    uses = Counter(id(t) for node in nodes for t in node.input_tensors)
    waited_for: set[int] = set()
    outputs = {}
    for node in nodes:
        for tensor in node.input_tensors:
            uses[id(tensor)] -= 1
        made = {id(tensor): tensor for tensor in node.outputs}
        waited_for = {t for t in (*waited_for, *made) if uses[t] > 0}
        outputs.update({stages[t]: made[t] for t in made if t in stages})
        is_narrow = len(made) == 1 and waited_for == set(made)
        ends_part = outputs or (
            cut == "block" and _puts_out_spikes(node.operation)
        )
        if node is nodes[-1] or (is_narrow and ends_part):
            if not stages.keys() & made.keys():
                outputs[_NO_STAGE] = node.outputs[0]
            yield outputs
            outputs = {}


def _puts_out_spikes(layer: Any) -> bool:
    return is_neuron(layer) or isinstance(layer, SpikeElementWise)


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
        part._clear_losses()
        # Those of the weights come last. The model adds them by itself.
        return outputs, list(updated), losses[: len(losses) - regularized]

    # Copies, for two reasons: both runs are to see the same values, though
    # some are assigned to in between; and TensorFlow counts the gradient of
    # an argument twice that is itself a variable.
    values = [ops.copy(v.value) for v in (*trained, *others)]
    outputs, updated, losses = _remat(function)(x, *values)
    for variable, value in zip(others, updated, strict=True):
        variable.assign(value)
    return outputs, losses
