"""The neuron's forward and backward pass, on both sides of UNROLL_LIMIT."""

import keras
import ml_dtypes
import numpy as np
import pytest
from keras import ops

from keras_tcl import kernels, surrogates
from keras_tcl.kernels import UNROLL_LIMIT
from tests.kernels import reference
from tests.kernels.reference import BACKEND, output_and_gradient, to_numpy
from tests.surrogates import closed_forms

SHORT, LONG = 4, 20
assert SHORT <= UNROLL_LIMIT < LONG

DEFAULTS = {
    "decay": 0.5,
    "threshold": 1.0,
    "reset": "hard",
    "detach_reset": False,
    "surrogate": "triangle",
}
both_loops = pytest.mark.parametrize("timesteps", [SHORT, LONG])
both_resets = pytest.mark.parametrize("reset", ["hard", "soft"])


def on_grid(shape, seed=0):
    """Multiples of 1/64 in [-0.5, 2): exact in bfloat16, about half fire.

    With a decay of 0.5 the potentials are exact in float32 as well, for as
    long as a neuron is silent no longer than 17 steps.
    """
    rng = np.random.default_rng(seed)
    return rng.integers(-32, 128, shape) / 64


def lif(**settings):
    """`kernels.lif` with settings, as a function of its input alone."""
    settings = {**DEFAULTS, **settings}
    settings["surrogate"] = surrogates.get(settings["surrogate"])
    return lambda x: kernels.lif(x, **settings)


def spikes_of(x, decay=0.5, threshold=1.0, reset="hard"):
    """`kernels.lif_forward` as NumPy, the quickest way."""

    def forward(x):
        return kernels.lif_forward(x, decay, threshold, reset)

    if BACKEND == "jax":
        import jax

        forward = jax.jit(forward)
    return to_numpy(forward(ops.convert_to_tensor(x, dtype="float32")))


def check(x, dtype="float32", compiled=BACKEND == "jax", **settings):
    """Compare spikes and gradient with the float64 reference."""
    settings = {**DEFAULTS, **settings}
    upstream = on_grid(x.shape, seed=1) - 0.5
    decay, threshold, reset, detach_reset, surrogate = settings.values()
    derivative = closed_forms.BY_NAME[surrogate]
    potentials, expected = reference.lif(x, decay, threshold, reset)
    gradient = reference.lif_gradient(
        x, upstream, decay, threshold, reset, detach_reset, derivative
    )
    # The comparison means something only where rounding cannot flip a spike,
    # or jump over the edge of the rectangle.
    edges = (0.0, -0.5, 0.5) if surrogate == "rectangle" else (0.0,)
    for edge in edges:
        distance = np.abs(potentials - threshold - edge)
        assert distance[distance > 0].min(initial=1) > 1e-5

    spikes, actual = output_and_gradient(
        lif(**settings), x, upstream, dtype, compiled
    )
    assert keras.backend.standardize_dtype(spikes.dtype) == dtype
    assert keras.backend.standardize_dtype(actual.dtype) == dtype
    np.testing.assert_array_equal(to_numpy(spikes), expected)
    np.testing.assert_allclose(
        to_numpy(actual),
        gradient,
        # One rounding to 8 bits of mantissa, after float32 arithmetic.
        rtol=2.0**-8 if dtype == "bfloat16" else 1e-5,
        atol=2e-6,
    )
    return expected


# --- Against the float64 reference -------------------------------------------


@pytest.mark.parametrize("detach_reset", [False, True])
@both_resets
@pytest.mark.parametrize(
    "timesteps, dtype",
    [
        *((t, dtype) for t in (1, 4, 128) for dtype in ("float32", "bfloat16")),
        (UNROLL_LIMIT, "float32"),
        (UNROLL_LIMIT + 1, "float32"),
    ],
)
def test_spikes_and_gradient(timesteps, reset, detach_reset, dtype):
    # On JAX the quickest way: the unrolled steps' operations are compiled once
    # for all cases, a scan in every case anew.
    spikes = check(
        on_grid((2, timesteps, 5)),
        dtype,
        compiled=BACKEND == "jax" and timesteps > UNROLL_LIMIT,
        reset=reset,
        detach_reset=detach_reset,
    )
    assert 0.2 < spikes.mean() < 0.8


@both_loops
@pytest.mark.parametrize("trailing", [(), (3, 2), (2, 2, 3), (0,)], ids=str)
def test_ranks(timesteps, trailing):
    check(on_grid((2, timesteps, *trailing), seed=2))


@both_loops
@pytest.mark.parametrize("surrogate", closed_forms.BY_NAME)
def test_surrogates(timesteps, surrogate):
    check(on_grid((2, timesteps, 5), seed=3), surrogate=surrogate)


@both_resets
@pytest.mark.parametrize(
    "decay, threshold, timesteps",
    [(0.0, 1.0, SHORT), (1.0, 1.0, LONG), (0.9, 0.7, LONG), (0.25, 1.5, SHORT)],
)
def test_decay_and_threshold(decay, threshold, timesteps, reset):
    x = np.random.default_rng(4).uniform(-0.5, 2, (2, timesteps, 5))
    x = x.astype("float32")
    check(x, decay=decay, threshold=threshold, reset=reset)


