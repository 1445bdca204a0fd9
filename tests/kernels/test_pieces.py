"""A batch in pieces: the outputs and the gradient of all of it at once."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import kernels
from tests.gradients import value_and_gradients

BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 4)).astype("float32")
KERNEL = RNG.normal(size=(4, 3)).astype("float32")
BIAS = RNG.normal(size=3).astype("float32")


def layer(x, weights, state):
    """Two outputs, and a state that counts pieces and changes the second."""
    kernel, bias = weights
    (number,) = state
    y = ops.tanh(ops.matmul(x, kernel) + bias)
    outputs = {"y": y, "z": [y * (1.0 + 0.0 * number), ops.square(x)]}
    return outputs, [number + 1.0]


def contrast(outputs):
    """A loss of all rows with one another."""
    y = outputs["y"]
    z, squares = outputs["z"]
    return ops.sum(ops.exp(ops.matmul(y, ops.transpose(z)))) + ops.sum(squares)


def in_one(x, kernel, bias):
    outputs, _ = layer(x, [kernel, bias], [ops.zeros(())])
    return contrast(outputs)


def in_pieces_of(size):
    def loss(x, kernel, bias):
        outputs, _ = kernels.recomputed(
            layer, x, [kernel, bias], [ops.zeros(())], size
        )
        return contrast(outputs)

    return loss


@pytest.mark.parametrize("compiled", [False, True])
# The last piece: whole, smaller, the only one, and smaller than a piece.
@pytest.mark.parametrize("size, rows", [(2, 6), (3, 7), (7, 7), (9, 7), (1, 3)])
def test_gradient_is_that_of_all_at_once(size, rows, compiled):
    if BACKEND == "torch" and compiled:
        pytest.skip("it compiles nothing")
    arrays = [X[:rows], KERNEL, BIAS]
    value, gradients = value_and_gradients(in_one, arrays)
    if BACKEND == "tensorflow":  # Which has no gradient of the rows there.
        import tensorflow as tf

        def run(x, *weights):
            with tf.GradientTape() as tape:
                tape.watch(weights)
                loss = in_pieces_of(size)(x, *weights)
            return loss, tape.gradient(loss, weights)

        # Of an unknown number of rows, as Keras has it; under XLA, of these.
        some = tf.TensorSpec((None, 4), "float32")
        specs = [some, *map(tf.convert_to_tensor, arrays[1:])]
        if compiled:
            run = tf.function(run, jit_compile=True)
        else:
            run = tf.function(run).get_concrete_function(
                *[
                    tf.TensorSpec.from_tensor(s) if ops.is_tensor(s) else s
                    for s in specs
                ]
            )
        found, of_weights = run(*map(tf.constant, arrays))
        got = [gradients[0], *(g.numpy() for g in of_weights)]
        found = found.numpy()
    else:
        found, got = value_and_gradients(
            in_pieces_of(size), arrays, compiled=compiled
        )
    np.testing.assert_allclose(found, value, rtol=1e-5)
    for a, b in zip(got, gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_state_goes_from_piece_to_piece_and_no_gradient_goes_back():
    def last(kernel):
        outputs, (state,) = kernels.recomputed(
            lambda x, w, s: (
                s[0] + ops.matmul(x, w[0]),
                [s[0] + ops.sum(w[0])],
            ),
            ops.convert_to_tensor(X),
            [kernel],
            [ops.convert_to_tensor(1.0)],
            3,
        )
        return ops.sum(outputs) + state

    value, gradients = value_and_gradients(last, [KERNEL])
    states = 1.0 + KERNEL.sum() * np.arange(4)
    expected = (X @ KERNEL).sum() + 3 * states[:3] @ [3, 3, 1] + states[3]
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    by_hand = np.repeat(X.sum(0)[:, None], 3, axis=1)
    np.testing.assert_allclose(gradients[0], by_hand, rtol=1e-4)


@pytest.mark.skipif(BACKEND != "torch", reason="its random numbers")
def test_both_passes_draw_the_same_numbers():
    import torch

    drawn = []

    def noisy(x, weights, state):
        drawn.append(torch.rand(()).item())
        return x * weights[0] * drawn[-1], state

    weight = torch.ones((), requires_grad=True)
    outputs, _ = kernels.recomputed(noisy, torch.ones(5, 1), [weight], [], 2)
    after = torch.get_rng_state()
    outputs.sum().backward()
    assert drawn[:3] == drawn[3:] and len(set(drawn)) == 3
    assert weight.grad.item() == pytest.approx(
        2 * drawn[0] + 2 * drawn[1] + drawn[2]
    )
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.skipif(BACKEND != "torch", reason="compiled elsewhere")
def test_one_piece_at_a_time_is_kept():
    import gc
    import weakref

    import torch

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            kept = x.clone()
            alive.append(weakref.ref(kept))
            ctx.save_for_backward(kept)
            counts.append(sum(each() is not None for each in alive))
            return x.square()

        @staticmethod
        def backward(ctx, gradient):
            return 2 * ctx.saved_tensors[0] * gradient

    def squared(x, weights, state):
        return Square.apply(x * weights[0]), state

    alive, counts = [], []
    gc.collect()
    weight = torch.ones((), requires_grad=True)
    outputs, _ = kernels.recomputed(squared, torch.ones(8, 1), [weight], [], 2)
    outputs.sum().backward()
    assert len(counts) == 8 and max(counts) == 1
    assert weight.grad.item() == pytest.approx(16.0)


def test_pieces_carry_on():
    """Without a gradient."""

    def step(x, carry):
        return {"twice": 2 * x}, carry + ops.sum(x)

    outputs, total = kernels.in_pieces(
        step, ops.convert_to_tensor(X), ops.convert_to_tensor(1.0), 3
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs["twice"]), 2 * X, rtol=1e-6
    )
    assert float(total) == pytest.approx(1 + X.sum(), rel=1e-5)
