"""A network, one time step at a time."""

from itertools import count
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import checks, graph
from keras_tcl.graph import check_network
from keras_tcl.inference.folding import Cast, InferenceVisit
from keras_tcl.inference.neuron_step import (
    NeuronStep,
    RunningMean,
    state_shapes,
)
from keras_tcl.layers import DirectEncoding, EachStep, Neuron

# Before the name of a state among the outputs.
NEXT = "next_"


def step_model(network: keras.Model, dtype: str | None = None) -> keras.Model:
    """Returns one time step of a network as a model with explicit state.

    ```
    inputs:  {"inputs": [B, H, W, C], state name: [B, ...], ...}
    outputs: {"logits": [B, classes], "mean": [B, classes],
              "next_" + state name: [B, ...], ...}
    ```

    `"inputs"` is one image or event frame, `"logits"` what this step says and
    `"mean"` the mean of the logits up to and with this step, the prediction
    so far. Called T times from `initial_state` it equals the network over T
    steps. The states are the neurons', named after their layers (and, where
    a neuron has several, after these), and `"steps"` and `"total"`, from
    which the mean is made.

    The weights are the network's own, shared and not copied. The model can be
    saved as `.keras` and opened under another backend, and exported.

    Args:
        network: Functional `keras.Model` from images or event frames to a
            dictionary with the step-wise `"logits"` `[B, T, classes]`.
        dtype: String, data type of `"inputs"`. Defaults to the network's.

    Returns:
        Functional `keras.Model`.

    Raises:
        ValueError: If the network has no step-wise `"logits"`, or a layer
            other than a neuron mixes time steps.

    Example:

    >>> model = keras_tcl.models.sew_resnet([1], [8], timesteps=2)
    >>> step = keras_tcl.inference.step_model(model.network)
    >>> state = keras_tcl.inference.initial_state(step, batch_size=1)
    >>> image = keras.ops.zeros((1, 32, 32, 3))
    >>> for _ in range(2):
    ...     outputs = step({"inputs": image, **state})
    ...     state = {name: outputs[f"next_{name}"] for name in state}
    >>> tuple(outputs["mean"].shape)
    (1, 10)
    """
    check_network(network)
    (drawn,) = network.inputs
    shape = drawn.shape[1:]
    inputs = keras.Input(shape[-3:], dtype=dtype or drawn.dtype, name="inputs")
    visit = _StepVisit()
    start = inputs
    if inputs.dtype != drawn.dtype:
        start = Cast(dtype=drawn.dtype, name="as_drawn")(inputs)
    start = visit.unfold(start, 1) if len(shape) == 4 else visit.still(start)
    logits = visit.fold(graph.walk(network, start, visit, ["logits"])["logits"])
    total = visit.state("total", logits.shape[1:])
    steps = visit.state("steps", (1,))
    mean, *sums = RunningMean(name="mean_over_time")([logits, total, steps])
    visit.new.extend(sums)
    states = {tensor.name: tensor for tensor in visit.states}
    new = {f"{NEXT}{s}": n for s, n in zip(states, visit.new, strict=True)}
    return keras.Model(
        {"inputs": inputs, **states},
        {"logits": logits, "mean": mean, **new},
        name=network.name,
    )


def initial_state(model: keras.Model, batch_size: int = 1) -> dict[str, Any]:
    """Returns the states before the first step.

    Args:
        model: Model made by `step_model`, or loaded from its file.
        batch_size: Integer of at least 1.

    Returns:
        Dictionary of float32 tensors by the names of the states.

    Raises:
        ValueError: If `model` is no step model.

    Example:

    >>> model = keras_tcl.models.sew_resnet([1], [8])
    >>> step = keras_tcl.inference.step_model(model.network)
    >>> state = keras_tcl.inference.initial_state(step, 2)
    >>> tuple(state["total"].shape)
    (2, 10)
    """
    batch_size = checks.integer("batch_size", batch_size)
    state: dict[str, Any] = {}

    # A neuron that is called in several places has a state for each.
    def collect(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, (NeuronStep, RunningMean)):
            x, *states = keras.tree.flatten(args)
            values = layer.initial_state((batch_size, *x.shape[1:]))
            names = [tensor.name for tensor in states]
            state.update(zip(names, values, strict=True))
        return layer.compute_output_spec(*args, **kwargs)

    layers = getattr(model, "layers", ())
    if any(isinstance(layer, RunningMean) for layer in layers):
        graph.walk(model, model.input, collect)
    if not state:
        raise ValueError(
            "Only a model made by `step_model` has states. "
            f"Received: model={model!r}."
        )
    return state


