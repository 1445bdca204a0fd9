"""Layers of one time step: states come in and go out."""

from typing import Any

import keras
from keras import ops

from keras_tcl.layers import Neuron


@keras.saving.register_keras_serializable(package="keras_tcl")
class NeuronStep(keras.layers.Layer):
    """One time step of a layer of neurons, with its state as a tensor.

    Args:
        neuron: The `keras_tcl.layers.Neuron`; its weights are shared.

    Call arguments:
        inputs: List of the input `[B, ...]` of the step and the state's
            tensors, in the order of `keras.tree.flatten`.

    Returns:
        List of the spikes `[B, ...]` and the new state's tensors.
    """

    def __init__(self, neuron: Neuron, **kwargs: Any) -> None:
        # States are float32 under every policy.
        super().__init__(autocast=False, **kwargs)
        self.neuron = neuron

    def build(self, input_shape: Any) -> None:
        batch, *rest = input_shape[0]
        if not self.neuron.built:
            self.neuron.build((batch, 1, *rest))

    def initial_state(self, shape: Any) -> list[Any]:
        """The state's tensors before the first step."""
        return keras.tree.flatten(self.neuron.resting_state(tuple(shape)))

    def call(self, inputs: Any) -> Any:
        x, *state = keras.tree.flatten(inputs)
        # Only its structure and shapes count.
        structure = self.neuron.resting_state((1, *x.shape[1:]))
        for tensor, first in zip(
            state, keras.tree.flatten(structure), strict=True
        ):
            expected = (x.shape[0], *first.shape[1:])
            if not _fits(tensor.shape, expected):
                raise ValueError(
                    f"The state of the neurons {self.neuron.name!r} is of "
                    "another batch size or network. Expected shape: "
                    f"{expected}. Received: {tuple(tensor.shape)}. Begin with "
                    "`keras_tcl.inference.initial_state(model, batch_size)`."
                )
        state = keras.tree.pack_sequence_as(structure, state)
        spikes, state = self.neuron.advance(x, state, training=False)
        return [spikes, *keras.tree.flatten(state)]

    def compute_output_spec(self, inputs: Any) -> Any:
        x, *state = keras.tree.flatten(inputs)
        return [
            keras.KerasTensor(x.shape, self.neuron.compute_dtype),
            *(keras.KerasTensor(s.shape, "float32") for s in state),
        ]

    def get_config(self) -> dict[str, Any]:
        neuron = keras.saving.serialize_keras_object(self.neuron)
        return {**super().get_config(), "neuron": neuron}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "NeuronStep":
        neuron = keras.saving.deserialize_keras_object(config["neuron"])
        return cls(**{**config, "neuron": neuron})


@keras.saving.register_keras_serializable(package="keras_tcl")
class RunningMean(keras.layers.Layer):
    """The mean of all logits so far, with their sum and number as state.

    They are counted in float32, so a recording has less than 2**24 steps.

    Call arguments:
        inputs: List of logits `[B, classes]`, the sum `[B, classes]` and the
            number `[B, 1]` of those before.

    Returns:
        List of the mean, the new sum and the new number.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)

    def initial_state(self, shape: Any) -> list[Any]:
        """Sum and number before the first step."""
        return [
            ops.zeros(shape, "float32"),
            ops.zeros((shape[0], 1), "float32"),
        ]

    def call(self, inputs: Any) -> Any:
        logits, total, steps = inputs
        total = total + ops.cast(logits, "float32")
        steps = steps + 1.0
        return [total / steps, total, steps]

    def compute_output_spec(self, inputs: Any) -> Any:
        _, total, steps = inputs
        return [
            keras.KerasTensor(x.shape, "float32") for x in (total, total, steps)
        ]


class UnrolledNeuron(keras.layers.Layer):
    """A layer of neurons as plain operations, step after step.

    The same spikes; no loop and no custom gradient, which converters know
    nothing of, and a program that grows with T.

    Args:
        neuron: The `keras_tcl.layers.Neuron`; its weights are shared.
    """

    def __init__(self, neuron: Neuron, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.neuron = neuron

    def call(self, inputs: Any) -> Any:
        batch, _, *rest = ops.shape(inputs)
        state = self.neuron.resting_state((batch, *rest))
        spikes = []
        for x in ops.unstack(inputs, axis=1):
            s, state = self.neuron.advance(x, state, training=False)
            spikes.append(s)
        return ops.stack(spikes, axis=1)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs.shape, self.neuron.compute_dtype)


def state_shapes(neuron: Neuron, shape: Any) -> list[tuple[tuple, tuple]]:
    """Path and shape without the batch of each tensor of the state."""
    if None in shape[1:]:
        raise ValueError(
            f"The state of {neuron.name!r} has a size only where the "
            f"input has one. Received an input of shape {tuple(shape)}. "
            "Build the network for images of one size."
        )
    state = neuron.resting_state((1, *shape[1:]))
    found = [
        (path, tuple(tensor.shape))
        for path, tensor in keras.tree.flatten_with_path(state)
    ]
    for _, size in found:
        if size[:1] != (1,):
            raise ValueError(
                f"`initial_state` of {neuron.name!r} must return "
                "tensors that begin with the batch, as the shape it gets. "
                f"Received: a tensor of shape {size} for the shape "
                f"{(1, *shape[1:])}."
            )
    return [(path, size[1:]) for path, size in found]


def _fits(shape: Any, expected: Any) -> bool:
    return len(shape) == len(expected) and all(
        a is None or b is None or a == b
        for a, b in zip(shape, expected, strict=True)
    )
