import keras
import numpy as np
import pytest
from keras import ops

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


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.RandomRotation(0.1),
        # Hidden one level down.
        lambda: keras.Sequential([keras.layers.RandomZoom(0.1)]),
    ],
)
def test_warns_of_layers_that_stop_compilation(layer, recwarn):
    layer = layer()
    if keras.config.backend() == "torch":  # eager anyway
        Pipeline([layer])
        assert not recwarn
        return
    with pytest.warns(UserWarning, match="Random.*`supports_jit` is False"):
        Pipeline([RandomFlip(), layer])


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
