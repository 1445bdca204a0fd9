import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import graph
from keras_tcl.augmentation import Pipeline, RandomCrop, RandomFlip, RandomRoll


@keras.saving.register_keras_serializable(package="tests")
def add_one(images):
    return images + 1.0


@keras.saving.register_keras_serializable(package="tests")
def double(images):
    return images * 2.0


def images(*shape, dtype="uint8"):
    shape = shape or (12, 6, 5, 3)
    return np.random.RandomState(0).randint(0, 128, shape).astype(dtype)


def augment(layer, array):
    return ops.convert_to_numpy(layer(array, training=True))


def test_applies_in_order():
    x = images()
    np.testing.assert_array_equal(
        augment(Pipeline([add_one, double]), x), 2.0 * (x + 1.0)
    )
    np.testing.assert_array_equal(
        augment(Pipeline([double, add_one]), x), 2.0 * x + 1.0
    )


def test_calls_nothing_at_inference():
    def fail(images):
        raise AssertionError("called")

    x = images()
    y = Pipeline([fail, keras.layers.Rescaling(2.0)])(x)
    np.testing.assert_array_equal(ops.convert_to_numpy(y), x)


def test_equals_its_layers_one_by_one():
    x = images()
    expected = x
    for layer in (RandomCrop(1, seed=1), RandomFlip(seed=2)):
        expected = augment(layer, expected)
    pipeline = Pipeline([RandomCrop(1, seed=1), RandomFlip(seed=2)])
    np.testing.assert_array_equal(augment(pipeline, x), expected)


def test_nested_and_empty():
    x = images()
    nested = Pipeline([Pipeline([]), Pipeline([add_one])])
    np.testing.assert_array_equal(augment(nested, x), x + 1.0)


def test_keras_layers_with_and_without_a_training_argument():
    x = images(dtype="float32")
    mirror = keras.layers.RandomFlip("horizontal", seed=0, dtype="float32")
    y = augment(Pipeline([mirror, keras.layers.Rescaling(2.0)]), x)
    flipped = [(y[i] == 2 * x[i][:, ::-1]).all() for i in range(12)]
    kept = [(y[i] == 2 * x[i]).all() for i in range(12)]
    assert np.logical_xor(flipped, kept).all()