# --- By hand -----------------------------------------------------------------


@pytest.mark.parametrize(
    "reset, detach_reset, gradient",
    [
        # h = 0.75, 1.125 (spike), 0.5; slopes 0.75, 0.875, 0.5.
        ("hard", False, [0.8875732421875, 0.62890625, 0.5]),
        ("hard", True, [1.1875, 0.875, 0.5]),
        # The same but h_3 = 0.5625, and its slope.
        ("soft", False, [0.86376953125, 0.91015625, 0.5625]),
        ("soft", True, [1.328125, 1.15625, 0.5625]),
    ],
)
def test_three_steps_by_hand(reset, detach_reset, gradient):
    x = np.array([[0.75, 0.75, 0.5]])
    spikes, actual = output_and_gradient(
        lif(reset=reset, detach_reset=detach_reset), x, np.ones_like(x)
    )
    np.testing.assert_array_equal(to_numpy(spikes), [[0, 1, 0]])
    np.testing.assert_array_equal(to_numpy(actual), [gradient])


@both_loops
def test_the_threshold_itself_fires(timesteps):
    x = np.full((1, timesteps, 2), [1.0, np.nextafter(1, 0, dtype="float32")])
    np.testing.assert_array_equal(
        spikes_of(x, decay=0.0), np.tile([1.0, 0.0], (1, timesteps, 1))
    )


@both_loops
def test_soft_reset_keeps_the_excess_and_hard_reset_drops_it(timesteps):
    x = np.zeros((1, timesteps))
    x[0, 0] = 3.0
    assert spikes_of(x, decay=1.0, reset="hard").sum() == 1
    assert spikes_of(x, decay=1.0, reset="soft").sum() == 3


@both_loops
def test_without_decay_no_step_hears_of_another(timesteps):
    x = on_grid((2, timesteps, 3))
    upstream = np.zeros_like(x)
    upstream[:, 2] = 1.0
    _, gradient = output_and_gradient(lif(decay=0.0), x, upstream)
    gradient = to_numpy(gradient)
    assert np.any(gradient[:, 2] != 0)
    np.testing.assert_array_equal(np.delete(gradient, 2, axis=1), 0.0)


@both_loops
def test_gradient_is_causal(timesteps):
    x = on_grid((2, timesteps, 3))
    upstream = np.zeros_like(x)
    upstream[:, 2] = 1.0
    _, gradient = output_and_gradient(lif(), x, upstream)
    gradient = to_numpy(gradient)
    np.testing.assert_array_equal(gradient[:, 3:], 0.0)
    assert all(np.any(gradient[:, t] != 0) for t in range(3))


@both_loops
@both_resets
def test_outside_of_the_surrogate_no_gradient_flows(timesteps, reset):
    # Silent and far below the threshold, where the rectangle is zero.
    x = np.full((1, timesteps, 2), -1.0)
    _, gradient = output_and_gradient(
        lif(reset=reset, surrogate="rectangle"), x, np.ones_like(x)
    )
    np.testing.assert_array_equal(to_numpy(gradient), 0.0)


# --- Precision ---------------------------------------------------------------


@pytest.mark.parametrize("timesteps", [5, LONG])
@pytest.mark.parametrize(
    "dtype, numpy_dtype",
    [("bfloat16", ml_dtypes.bfloat16), ("float16", np.float16)],
)
def test_the_potential_is_float32(dtype, numpy_dtype, timesteps):
    """A charge too small for 16 bits still adds up to a spike."""
    unit = float(ml_dtypes.finfo(numpy_dtype).eps) / 2
    x = np.full((1, timesteps), unit / 4)
    x[0, 0] = 1 - unit
    narrow = numpy_dtype(0)
    for x_t in x[0]:
        narrow = numpy_dtype(narrow + numpy_dtype(x_t))
        assert narrow < 1  # 16-bit arithmetic never reaches the threshold.
    spikes, gradient = output_and_gradient(
        lif(decay=1.0), x, np.ones_like(x), dtype
    )
    expected = np.zeros((1, timesteps))
    expected[0, 4] = 1.0
    np.testing.assert_array_equal(to_numpy(spikes), expected)
    for tensor in (spikes, gradient):
        assert keras.backend.standardize_dtype(tensor.dtype) == dtype
    assert np.isfinite(to_numpy(gradient)).all()


# --- Not a number, infinity, nothing -----------------------------------------


@both_loops
@both_resets
def test_nan_never_fires_and_stays_in_its_neuron(timesteps, reset):
    x = np.full((1, timesteps, 2), 1.5, "float32")
    x[0, 1, 0] = np.nan
    spikes = spikes_of(x, reset=reset)
    np.testing.assert_array_equal(spikes[0, :, 0], np.arange(timesteps) < 1)
    np.testing.assert_array_equal(spikes[0, :, 1], 1.0)


