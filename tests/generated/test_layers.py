"""Layers equal NumPy in float64, at any shape and setting."""

import hypothesis
import keras
import numpy as np
from hypothesis import strategies as st
from keras import ops

from keras_tcl import layers, surrogates
from tests.generated.calls import assert_refused, calls
from tests.kernels import reference
from tests.neurons import AdaptiveLIF, adaptive_lif
from tests.surrogates import closed_forms

# Few, for JAX and TensorFlow compile anew for each.
SEQUENCES = [(2, 3, 4), (1, 1, 1), (3, 2), (2, 18, 2), (1, 4, 2, 2, 3)]
NAMES = sorted(closed_forms.BY_NAME)
# Multiples of 1/8: all sums and halves of them are exact in float32.
EXACT = st.integers(-16, 24).map(lambda n: n / 8)

seeds = st.integers(0, 2**32 - 1)


def to_numpy(tensor):
    return ops.convert_to_numpy(ops.cast(tensor, "float32"))


def currents(shape, seed, exact):
    """Input of neurons, in float32; exact ones meet thresholds exactly."""
    rng = np.random.default_rng(seed)
    if exact:
        return rng.integers(-8, 17, shape).astype("float32") / 8
    return rng.normal(0.4, 0.8, shape).astype("float32")


neuron_settings = st.one_of(
    st.fixed_dictionaries(
        {
            "exact": st.just(True),
            "decay": st.sampled_from([0.0, 0.5, 1.0]),
            "threshold": st.sampled_from([0.125, 0.5, 1.0, 2.0]),
        }
    ),
    st.fixed_dictionaries(
        {
            "exact": st.just(False),
            "decay": st.floats(0, 1),
            "threshold": st.floats(0.05, 3),
        }
    ),
)


@calls(
    900,
    shape=st.sampled_from(SEQUENCES),
    seed=seeds,
    settings=neuron_settings,
    reset=st.sampled_from(["hard", "soft"]),
    kind=st.sampled_from(["LIF", "IF", "PLIF", "step"]),
    training=st.sampled_from([None, True, False]),
)
def test_neurons_follow_their_recurrence(
    shape, seed, settings, reset, kind, training
):
    decay, threshold = settings["decay"], settings["threshold"]
    exact = settings["exact"]
    x = currents(shape, seed, exact)
    if kind == "IF":
        decay, layer = 1.0, layers.IF(threshold, reset)
    elif kind == "PLIF":
        decay = min(max(decay, 0.01), 0.99)
        layer = layers.PLIF(decay, threshold, reset)
        exact = False  # The sigmoid of a logarithm is not.
    else:
        layer = layers.LIF(decay, threshold, reset)
    if kind == "step":
        state = layer.resting_state((shape[0], *shape[2:]))
        spikes = []
        for t in range(shape[1]):
            s, state = layer.advance(
                ops.convert_to_tensor(x[:, t]), state, training
            )
            spikes.append(to_numpy(s))
        result = np.stack(spikes, axis=1)
    else:
        result = to_numpy(layer(x, training=training))
    potentials, expected = reference.lif(x, decay, threshold, reset)
    far = np.abs(potentials - threshold) > (-1 if exact else 1e-4)
    # From where one may fire or not, the rest of its sequence is open.
    known = np.logical_and.accumulate(far, axis=1)
    np.testing.assert_array_equal(result[known], expected[known])
    assert set(np.unique(result)) <= {0.0, 1.0}