def test_a_half_precision_layer_ends_in_float32():
    pipeline = Pipeline([keras.layers.Rescaling(2.0, dtype="float16")])
    y = pipeline(images(), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"


def test_config_round_trip():
    pipeline = Pipeline(
        [
            RandomRoll(1, seed=3),
            keras.layers.RandomFlip("vertical", seed=4, dtype="float32"),
            double,
        ],
        name="mine",
    )
    config = keras.saving.serialize_keras_object(pipeline)
    twin = keras.saving.deserialize_keras_object(config)
    assert twin.get_config() == pipeline.get_config()
    assert twin.name == "mine"
    x = images()
    np.testing.assert_array_equal(augment(twin, x), augment(pipeline, x))


class Uncompiled(keras.layers.Layer):
    """A layer of one's own that cannot be compiled."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_jit = False

    def call(self, inputs):
        return inputs


# Keras' layers that say they cannot be compiled, and those that contain them.
UNCOMPILED = {
    "RandomRotation": lambda: keras.layers.RandomRotation(0.1, seed=0),
    "RandomTranslation": lambda: keras.layers.RandomTranslation(
        0.2, 0.2, seed=0
    ),
    "RandomZoom": lambda: keras.layers.RandomZoom(0.3, seed=0),
    "RandomShear": lambda: keras.layers.RandomShear(0.5, 0.5, seed=0),
    "RandomPerspective": lambda: keras.layers.RandomPerspective(
        factor=1.0, scale=0.5, seed=0
    ),
    "AugMix": lambda: keras.layers.AugMix((0, 255), seed=0),
    "RandAugment": lambda: keras.layers.RandAugment((0, 255), seed=0),
    # Hidden one level down.
    "Sequential": lambda: keras.Sequential([keras.layers.RandomZoom(0.1)]),
}


def made(name):
    """A layer by its name, or `None` where it is none that changes images."""
    kind = getattr(keras.layers, name)
    for arguments in ((), (0.1,), (0.1, 0.1), (8, 8), ((0, 255),)):
        for options in ({}, {"value_range": (0, 255)}):
            try:
                return kind(*arguments, **options)
            except (TypeError, ValueError):
                continue
    return None


def test_these_are_the_layers_that_stop_compilation():
    """So says the docstring, of this version of Keras."""
    names = [n for n in dir(keras.layers) if n.startswith(("Aug", "Rand"))]
    layers = {name: made(name) for name in names}
    assert None not in layers.values()
    found = {
        name
        for name, layer in layers.items()
        if not all(
            inner.supports_jit for inner in (layer, *graph.inner_layers(layer))
        )
    }
    assert found == (set(UNCOMPILED) | {"RandomCrop"}) - {"Sequential"}


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="its XLA")
@pytest.mark.parametrize("name", UNCOMPILED)
def test_warns_of_layers_that_stop_compilation(name):
    layer = UNCOMPILED[name]()
    with pytest.warns(UserWarning, match=f"{name}.*`supports_jit` is False"):
        Pipeline([RandomFlip(), layer])


@pytest.mark.parametrize("layer", [Uncompiled, UNCOMPILED["RandomRotation"]])
def test_says_nothing_where_nothing_is_compiled(layer, recwarn):
    if keras.config.backend() == "torch":
        Pipeline([layer()])
        assert not recwarn


def test_warns_of_layers_of_ones_own(recwarn):
    if keras.config.backend() == "torch":  # Eager anyway.
        Pipeline([Uncompiled()])
        assert not recwarn
        return
    with pytest.warns(UserWarning, match="Uncompiled: `supports_jit` is False"):
        Pipeline([RandomFlip(), Uncompiled()])
    nested = keras.Sequential([Uncompiled()])
    with pytest.warns(UserWarning, match=r"Sequential \(through Uncompiled\)"):
        pipeline = Pipeline([nested])
    if keras.config.backend() == "jax":  # They are as slow as it was said.
        assert not model_of(pipeline).jit_compile


def model_of(pipeline, shape=(8, 8, 3)):
    model = keras.Sequential([keras.Input(shape), pipeline])
    model.compile("sgd", "mse")
    return model


@pytest.mark.skipif(keras.config.backend() != "jax", reason="JAX's compiler")
@pytest.mark.parametrize("name", UNCOMPILED)
def test_layers_of_keras_stay_compiled_on_jax(name):
    import jax

    pipeline = Pipeline([UNCOMPILED[name]()])
    x = images(4, 8, 8, 3)
    pipeline.build(x.shape)
    assert model_of(pipeline).jit_compile
    if name in ("RandAugment", "AugMix"):
        return  # The same layers and more, which take a minute to compile.
    state = [v.value for v in pipeline.non_trainable_variables]

    def apply(state, x):
        return pipeline.stateless_call([], state, x, training=True)

    expected, _ = apply(state, x)
    actual, after = jax.jit(apply)(state, x)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-2)
    other, _ = jax.jit(apply)(after, x)
    assert not np.array_equal(actual, other)


@pytest.mark.parametrize("layers", [None, RandomFlip, add_one, "cifar"])
def test_layers_must_be_a_list(layers):
    with pytest.raises(ValueError, match="`layers` must be a list.*Received"):
        Pipeline(layers)


@pytest.mark.parametrize("layer", [None, "flip", 3, RandomFlip])
def test_each_must_be_a_layer_or_a_function(layer):
    with pytest.raises(ValueError, match="Each of `layers`.*Received"):
        Pipeline([RandomFlip(), layer])


def test_the_shape_must_stay():
    pipeline = Pipeline([lambda images: images[:, :2]])
    with pytest.raises(ValueError, match="must keep the shape.*Received"):
        pipeline(images(), training=True)
