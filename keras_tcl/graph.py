"""What a network consists of: the one door to the nodes of a Keras graph.

A network is a functional `keras.Model`. Whatever looks into one (firing rates,
streaming, export, recomputation) visits its nodes by `walk`, and no other file
reads Keras' private attributes of a graph: `_nodes_by_depth`, and of a node
`operation`, `arguments`, `input_tensors` and `outputs`; and of a layer
`_call_has_training_arg`, `_clear_losses`, `_flatten_layers` (Keras 3.15).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

__all__ = ["call", "called", "layers", "outputs", "run", "walk"]

Visit = Callable[..., Any]


# The name of the output that is no stage.
LOGITS = "logits"
# The name, in a segment, of a tensor that is no output of the network.
UNNAMED = "unnamed"


def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """The visit that changes nothing: `layer(*args, **kwargs)`."""
    return layer(*args, **kwargs)


def called(training: bool | None) -> Visit:
    """The visit that calls every layer in training, or in inference.

    With `None`, in inference, but neurons have a gradient.
    """

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(layer, "_call_has_training_arg", False):
            kwargs["training"] = training
        return layer(*args, **kwargs)

    return visit


def walk(
    network: keras.Model,
    x: Any,
    visit: Visit | None = None,
    only: Sequence[str] | None = None,
    deep: bool = True,
) -> Any:
    """Visits the layers of a network in the order of computation.

    ```
    def visit(layer, *args, **kwargs):
        return layer(*args, **kwargs)  # or something else in its place
    ```

    With the visit `call`, the result is `network(x)`. Functional and
    sequential models within the network are walked as well. So is a composite
    layer that offers `layer.walk(x, visit)`, as `Classifier` does. One whose
    `call` was written anew, so that it need not do what its walk does, is
    visited as a layer.

    A tensor is forgotten after its last reader, where `network(x)` keeps all
    of them to the end. Symbolic tensors are welcome: the result is then
    another graph of the same layers.

    Args:
        network: Functional `keras.Model`.
        x: Tensor or symbolic tensor for its input, or several in the
            structure of `network.input`.
        visit: Function `visit(layer, *args, **kwargs)`. A node may also be
            of a `keras.ops` operation, which is no `keras.layers.Layer`.
            Defaults to `call`.
        only: Names of the outputs that are wanted, of a network that returns
            a dictionary; nothing is visited that they do not need. Defaults
            to all.
        deep: Boolean, whether to walk models and composite layers within, or
            to visit them as the layers they are. Defaults to `True`.

    Returns:
        What the network returns, in the structure of `network.output`.
    """
    visit = visit or call
    output = network.output
    if only is not None:
        output = {name: output[name] for name in only}
    wanted = [id(t) for t in keras.tree.flatten(output)]
    steps = _needed(_nodes(network), wanted)
    readers = Counter(
        [id(t) for node in steps for t in node.input_tensors] + wanted
    )
    given = zip(network.inputs, keras.tree.flatten(x), strict=True)
    tensors = {id(t): value for t, value in given}
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


def run(
    network: keras.Model,
    x: Any,
    training: bool | None,
    visit: Visit | None = None,
    only: Sequence[str] | None = None,
) -> Any:
    """A `walk` in training or in inference, as `network(x, training=...)`.

    Args:
        network: Functional `keras.Model`.
        x: As for `walk`.
        training: Boolean or `None`, as for `called`.
        visit: As for `walk`. Defaults to `called(training)`.
        only: As for `walk`.
    """
    # As a layer does that is called from outside. (On JAX, where each layer
    # of a walk is, it would be all of them.)
    network._clear_losses()
    return _Running(dtype="float32", autocast=False)(
        x,
        network=network,
        visit=visit or called(training),
        only=only,
        training=training,
    )


class _Running(keras.layers.Layer):
    """By this call, layers within layers learn of `training`.

    On JAX, Keras' trainer runs the `call` of a model and not its `__call__`,
    and so has told nobody.
    """

    def call(
        self,
        x: Any,
        network: Any,
        visit: Any,
        only: Any,
        training: bool | None,
    ) -> Any:
        return walk(network, x, visit, only)


def visit_within(layer: Any, visit: Visit, *args: Any, **kwargs: Any) -> Any:
    """Visit a layer, or what it is made of if it can be walked."""
    if not can_be_walked(layer):
        return visit(layer, *args, **kwargs)
    if hasattr(layer, "walk"):
        return layer.walk(args[0], visit)
    if not isinstance(layer, keras.Sequential):
        return walk(layer, args[0], visit)
    x = args[0]
    for inner in layer.layers:
        x = visit_within(inner, visit, x)
    return x


def can_be_walked(layer: Any) -> bool:
    """Whether a walk through a layer does what its call does.

    It is a functional or sequential model, or a layer with a method `walk`;
    and no subclass has written `call` anew and left the walk behind.
    """
    for kind in type(layer).__mro__:
        if "walk" in vars(kind):
            return True
        if "call" in vars(kind):
            is_keras = kind.__module__.startswith("keras.")
            return is_keras and kind.__name__ in ("Functional", "Sequential")
    return False


def layers(network: keras.Model, kind: Any = object) -> list[Any]:
    """All layers that `walk` visits, in the order of the network, each once.

    Args:
        network: Functional `keras.Model`.
        kind: Class, or tuple of them, of the layers that are wanted. Defaults
            to all.
    """
    found: dict[int, Any] = {}

    def collect(layer: Any, *args: Any, **kwargs: Any) -> Any:
        found[id(layer)] = layer
        return layer.compute_output_spec(*args, **kwargs)

    for node in _nodes(network):
        if can_be_walked(node.operation):
            args, kwargs = node.arguments.args, node.arguments.kwargs
            visit_within(node.operation, collect, *args, **kwargs)
        else:
            found[id(node.operation)] = node.operation
    return [layer for layer in found.values() if isinstance(layer, kind)]


def inner_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """All layers that Keras tracks within one, at any depth."""
    return list(layer._flatten_layers(include_self=False))


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


def _nodes(network: keras.Model) -> list[Any]:
    """The network's nodes in the order of computation, without its input."""
    return [
        node
        for depth in sorted(network._nodes_by_depth, reverse=True)
        for node in network._nodes_by_depth[depth]
        if not node.is_input
    ]


