"""The convolution equals Keras' own layer, whatever computes its gradient."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl.layers import Conv2D
from tests.gradients import value_and_gradient
from tests.layer_checks import run_layer_checks

RNG = np.random.default_rng(0)
on_jax = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="a kernel for JAX"
)


def pair(shape, *args, dtype="float32", **kwargs):
    """Our layer and Keras', with the same weights."""
    layers = [
        layer_class(*args, dtype=dtype, **kwargs)
        for layer_class in (Conv2D, keras.layers.Conv2D)
    ]
    for layer in layers:
        layer.build(shape)
    values = [RNG.normal(size=tuple(v.shape)) for v in layers[0].weights]
    for layer in layers:
        layer.set_weights(values)
    return layers


def gradients(layer, x):
    """Outputs, and the gradient by inputs and by kernel, of a weighted sum."""
    weights = np.random.default_rng(1).normal(
        size=layer.compute_output_shape(x.shape)
    )
    others = [v.value for v in layer.trainable_variables[1:]]

    def objective(x, kernel):
        outputs, _ = layer.stateless_call([kernel, *others], [], x)
        product = ops.cast(outputs, "float32") * ops.cast(weights, "float32")
        return ops.sum(product)

    kernel = ops.convert_to_numpy(ops.stop_gradient(layer.kernel.value))
    inputs = ops.convert_to_tensor(x)
    return (
        ops.convert_to_numpy(ops.stop_gradient(layer(inputs))),
        value_and_gradient(lambda x: objective(x, layer.kernel.value), x)[1],
        value_and_gradient(lambda k: objective(inputs, k), kernel)[1],
    )


@pytest.mark.parametrize(
    "shape, args, options",
    [
        ((4, 8, 8, 3), (5, 3), {"padding": "same"}),
        ((4, 8, 9, 3), (5, 3), {"padding": "valid", "use_bias": False}),
        ((3, 9, 8, 3), (5, 3), {"padding": "same", "strides": 2}),
        ((3, 9, 8, 3), (5, 3), {"padding": "valid", "strides": 2}),
        ((2, 7, 7, 2), (3, (2, 4)), {"padding": "same"}),
        ((7, 5, 5, 4), (6, 1), {"strides": (1, 2)}),
        ((1, 16, 16, 3), (4, 7), {"strides": 2, "padding": "same"}),
        ((2, 6, 6, 4), (4, 3), {"groups": 2}),
        ((2, 6, 6, 4), (4, 3), {"dilation_rate": 2}),
    ],
)
def test_outputs_and_gradients(shape, args, options):
    if "groups" in options and keras.config.backend() == "tensorflow":
        pytest.skip("TensorFlow has no gradient of groups on a CPU")
    x = RNG.normal(size=shape).astype("float32")
    for a, b in zip(
        *(gradients(layer, x) for layer in pair(shape, *args, **options)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@on_jax
@pytest.mark.parametrize("samples", [1, 6, 7])
@pytest.mark.parametrize("block_size", [1, 6 * 6 * 27 * 3, 2**20])
def test_blocks_of_the_batch(monkeypatch, samples, block_size):
    """One sample a block, some, and all; a prime number cannot be parted."""
    from keras_tcl.kernels import jax_convolution

    monkeypatch.setattr(jax_convolution, "BLOCK_SIZE", block_size)
    shape = (samples, 6, 6, 3)
    ours, theirs = pair(shape, 4, 3, padding="same")
    x = RNG.normal(size=shape).astype("float32")
    np.testing.assert_allclose(
        gradients(ours, x)[2], gradients(theirs, x)[2], rtol=1e-4, atol=1e-4
    )


@pytest.mark.skipif(
    keras.config.backend() == "tensorflow",
    reason="TensorFlow 2.21 gives an empty output the shape of the input",
)
def test_batch_of_nothing():
    ours, _ = pair((0, 6, 6, 3), 4, 3, padding="same", strides=2)
    outputs, of_inputs, of_kernel = gradients(
        ours, np.zeros((0, 6, 6, 3), "float32")
    )
    assert outputs.shape == (0, 3, 3, 4) and of_inputs.shape == (0, 6, 6, 3)
    np.testing.assert_array_equal(of_kernel, np.zeros((3, 3, 3, 4)))


@pytest.mark.skipif(
    keras.config.backend() != "torch", reason="a setting of PyTorch"
)
@pytest.mark.parametrize("size, strides", [(3, 1), (3, 2), (1, 2)])
def test_trains_under_autocast(size, strides):
    import torch

    x = RNG.normal(size=(4, 8, 8, 3)).astype("float32")
    results = []
    for layer in pair(x.shape, 5, size, padding="same", strides=strides):
        inputs = torch.tensor(x, requires_grad=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = layer(inputs)
        outputs.float().square().sum().backward()
        results.append((outputs.detach(), inputs.grad, layer.kernel.value.grad))
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(
            ours.numpy(), theirs.numpy(), rtol=0.02, atol=0.1
        )


@on_jax
def test_the_kernel_is_used():
    """No convolution of JAX's own is left where the kernel gradient was."""
    import jax

    layer, theirs = pair((2, 8, 8, 3), 4, 3, padding="same")

    def convolutions(layer):
        def loss(kernel, x):
            return layer.convolution_op(x, kernel).sum()

        compiled = jax.jit(jax.grad(loss)).lower(layer.kernel.value, x)
        return compiled.compile().as_text().count(" convolution(")

    x = np.ones((2, 8, 8, 3), "float32")
    assert (convolutions(layer), convolutions(theirs)) == (0, 1)


@pytest.mark.parametrize(
    "policy, rounding", [("mixed_bfloat16", 2**-7), ("mixed_float16", 2**-9)]
)
def test_half_precision(policy, rounding):
    """The sum over positions does not lose what half precision would."""
    shape = (8, 12, 12, 3)
    half, _ = pair(shape, 4, 3, padding="same", dtype=policy)
    whole, _ = pair(shape, 4, 3, padding="same")
    half.set_weights(whole.get_weights())
    x = RNG.normal(size=shape).astype("float32")
    a, b = gradients(half, x)[2], gradients(whole, x)[2]
    assert a.dtype == "float32"
    assert np.abs(a - b).max() <= 2 * rounding * np.abs(b).max()


def test_channels_first():
    if keras.config.backend() == "tensorflow":
        pytest.skip("TensorFlow has no channels first on a CPU")
    layer = Conv2D(4, 3, data_format="channels_first")
    assert tuple(layer(np.ones((2, 3, 6, 6), "float32")).shape) == (2, 4, 4, 4)


def test_layer(tmp_path):
    run_layer_checks(
        Conv2D,
        {"filters": 4, "kernel_size": 3, "padding": "same"},
        input_shape=(2, 6, 6, 3),
        expected_output_shape=(2, 6, 6, 4),
        expected_weights=2,
        folder=tmp_path,
    )
