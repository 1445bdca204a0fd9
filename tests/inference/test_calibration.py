"""Statistics of normalizations: those of all data, and nothing else moves."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl import graph
from keras_tcl.layers import LIF, BatchNormalization, DirectEncoding, EachStep
from tests.models import tiny


def numbers(variables):
    return [ops.convert_to_numpy(v.value).copy() for v in variables]


def normalizations(model):
    layers = graph.inner_layers(model.network)
    kind = keras.layers.BatchNormalization
    return [layer for layer in layers if isinstance(layer, kind)]


def disturbed(model, seed=0):
    """The model with statistics that are far from the first."""
    rng = np.random.default_rng(seed)
    for layer in normalizations(model):
        shape = layer.gamma.shape
        layer.moving_mean.assign(rng.normal(0, 2, shape))
        layer.moving_variance.assign(rng.uniform(0.1, 4, shape))
    return model


def with_any_weights(model):
    rng = np.random.default_rng(1)
    for layer in normalizations(model):
        layer.gamma.assign(rng.uniform(0.5, 2, layer.gamma.shape))
        layer.beta.assign(rng.normal(0, 0.5, layer.beta.shape))
    return disturbed(model)


def statistics(model):
    return {
        layer.name: numbers([layer.moving_mean, layer.moving_variance])
        for layer in normalizations(model)
    }


def assert_alike(one, other, tolerance=1e-5):
    assert one.keys() == other.keys()
    for name in one:
        for a, b in zip(one[name], other[name], strict=True):
            np.testing.assert_allclose(a, b, tolerance, tolerance, name)


@pytest.fixture
def given_to_normalizations(monkeypatch):
    """A function: mean and variance of what each is given in inference."""

    def given_in(model, x):
        found = {}
        call = BatchNormalization.call

        def note(self, inputs, *args, **kwargs):
            value = ops.convert_to_numpy(inputs).astype("float64")
            axes = tuple(range(value.ndim - 1))
            found[self.name] = [value.mean(axes), value.var(axes)]
            return call(self, inputs, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(BatchNormalization, "call", note)
            model.network(ops.convert_to_tensor(x, "float32"), training=False)
        return found

    return given_in


@pytest.mark.parametrize(
    "settings",
    [{}, {"normalization": "threshold_dependent"}],
    ids=["bn", "tdbn"],
)
def test_of_one_batch_they_are_those_of_inference(
    settings, given_to_normalizations
):
    """So what leaves a normalization has the mean beta, the deviation gamma."""
    model = with_any_weights(tiny.network(**settings))
    x, _ = tiny.images(12)
    model.calibrate(x)
    assert_alike(statistics(model), given_to_normalizations(model, x), 1e-4)
    at_three = statistics(model)
    model.timesteps = 1
    model.calibrate(x)
    assert_alike(statistics(model), given_to_normalizations(model, x), 1e-4)
    with pytest.raises(AssertionError):
        assert_alike(statistics(model), at_three)


def small_model(timesteps=3):
    """Two normalizations, one of them within `EachStep`, and its weights."""
    rng = np.random.default_rng(1)
    inputs = keras.Input((2, 2, 3))
    x = DirectEncoding(timesteps)(inputs)
    first, second = BatchNormalization(name="a"), BatchNormalization(name="b")
    x = LIF()(first(x))
    dense = keras.layers.Dense(4)
    x = EachStep(keras.Sequential([dense, second]))(x)
    logits = ops.mean(x, axis=(2, 3))
    network = keras.Model(inputs, {"stage": x, "logits": logits})
    model = keras_tcl.TCLModel(network, value_range=(0, 1), augmenter=None)
    kernel = rng.normal(size=(3, 4)).astype("float32")
    dense.kernel.assign(kernel)
    first.gamma.assign([2.0, 1.0, 0.7])
    return model, kernel.astype("float64"), np.array([2.0, 1.0, 0.7])


def expected_statistics(batches, kernel, gamma, timesteps=3):
    """Pooled over all values; each batch normalized by its own."""
    given = {"a": [], "b": []}
    for x in batches:
        x = x.astype("float64")
        given["a"].append(x.reshape(-1, 3))
        deviation = np.sqrt(x.var((0, 1, 2)) + 1e-3)
        current = gamma * (x - x.mean((0, 1, 2))) / deviation
        u = np.zeros_like(x)
        for _ in range(timesteps):
            h = 0.5 * u + current
            s = (h >= 1).astype("float64")
            u = h * (1 - s)
            given["b"].append((s @ kernel).reshape(-1, 4))
    pooled = {name: np.concatenate(rows) for name, rows in given.items()}
    return {name: [v.mean(0), v.var(0)] for name, v in pooled.items()}


def samples(count=10, seed=3):
    return np.random.default_rng(seed).random((count, 2, 2, 3), "float32")


def test_over_batches_they_are_pooled():
    model, *weights = small_model()
    x = samples()
    batches = [x[:4], x[4:8], x[8:]]  # The last one is smaller.
    model.calibrate(x, batch_size=4)
    expected = expected_statistics(batches, *weights)
    assert_alike(statistics(model), expected)
    # Neither their order nor what was before counts.
    model.calibrate(iter(batches[::-1]))
    assert_alike(statistics(model), expected)
    model.calibrate(x, batch_size=4, batches=2)
    assert_alike(statistics(model), expected_statistics(batches[:2], *weights))


def test_equal_numbers_have_no_variance():
    """Of numbers far from 0, the variance is no difference of large ones."""
    model, *_ = small_model()
    model.calibrate(np.full((6, 2, 2, 3), 0.7, "float32"), batch_size=4)
    mean, variance = statistics(model)["a"]
    np.testing.assert_allclose(mean, 0.7, rtol=1e-6)
    np.testing.assert_allclose(variance, 0.0, atol=1e-12)


def test_weights_augmentation_and_timesteps_stay():
    def fail(x, **kwargs):
        raise AssertionError("The augmenter took part.")

    model = with_any_weights(tiny.network(augmenter=fail))
    model.network.get_layer("stem_bn").trainable = False
    trained = [v for v in model.variables if "moving" not in v.name]
    before = numbers(trained)
    stem = statistics(model)["stem_bn"]
    model.calibrate(tiny.images(8)[0])
    for one, other in zip(before, numbers(trained), strict=True):
        np.testing.assert_array_equal(one, other)
    # A frozen layer has statistics, too.
    assert np.any(statistics(model)["stem_bn"][0] != stem[0])
    assert model.timesteps == 3


@pytest.mark.parametrize("kind", ["pairs", "images", "ours", "recordings"])
def test_data_sets(kind):
    x, y = tiny.images(8)
    settings = {}
    if kind == "recordings":
        (x, y), settings = tiny.recordings(8), {"input_shape": (None, 8, 8, 2)}
    data = {
        "pairs": iter([(x[:4], y[:4]), (x[4:], y[4:])]),
        "images": iter([x[:4], x[4:]]),
        "ours": tiny.data_set(x, y) if kind == "ours" else None,
        "recordings": iter([(x[:4], y[:4]), (x[4:], y[4:])]),
    }[kind]
    model = disturbed(tiny.network(**settings))
    model.calibrate(x, batch_size=4)
    expected = statistics(model)
    disturbed(model, seed=1)
    model.calibrate(data)
    assert_alike(statistics(model), expected)


def fails_midway(x, error):
    yield (x[:4],)
    if error:
        raise RuntimeError("no disk")
    yield (np.where(x[4:8] < 0.5, x[4:8], np.nan),)


@pytest.mark.parametrize("error", [ValueError, RuntimeError])
def test_data_that_fail_midway_change_nothing(error):
    model, *_ = small_model()
    before = numbers(model.variables)
    data = fails_midway(samples(), error is RuntimeError)
    with pytest.raises(error, match="NaN or infinite values|no disk"):
        model.calibrate(data)
    for one, other in zip(before, numbers(model.variables), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "data, message",
    [
        (np.full((4, 2, 2, 3), np.nan, "float32"), "NaN or infinite values"),
        (np.zeros((0, 2, 2, 3)), "The data is empty"),
        (np.zeros((4, 2, 2, 1)), "built for samples"),
        (iter([]), "the data set is empty"),
        (None, "There is no data"),
    ],
)
def test_bad_data(data, message):
    with pytest.raises(ValueError, match=message):
        small_model()[0].calibrate(data)


@pytest.mark.parametrize("name", ["batch_size", "batches"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "all"])
def test_bad_numbers_of_batches(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be an integer"):
        small_model()[0].calibrate(samples(), **{name: value})


def test_weights_that_have_diverged():
    model, *_ = small_model()
    for layer in graph.inner_layers(model.network):
        if isinstance(layer, keras.layers.Dense):
            layer.bias.assign([np.nan] * 4)
    with pytest.raises(ValueError, match="'b' is given NaN or infinite"):
        model.calibrate(samples())


def network_of(x_of):
    inputs = keras.Input((2, 2, 3))
    x = x_of(DirectEncoding(2)(inputs))
    outputs = {"stage": x, "logits": ops.mean(x, axis=(2, 3))}
    network = keras.Model(inputs, outputs)
    return keras_tcl.TCLModel(network, value_range=(0, 1), augmenter=None)


def test_a_network_without_normalization():
    model = network_of(LIF())
    with pytest.raises(ValueError, match="has no batch normalization"):
        model.calibrate(samples())


class Hidden(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normalization = BatchNormalization(name="inner")

    def build(self, input_shape):
        self.normalization.build(input_shape)

    def call(self, inputs):
        return self.normalization(inputs)


def test_a_normalization_that_no_walk_shows():
    model = network_of(Hidden())
    with pytest.raises(ValueError, match="Nothing was seen of .*'inner'"):
        model.calibrate(samples())


def test_what_is_calibrated_is_saved(tmp_path):
    model = disturbed(tiny.network())
    x, _ = tiny.images(8)
    model.timesteps = 1
    model.calibrate(x)
    model.save(tmp_path / "model.keras")
    loaded = keras_tcl.load_model(tmp_path / "model.keras")
    assert_alike(statistics(loaded), statistics(model))
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )
