"""What a network consists of: the one door to the nodes of a Keras graph.

A network is a functional `keras.Model`. Whatever looks into one (firing rates,
streaming, export, recomputation) visits its nodes by `walk`, and no other file
reads Keras' private attributes of a graph: `_nodes_by_depth`, and of a node
`operation`, `arguments`, `input_tensors` and `outputs`; and of a layer
`_call_has_training_arg` (Keras 3.15).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

Visit = Callable[..., Any]


# The name, in a segment, of a tensor that is no output of the network.
UNNAMED = "unnamed"


def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """The visit that changes nothing: `layer(*args, **kwargs)`."""
    return layer(*args, **kwargs)


def called(training: bool) -> Visit:
    """The visit that calls every layer in training, or in inference."""

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(layer, "_call_has_training_arg", False):
            kwargs["training"] = training
        return layer(*args, **kwargs)

    return visit


def walk(
    network: keras.Model,
    x: Any,
    visit: Visit = call,
    only: Sequence[str] | None = None,
    deep: bool = True,
) -> Any:
    """Runs a network layer by layer, each as `visit` says.

    ```
    def visit(layer, *args, **kwargs):
        return layer(*args, **kwargs)  # or something else in its place
    ```

    With the visit `call`, the result is `network(x)`. Functional and
    sequential models within the network are walked as well. So is a composite
    layer that offers `layer.walk(*args, visit, **kwargs)`, as `Classifier`
    does.

    A tensor is forgotten after its last reader, where `network(x)` keeps all
    of them to the end. Symbolic tensors are welcome: the result is then
    another graph of the same layers.

    Args:
        network: Functional `keras.Model` of one input.
        x: Tensor or symbolic tensor for its input.
        visit: Function `visit(layer, *args, **kwargs)`. A node may also be
            of a `keras.ops` operation, which is no `keras.layers.Layer`.
        only: Names of the outputs that are wanted, of a network that returns
            a dictionary. Defaults to all.
        deep: Boolean, whether to walk models and composite layers within, or
            to visit them as the layers they are. Defaults to `True`.

    Returns:
        What the network returns, in the structure of `network.output`.
    """
    steps = _nodes(network)
    output = network.output
    if only is not None:
        output = {name: output[name] for name in only}
    wanted = [id(t) for t in keras.tree.flatten(output)]
    readers = Counter(
        [id(t) for node in steps for t in node.input_tensors] + wanted
    )
    tensors = {id(network.inputs[0]): x}
    for node in steps:
        args, kwargs = node.arguments.fill_in(tensors)
        for t in node.input_tensors:
            readers[id(t)] -= 1
            if not readers[id(t)]:
                del tensors[id(t)]
        if deep:
            made = visit_within(node.operation, visit, *args, **kwargs)
        else:
            made = visit(node.operation, *args, **kwargs)
        del args, kwargs
        for t, value in zip(
            node.outputs, keras.tree.flatten(made), strict=True
        ):
            if readers[id(t)]:
                tensors[id(t)] = value
        del made, value
    return keras.tree.pack_sequence_as(output, [tensors[i] for i in wanted])


def visit_within(layer: Any, visit: Visit, *args: Any, **kwargs: Any) -> Any:
    """Visit a layer, or what it is made of if it can be walked."""
    if _is_graph(layer):
        return walk(layer, args[0], visit)
    if isinstance(layer, keras.Sequential):
        x = args[0]
        for inner in layer.layers:
            x = visit_within(inner, visit, x)
        return x
    if hasattr(layer, "walk"):
        return layer.walk(*args, visit, **kwargs)
    return visit(layer, *args, **kwargs)


def layers(network: keras.Model) -> list[Any]:
    """All layers that `walk` visits, in the order of the network, each once."""
    found: dict[int, Any] = {}

    def collect(layer: Any, *args: Any, **kwargs: Any) -> Any:
        found[id(layer)] = layer
        return layer.compute_output_spec(*args, **kwargs)

    x = network.inputs[0]
    walk(network, keras.KerasTensor(x.shape, dtype=x.dtype), collect)
    return list(found.values())


def outputs(network: keras.Model) -> dict[str, Any]:
    """Symbolic outputs by name, in the order of computation.

    Keras keeps the names of a dictionary of outputs, but not their order: it
    sorts them by the alphabet.
    """
    steps = enumerate(_nodes(network))
    place = {id(t): number for number, node in steps for t in node.outputs}
    return dict(
        sorted(
            network.output.items(),
            key=lambda item: place.get(id(item[1]), -1),
        )
    )


def _is_graph(layer: Any) -> bool:
    return hasattr(layer, "_nodes_by_depth")


def _nodes(network: keras.Model) -> list[Any]:
    """The network's nodes in the order of computation, without its input."""
    return [
        node
        for depth in sorted(network._nodes_by_depth, reverse=True)
        for node in network._nodes_by_depth[depth]
        if not node.is_input
    ]


def segments(
    network: keras.Model, ends: Callable[[Any], bool]
) -> Iterator[tuple[keras.Model, str | None]]:
    """Cuts a network where one tensor connects what is before and after.

    Args:
        network: Functional `keras.Model` whose outputs are a dictionary.
        ends: Function of a layer, whether a segment may end with it. One
            always may with an output of the network.

    Yields:
        `(segment, name)`: functional models, which share the network's
        layers, from the end of the segment before to a dictionary of the
        network's outputs. In it, `name` is the next segment's input: that of
        an output or `UNNAMED`, or `None` at the end of the network.
    """
    names: dict[int, list[str]] = {}
    for name, tensor in network.output.items():
        names.setdefault(id(tensor), []).append(name)
    steps = _nodes(network)
    readers = Counter(id(t) for node in steps for t in node.input_tensors)
    waited_for: set[int] = set()
    start: Any = network.inputs[0]
    outputs: dict[str, Any] = {}
    for node in steps:
        for tensor in node.input_tensors:
            readers[id(tensor)] -= 1
        made = {id(tensor): tensor for tensor in node.outputs}
        waited_for = {t for t in (*waited_for, *made) if readers[t] > 0}
        for t in made.keys() & names.keys():
            outputs.update(dict.fromkeys(names[t], made[t]))
        is_narrow = len(made) == 1 and waited_for == set(made)
        if node is steps[-1]:
            last = None
        elif is_narrow and (outputs or ends(node.operation)):
            (last, *_) = names.get(id(node.outputs[0]), [UNNAMED])
            outputs[last] = node.outputs[0]
        else:
            continue
        segment = keras.Model(start, outputs)
        # The graph was drawn with one T and runs with any other.
        segment.input_spec = keras.InputSpec(ndim=len(start.shape))
        yield segment, last
        start, outputs = node.outputs[0], {}