@both_loops
def test_infinite_input_fires(timesteps):
    x = np.zeros((1, timesteps, 2), "float32")
    x[0, 0] = [np.inf, -np.inf]
    spikes = spikes_of(x)
    np.testing.assert_array_equal(spikes[0, :, 0], np.arange(timesteps) < 1)
    np.testing.assert_array_equal(spikes[0, :, 1], 0.0)


@both_loops
@both_resets
def test_fires_on_after_an_infinite_input(timesteps, reset):
    """A hard reset forgets it; a soft one takes 1 from infinity."""
    x = np.zeros((1, timesteps, 2), "float32")
    x[0, 0] = np.inf
    x[0, 2:, 1] = 2.0
    spikes = spikes_of(x, reset=reset)
    if reset == "soft":
        np.testing.assert_array_equal(spikes, 1.0)
    else:
        steps = np.arange(timesteps)
        np.testing.assert_array_equal(spikes[0, :, 0], steps < 1)
        np.testing.assert_array_equal(spikes[0, :, 1], steps != 1)


@pytest.mark.skipif(BACKEND != "torch", reason="a setting of PyTorch")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_pytorchs_default_dtype_is_not_that_of_the_potential(dtype):
    import torch

    x = np.random.default_rng(0).normal(0.3, 1, (40, SHORT, 50))
    upstream = np.random.default_rng(1).normal(size=x.shape)

    def results():
        inputs = torch.tensor(x, dtype=torch.float32, requires_grad=True)
        spikes = lif()(inputs)
        gradient = torch.tensor(upstream, dtype=torch.float32)
        spikes.backward(gradient)
        return spikes.detach().numpy(), inputs.grad.numpy()

    expected = results()
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        received = results()
    finally:
        torch.set_default_dtype(before)
    for a, b in zip(received, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@both_loops
def test_empty_batch(timesteps):
    x = np.zeros((0, timesteps, 3))
    spikes, gradient = output_and_gradient(lif(), x, x)
    assert tuple(spikes.shape) == tuple(gradient.shape) == x.shape


# --- Against the portable version ---------------------------------------------


@pytest.mark.skipif(BACKEND != "torch", reason="others use the portable one")
@pytest.mark.parametrize("detach_reset", [False, True])
@both_resets
@pytest.mark.parametrize("surrogate", closed_forms.BY_NAME)
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 20, 70000), (40, 4, 30000)])
def test_blocks_equal_the_portable_version(
    shape, surrogate, reset, detach_reset
):
    """Also where the batch, or one sample, is worked on in several parts."""
    import torch

    from keras_tcl.kernels import portable_lif

    settings = (0.7, 0.9, reset, detach_reset, surrogates.get(surrogate))
    x, upstream = (torch.randn(shape) + shift for shift in (0.3, 0.0))
    results = []
    for function in (kernels.lif, portable_lif.lif):
        inputs = x.clone().requires_grad_()
        spikes = function(inputs, *settings)
        spikes.backward(upstream)
        results.append((spikes.detach().numpy(), inputs.grad.numpy()))
    (spikes, gradient), (expected_spikes, expected_gradient) = results
    # A potential within rounding of the threshold, or of an edge of the
    # rectangle, may fall on either side.
    same = np.all(spikes == expected_spikes, axis=1)
    assert same.mean() > 0.9999
    difference = np.abs(gradient - expected_gradient).max(axis=1)
    assert (difference[same] < 1e-4).mean() > 0.9999


# --- Forward alone -----------------------------------------------------------


@both_resets
@both_loops
def test_forward_alone_gives_the_same_spikes(timesteps, reset):
    x = on_grid((2, timesteps, 5))
    _, expected = reference.lif(x, 0.5, 1.0, reset)
    np.testing.assert_array_equal(spikes_of(x, reset=reset), expected)


# --- Compiled ----------------------------------------------------------------


@pytest.mark.parametrize("timesteps", [4, 128])
@pytest.mark.parametrize("compiled", [False, True])
def test_eager_and_compiled(compiled, timesteps):
    if compiled and BACKEND == "torch":
        pytest.skip("Keras runs PyTorch eagerly")
    check(on_grid((3, timesteps, 4)), compiled=compiled)


@pytest.mark.skipif(
    BACKEND == "torch", reason="a scan is a Python loop in PyTorch"
)
def test_program_does_not_grow_with_many_steps():
    sizes = {t: program_size(t) for t in (2, 4, 32, 128)}
    assert sizes[32] == sizes[128]
    assert sizes[2] < sizes[4]  # Unrolled, or the count counts nothing.


def program_size(timesteps):
    """Operations in the traced forward and backward pass."""
    run = reference.with_gradient(lif())
    shape = (2, timesteps, 3)
    if BACKEND == "jax":
        import jax

        x = jax.ShapeDtypeStruct(shape, "float32")
        return str(jax.make_jaxpr(run)(x, x)).count(" = ")
    import tensorflow as tf

    x = tf.TensorSpec((None, *shape[1:]), "float32")
    graph = tf.function(run).get_concrete_function(x, x).graph.as_graph_def()
    return len(graph.node) + sum(
        len(function.node_def) for function in graph.library.function
    )