@calls(
    500,
    shape=st.sampled_from(SEQUENCES[:4]),
    seed=seeds,
    settings=neuron_settings,
    reset=st.sampled_from(["hard", "soft"]),
    detach=st.booleans(),
    surrogate=st.sampled_from(NAMES),
)
def test_gradients_follow_the_recurrence(
    shape, seed, settings, reset, detach, surrogate
):
    decay, threshold = settings["decay"], settings["threshold"]
    x = currents(shape, seed, settings["exact"])
    upstream = np.random.default_rng(seed + 1).normal(size=shape)
    potentials, spikes = reference.lif(x, decay, threshold, reset)
    v = np.abs(potentials - threshold)
    # The rectangle jumps at 1/2, and everything where a neuron fires.
    near = v < 1e-4
    if surrogate == "rectangle":
        near |= np.abs(v - 0.5) < 1e-4
    layer = layers.LIF(decay, threshold, reset, detach, surrogate)
    result, gradient = reference.output_and_gradient(
        lambda x: layer(x, training=True),
        x,
        upstream.astype("float32"),
        compiled=False,
    )
    expected = reference.lif_gradient(
        x,
        upstream,
        decay,
        threshold,
        reset,
        detach,
        closed_forms.BY_NAME[surrogate],
    )
    known = np.broadcast_to(~near.any(axis=1, keepdims=True), shape)
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_array_equal(
        reference.to_numpy(result)[known], spikes[known]
    )
    np.testing.assert_allclose(
        reference.to_numpy(gradient)[known],
        expected[known],
        rtol=1e-3,
        atol=1e-4 * scale,
    )


@calls(100, shape=st.sampled_from(SEQUENCES[:2]), seed=seeds)
def test_an_own_neuron_is_its_step(shape, seed):
    x = currents(shape, seed, False)
    layer = AdaptiveLIF()
    layer.build(shape)
    rise = np.random.default_rng(seed).uniform(0.1, 1, shape[-1])
    layer.rise.assign(rise.astype("float32"))
    expected, distances, _, _ = adaptive_lif(x, rise, np.zeros(shape))
    known = np.logical_and.accumulate(distances > 1e-4, axis=1)
    result = to_numpy(layer(x, training=False))
    np.testing.assert_array_equal(result[known], expected[known])


@calls(
    200,
    name=st.sampled_from(NAMES),
    # TensorFlow's threads take subnormal numbers for 0.
    values=st.lists(
        st.floats(width=32, allow_subnormal=False), min_size=4, max_size=4
    ),
)
def test_spike_is_the_step_function(name, values):
    v = np.array(values, "float32")
    result = to_numpy(surrogates.spike(ops.convert_to_tensor(v), name))
    np.testing.assert_array_equal(result, (v >= 0).astype("float32"))
    slope = to_numpy(surrogates.get(name)(ops.convert_to_tensor(v)))
    small = np.abs(v) < 1e6
    if name == "rectangle":
        small &= np.abs(np.abs(v) - 0.5) > 1e-6
    np.testing.assert_allclose(
        slope[small],
        closed_forms.BY_NAME[name](v[small].astype("float64")),
        rtol=1e-3,
        atol=1e-6,
    )
    infinite = np.isinf(v)
    np.testing.assert_array_equal(slope[infinite], 0)


@calls(
    150,
    seed=seeds,
    reset=st.sampled_from(["hard", "soft"]),
    bad=st.sampled_from([np.nan, -np.inf]),
    place=st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 3)),
)
def test_a_neuron_of_nan_is_silent_and_alone(seed, reset, bad, place):
    x = currents((2, 3, 4), seed, True)
    _, expected = reference.lif(x, 0.5, 1.0, reset)
    x[place] = bad
    for training in (True, False):
        result = to_numpy(layers.LIF(reset=reset)(x, training=training))
        sample, step, neuron = place
        np.testing.assert_array_equal(result[sample, step:, neuron], 0)
        result[sample, step:, neuron] = expected[sample, step:, neuron]
        np.testing.assert_array_equal(result, expected)


@calls(
    150,
    shape=st.sampled_from(
        [(), (3,), (2, 0), (2, 0, 3), (0, 2), (0, 2, 3), (2, 2, 0), (2, 3, 4)]
    ),
    kind=st.sampled_from(
        ["LIF", "IF", "PLIF", "EachStep", "Classifier", "ProjectionHead"]
    ),
)
def test_a_shape_without_time_is_refused(shape, kind):
    makers = {
        "EachStep": lambda: layers.EachStep(keras.layers.Dense(5)),
        "Classifier": lambda: layers.Classifier(5),
        "ProjectionHead": lambda: layers.ProjectionHead(5),
    }
    layer = makers.get(kind, lambda: getattr(layers, kind)())()
    x = np.ones(shape, "float32")
    ranks = {"EachStep": (3,), "Classifier": (5,), "ProjectionHead": (3,)}
    is_neuron = kind not in makers
    if is_neuron:
        good = len(shape) >= 2 and shape[1] > 0
    else:
        good = len(shape) in ranks[kind] and shape[-1] > 0
    if not good and not (kind == "EachStep" and len(shape) == 3):
        # No features are Keras' own matter.
        hypothesis.assume(is_neuron or len(shape) != 3)
        assert_refused(lambda: layer(x), "Received", str(shape))
    elif good:
        expected = shape if is_neuron else (*shape[:-1], 5)
        assert tuple(layer(x).shape) == expected


@calls(
    250,
    seed=seeds,
    connection=st.sampled_from(["add", "and", "iand"]),
    shapes=st.sampled_from(
        [
            [(2, 3)] * 2,
            [(2, 3), (3, 2)],
            [(2, 3)],
            [(2, 3)] * 3,
            [(4, 2, 2)] * 2,
        ]
    ),
)
def test_spikes_are_joined(seed, connection, shapes):
    rng = np.random.default_rng(seed)
    spikes = [rng.integers(0, 3, shape).astype("float32") for shape in shapes]
    layer = layers.SpikeElementWise(connection)
    if len(shapes) != 2 or shapes[0] != shapes[1]:
        assert_refused(lambda: layer(spikes))
        return
    s, i = spikes
    expected = {"add": s + i, "and": s * i, "iand": i - i * s}[connection]
    np.testing.assert_array_equal(to_numpy(layer(spikes)), expected)


@calls(
    250,
    seed=seeds,
    training=st.booleans(),
    kind=st.sampled_from(["plain", "threshold"]),
    alpha=st.floats(0.1, 3),
    momentum=st.floats(0, 1),
    scaled=st.tuples(st.booleans(), st.booleans()),
    offset=st.sampled_from([0.0, 100.0]),
)
def test_batches_are_normalized(
    seed, training, kind, alpha, momentum, scaled, offset
):
    rng = np.random.default_rng(seed)
    shape = (2, 3, 2, 2, 4)
    x = rng.normal(offset, 2, shape).astype("float32")
    options = {"scale": scaled[0], "center": scaled[1], "momentum": momentum}
    factor = 1.0
    if kind == "plain":
        layer = layers.BatchNormalization(epsilon=1e-5, **options)
    else:
        factor = alpha * 0.5
        layer = layers.ThresholdDependentBatchNormalization(
            alpha, 0.5, **options
        )
    layer.build(shape)
    values = {
        "gamma": rng.uniform(0.5, 2, 4),
        "beta": rng.normal(size=4),
        "moving_mean": rng.normal(offset, 1, 4),
        "moving_variance": rng.uniform(0.5, 5, 4),
    }
    for weight in layer.weights:
        weight.assign(values[weight.name].astype("float32"))
    result = to_numpy(layer(x, training=training))
    mean, variance = values["moving_mean"], values["moving_variance"]
    new_mean, new_variance = mean, variance
    if training:
        wide = x.astype("float64")
        mean, variance = wide.mean((0, 1, 2, 3)), wide.var((0, 1, 2, 3))
        new_mean = momentum * new_mean + (1 - momentum) * mean
        new_variance = momentum * new_variance + (1 - momentum) * variance
    gamma = values["gamma"] if scaled[0] else 1.0
    beta = values["beta"] if scaled[1] else 0.0
    expected = gamma * factor * (x - mean) / np.sqrt(variance + 1e-5) + beta
    tolerance = 1e-4 * (1 + offset)
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=tolerance)
    np.testing.assert_allclose(
        to_numpy(layer.moving_mean), new_mean, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        to_numpy(layer.moving_variance), new_variance, rtol=1e-2, atol=1e-3
    )