def _needed(steps: list[Any], wanted: list[int]) -> list[Any]:
    """The nodes without which the wanted tensors cannot be had."""
    needed, kept = set(wanted), []
    for node in reversed(steps):
        if any(id(t) in needed for t in node.outputs):
            kept.append(node)
            needed.update(id(t) for t in node.input_tensors)
    return kept[::-1]


def check_network(network: Any) -> keras.Model:
    """Return `network`, or raise a ValueError if it is not one."""
    outputs = getattr(network, "output", None)
    inputs = getattr(network, "inputs", None) or []
    shapes = (
        {k: tuple(v.shape) for k, v in outputs.items()}
        if isinstance(outputs, Mapping)
        else outputs
    )
    if (
        not isinstance(network, keras.Model)
        or not can_be_walked(network)
        or not isinstance(shapes, dict)
        or len(shapes.get(LOGITS, ())) != 3
        or any(len(s) != 5 for k, s in shapes.items() if k != LOGITS)
        or len(inputs) != 1
        or len(inputs[0].shape) not in (4, 5)
    ):
        raise ValueError(
            "`network` must be a functional `keras.Model` from images "
            "[batch, H, W, C] or event frames [batch, T, H, W, C] to a "
            'dictionary {stage name: [batch, T, h, w, c], ..., "logits": '
            "[batch, T, classes]}. To a backbone whose outputs are a "
            "dictionary of stages alone, `TCLModel(backbone, classes)` adds a "
            "classifier; a model with a `call` of its own is to be a layer of "
            "one. (A `TCLModel` has its network as `model.network`.) "
            f"Received: network={network!r} with outputs {shapes}. It has "
            f"{len(inputs)} inputs; of several, make one, with "
            "`keras.ops.split` behind it."
        )
    return network


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
