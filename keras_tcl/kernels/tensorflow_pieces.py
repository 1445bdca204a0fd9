"""Gradient caching on TensorFlow: in a graph, both passes are `while` loops."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_tcl.kernels import portable_pieces
from keras_tcl.kernels.portable_pieces import Step, rows


def in_pieces(step: Step, x: Any, carry: Any, size: int) -> tuple[Any, Any]:
    """As `keras_tcl.kernels.in_pieces`."""
    if tf.executing_eagerly():
        return portable_pieces.in_pieces(step, x, carry, size)

    def named(x: Any, carry: Any) -> tuple[Any, Any]:
        # Of a graph of its own, where Keras' names of layers need a root.
        with tf.name_scope("piece"):
            return step(x, carry)

    # Traced once, for whole pieces and for what is left.
    traced = tf.function(named, autograph=False).get_concrete_function(
        keras.tree.map_structure(_of_any_rows, x),
        keras.tree.map_structure(tf.TensorSpec.from_tensor, carry),
    )
    run = _Run(traced, x, carry)
    count = tf.shape(run.x[0])[0] // size
    outputs, after = run.whole_pieces(count, size)
    # One after the other, or both would be in memory.
    with tf.control_dependencies([*outputs, *after]):
        more, after = run.rest(count * size, after)
    outputs = [tf.concat(pair, 0) for pair in zip(outputs, more, strict=True)]
    return run.packed(outputs, after)


def recomputed(
    function: Callable[..., Any],
    x: tf.Tensor,
    weights: list[tf.Tensor],
    state: list[tf.Tensor],
    size: int,
) -> tuple[Any, list[tf.Tensor]]:
    """As `keras_tcl.kernels.recomputed`."""
    structure: Any = None

    @tf.custom_gradient
    def run(x: Any, *given: Any) -> tuple[Any, Any]:
        nonlocal structure
        # Cut off: a tape outside would keep what the first pass makes.
        x, *cut = map(tf.stop_gradient, (x, *given))
        weights, state = cut[:trained], cut[trained:]

        def step(x: Any, state: Any) -> tuple[Any, Any]:
            return function(x, weights, state)

        def backward(*gradients: Any) -> list[Any]:
            # The second pass is not to begin beside the first.
            with tf.control_dependencies(gradients):
                again = tf.identity(x)
            outputs = keras.tree.flatten(structure[0])
            sums = _gradients(
                function,
                (again, list(gradients[: len(outputs)])),
                weights,
                state,
                size,
            )
            return [None, *sums, *[None] * len(state)]

        structure = in_pieces(step, x, state, size)
        return keras.tree.flatten(structure), backward

    trained = len(weights)
    flat = run(x, *weights, *state)
    return keras.tree.pack_sequence_as(structure, flat)


def _gradients(
    function: Callable[..., Any],
    pieces: tuple[Any, list[Any]],
    weights: list[Any],
    state: list[Any],
    size: int,
) -> list[Any]:
    """Gradients of the weights, by rows and their outputs' gradients."""

    def step(piece: Any, carry: Any) -> tuple[Any, Any]:
        x, gradients = piece
        weights, state, sums = carry
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs, state = function(x, weights, state)
        found = tape.gradient(
            keras.tree.flatten(outputs),
            weights,
            gradients,
            unconnected_gradients="zero",
        )
        sums = [a + b for a, b in zip(sums, found, strict=True)]
        return (), (weights, state, sums)

    carry = weights, state, [tf.zeros_like(w) for w in weights]
    _, (_, _, sums) = in_pieces(step, pieces, carry, size)
    return sums


class _Run:
    """A traced step on its way over rows, all in flat lists of tensors."""

    def __init__(self, traced: Any, x: Any, carry: Any) -> None:
        self.traced = traced
        self.structure = x, carry
        self.x, self.carry = keras.tree.flatten(x), keras.tree.flatten(carry)
        self.made, _ = traced.structured_outputs
        self.specs = keras.tree.flatten(self.made)

    def step(self, x: list[Any], carry: list[Any]) -> tuple[list, list]:
        pack = keras.tree.pack_sequence_as
        given = zip(self.structure, (x, carry), strict=True)
        made, carry = self.traced(*(pack(*pair) for pair in given))
        return keras.tree.flatten(made), keras.tree.flatten(carry)

    def packed(self, made: list[Any], carry: list[Any]) -> tuple[Any, Any]:
        pack = keras.tree.pack_sequence_as
        return pack(self.made, made), pack(self.structure[1], carry)

    def whole_pieces(self, count: Any, size: int) -> tuple[list, list]:
        """Outputs of `count` pieces of `size` rows, and what is carried."""
        # One piece at least, for XLA, which the loop then does not come to.
        room = tf.maximum(count, 1)
        pieces = [
            tf.reshape(
                tf.concat(
                    [
                        a[: count * size],
                        tf.zeros(
                            ((room - count) * size, *a.shape[1:]), a.dtype
                        ),
                    ],
                    0,
                ),
                (room, size, *a.shape[1:]),
            )
            for a in self.x
        ]
        made = [
            tf.TensorArray(s.dtype, room, element_shape=(size, *s.shape[1:]))
            for s in self.specs
        ]

        def body(i: Any, made: Any, carry: Any) -> tuple[Any, Any, Any]:
            outputs, carry = self.step([a[i] for a in pieces], carry)
            pairs = zip(made, outputs, strict=True)
            return i + 1, [a.write(i, y) for a, y in pairs], carry

        _, made, carry = tf.while_loop(
            lambda i, *_: i < count,
            body,
            (tf.constant(0), made, self.carry),
            parallel_iterations=1,
        )
        stacked = [a.stack()[:count] for a in made]
        return [tf.reshape(a, (-1, *a.shape[2:])) for a in stacked], carry

    def rest(self, start: Any, carry: list[Any]) -> tuple[list, list]:
        """Outputs of the rows behind the whole pieces, if there are some."""
        left = rows(self.x, start, None)
        number = tf.shape(left[0])[0]

        def nothing() -> tuple[list, list]:
            # Of as many rows as there are, for XLA.
            made = [
                tf.zeros((number, *s.shape[1:]), s.dtype) for s in self.specs
            ]
            return made, carry

        return tf.cond(number > 0, lambda: self.step(left, carry), nothing)


def _of_any_rows(x: Any) -> tf.TensorSpec:
    return tf.TensorSpec((None, *x.shape[1:]), x.dtype)