class _StepVisit(InferenceVisit):
    """Draws the graph of one time step; T is 1, and folding takes it away."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[Any] = []
        self.new: list[Any] = []
        self._taken = {"inputs", "total", "steps", "logits", "mean"}
        self._layers: dict[int, NeuronStep] = {}
        # What has no time axis: the image, and what is made of it before the
        # direct encoding. (Kept, as an id is another's once a tensor is gone.)
        self._still: dict[int, Any] = {}

    def still(self, x: Any) -> Any:
        """Remember that a tensor has no time axis."""
        self._still[id(x)] = x
        return x

    def state(self, name: str, shape: Any) -> Any:
        """A symbolic input for a state."""
        state = keras.Input(shape, dtype="float32", name=name)
        self.states.append(state)
        return state

    def __call__(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = keras.tree.flatten((args, kwargs))
        tensors = [t for t in tensors if isinstance(t, keras.KerasTensor)]
        is_still = all(id(t) in self._still for t in tensors)
        if isinstance(layer, DirectEncoding) and is_still:
            return self.unfold(args[0], 1)
        if isinstance(layer, Neuron):
            return self._neuron(layer, args[0], is_still)
        if is_still:
            made = super().__call__(layer, *args, **kwargs)
            keras.tree.map_structure(self.still, made)
            return made
        _check_no_neurons_within(layer)
        if not isinstance(layer, EachStep):
            _check_each_step(layer, args, kwargs, self._still)
        return super().__call__(layer, *args, **kwargs)

    def _neuron(self, neuron: Neuron, x: Any, is_still: bool) -> Any:
        if is_still or x.shape[1] != 1:
            raise ValueError(
                f"The neurons {neuron.name!r} get their time steps neither "
                "from the network's input nor from `DirectEncoding`, so the "
                "network cannot run step by step. Repeat a still input with "
                "`keras_tcl.layers.DirectEncoding`."
            )
        x = self.fold(x)
        # A neuron may be called in several places: each has a state.
        shapes = state_shapes(neuron, x.shape)
        name, names = self._free_names(neuron.name, [p for p, _ in shapes])
        if id(neuron) not in self._layers:
            layer = NeuronStep(neuron, name=f"{name}_step")
            self._layers[id(neuron)] = layer
        states = [
            self.state(name, shape)
            for name, (_, shape) in zip(names, shapes, strict=True)
        ]
        spikes, *new = self._layers[id(neuron)]([x, *states])
        self.new.extend(new)
        return self.unfold(spikes, 1)

    def _free_names(self, name: str, paths: Any) -> tuple[str, list[str]]:
        """A name for neurons, and one for each state, that nobody has."""
        for number in count(1):
            free = name if number == 1 else f"{name}_{number}"
            names = ["_".join([free, *map(str, path)]) for path in paths]
            if self._taken.isdisjoint([free, *names]):
                break
        self._taken.update([free, *names])
        return free, names


def _check_no_neurons_within(layer: Any) -> None:
    """Raise a ValueError for neurons that a walk does not reach."""
    if not isinstance(layer, keras.layers.Layer):
        return
    for inner in graph.inner_layers(layer):
        if isinstance(inner, Neuron):
            raise ValueError(
                f"The layer {layer.name!r} ({type(layer).__name__}) hides "
                f"the neurons {inner.name!r}, whose state is then not known, "
                "so the network cannot run step by step. Give the layer a "
                "method `walk(x, visit)` (see `keras_tcl.layers.Classifier`), "
                "or make it a functional model."
            )


def _check_each_step(layer: Any, args: Any, kwargs: Any, still: Any) -> None:
    """Raise a ValueError if a layer mixes time steps, by trying it on two."""
    rng = np.random.default_rng(0)
    called = graph.called(training=False)

    def sample(x: Any) -> Any:
        if not isinstance(x, keras.KerasTensor):
            return x
        timed = id(x) not in still
        shape = [4 if n is None else n for n in x.shape]
        shape[: 1 + timed] = [1, 2][: 1 + timed]
        values = rng.normal(size=shape).astype("float32")
        return _Steps(ops.cast(values, x.dtype), timed)

    def run(steps: slice) -> Any:
        return called(
            layer,
            *keras.tree.map_structure(lambda x: _cut(x, steps), samples),
            **keras.tree.map_structure(lambda x: _cut(x, steps), options),
        )

    samples, options = keras.tree.map_structure(sample, (args, kwargs))
    try:
        whole = run(slice(0, 2))
        parts = [run(slice(0, 1)), run(slice(1, 2))]
        good = all(
            np.allclose(
                ops.convert_to_numpy(a),
                np.concatenate([ops.convert_to_numpy(p) for p in b], axis=1),
                rtol=1e-3,
                atol=1e-3,
            )
            for a, *b in zip(
                keras.tree.flatten(whole),
                *map(keras.tree.flatten, parts),
                strict=True,
            )
        )
    except Exception as error:  # whatever a backend says of a wrong shape
        raise ValueError(_mixing(layer)) from error
    if not good:
        raise ValueError(_mixing(layer))


def _mixing(layer: Any) -> str:
    return (
        f"The layer {layer.name!r} ({type(layer).__name__}) gives another "
        "result for one time step than for the same step among several, and "
        "is no `keras_tcl.layers.Neuron`, so the network cannot run step by "
        "step. What is done to each step alone belongs in "
        "`keras_tcl.layers.EachStep`; what has a memory is a `Neuron`."
    )


class _Steps:
    """Values for a layer to be tried on; a leaf of a structure."""

    def __init__(self, values: Any, timed: bool) -> None:
        self.values = values
        self.timed = timed


def _cut(x: Any, steps: slice) -> Any:
    if not isinstance(x, _Steps):
        return x
    return x.values[:, steps] if x.timed else x.values