@calls(
    200,
    seed=seeds,
    strides=st.sampled_from([1, 2]),
    padding=st.sampled_from(["same", "valid"]),
    size=st.sampled_from([1, 3]),
    shape=st.sampled_from([(2, 5, 4, 3), (1, 3, 3, 1), (4, 6, 6, 2)]),
)
def test_a_convolution_is_its_sum(seed, strides, padding, size, shape):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape).astype("float32")
    layer = layers.Conv2D(2, size, strides, padding)
    layer.build(shape)
    kernel = rng.normal(size=layer.kernel.shape).astype("float32")
    layer.kernel.assign(kernel)
    if padding == "same":
        out = [-(-n // strides) for n in shape[1:3]]
        total = [
            max((o - 1) * strides + size - n, 0)
            for o, n in zip(out, shape[1:3], strict=True)
        ]
        pads = [(0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)]
    else:
        out = [(n - size) // strides + 1 for n in shape[1:3]]
        pads = [(0, 0)] * 4
    padded = np.pad(x.astype("float64"), pads)
    expected = np.zeros((shape[0], *out, 2))
    for i, j in np.ndindex(*out):
        top, left = i * strides, j * strides
        patch = padded[:, top : top + size, left : left + size]
        expected[:, i, j] = np.einsum("nijc,ijco->no", patch, kernel)
    np.testing.assert_allclose(
        to_numpy(layer(x)), expected, rtol=1e-4, atol=1e-4
    )


@calls(
    250,
    seed=seeds,
    pooling=st.sampled_from(["average", "flatten"]),
    hidden=st.sampled_from([(), [3]]),
    head=st.booleans(),
)
def test_features_become_logits_and_embeddings(seed, pooling, hidden, head):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (2, 3, 2, 2, 4)).astype("float32")
    if head:
        layer = layers.ProjectionHead(5, *hidden)
        layer.build(x.shape)
        dense = [layer.hidden_layer, layer.output_layer]
    else:
        layer = layers.Classifier(5, pooling, hidden)
        layer.build(x.shape)
        dense = layer.dense_layers
    for each in dense:
        each.bias.assign(rng.normal(size=each.bias.shape).astype("float32"))
    flat = x.astype("float64").reshape(2, 3, -1)
    y = x.mean((2, 3)) if head or pooling == "average" else flat
    known = np.ones((2, 3), bool)
    for number, each in enumerate(dense):
        kernel, bias = (to_numpy(w).astype("float64") for w in each.weights)
        y = y @ kernel + bias
        if number == len(dense) - 1:
            break
        if head:
            y = np.maximum(y, 0)
        else:
            potentials, y = reference.lif(y, 0.5, 1.0, "hard")
            far = (np.abs(potentials - 1) > 1e-4).all(-1)
            known = np.logical_and.accumulate(far, axis=1)
    np.testing.assert_allclose(
        to_numpy(layer(x))[known], y[known], rtol=1e-4, atol=1e-4
    )


@calls(
    150,
    seed=seeds,
    timesteps=st.sampled_from([1, 2, 5]),
    dtype=st.sampled_from(["float32", "uint8", "int32", "bool"]),
    shape=st.sampled_from([(2, 3), (1, 2, 2, 1), (0, 4)]),
)
def test_direct_encoding_repeats(seed, timesteps, dtype, shape):
    x = np.random.default_rng(seed).integers(0, 9, shape).astype(dtype)
    result = layers.DirectEncoding(timesteps)(ops.convert_to_tensor(x))
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    np.testing.assert_array_equal(
        ops.convert_to_numpy(result), np.stack([x] * timesteps, axis=1)
    )


@calls(100, seed=seeds, shape=st.sampled_from([(2, 3, 4), (1, 1, 2, 3)]))
def test_each_step_is_a_loop_over_steps(seed, shape):
    x = np.random.default_rng(seed).normal(size=shape).astype("float32")
    inner = keras.layers.Dense(3)
    result = to_numpy(layers.EachStep(inner)(x))
    for t in range(shape[1]):
        np.testing.assert_allclose(
            result[:, t], to_numpy(inner(x[:, t])), rtol=1e-5, atol=1e-6
        )
