"""What every augmentation has in common."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl.augmentation import (
    ColorJitter,
    Cutout,
    Pipeline,
    RandomAugmentation,
    RandomCrop,
    RandomFlip,
    RandomGray,
    RandomResizedCrop,
    RandomRoll,
    recipe,
)
from tests.augmentation.compiled import compile_layer

MAKERS = {
    "crop": lambda seed=None: RandomCrop(2, 7.0, seed),
    "flip": lambda seed=None: RandomFlip(0.4, seed),
    "cutout": lambda seed=None: Cutout(3, 9.0, seed),
    "jitter": lambda seed=None: ColorJitter(0.3, 0.2, 0.5, 0.2, 0.9, seed=seed),
    "gray": lambda seed=None: RandomGray(0.5, seed),
    "resized_crop": lambda seed=None: RandomResizedCrop((0.2, 0.9), seed=seed),
    "roll": lambda seed=None: RandomRoll(2, seed),
    "pipeline": lambda seed=None: recipe("cifar_stcl", (6, 5, 3), seed=seed),
}
BATCH = 12
every_layer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def images(*shape, dtype="uint8"):
    shape = shape or (BATCH, 6, 5, 3)
    return np.random.RandomState(0).randint(0, 256, shape).astype(dtype)


def augment(layer, array):
    return ops.convert_to_numpy(layer(array, training=True))


@every_layer
@pytest.mark.parametrize("training", [False, None])
def test_identity_at_inference(make, training):
    x = images()
    y = make()(x, training=training)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(y), x)


def test_training_comes_from_the_calling_model():
    make = MAKERS["flip"]
    inputs = keras.Input((6, 5, 3), dtype="uint8")
    outputs = make()(inputs)
    assert outputs.shape == (None, 6, 5, 3)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    model = keras.Model(inputs, outputs)
    x = images()
    np.testing.assert_array_equal(ops.convert_to_numpy(model(x)), x)
    y = ops.convert_to_numpy(model(x, training=True))
    assert (y != x).any()


@every_layer
def test_each_sample_and_each_call_draws_anew(make):
    x = np.repeat(images(1, 6, 5, 3), BATCH, axis=0)
    layer = make(seed=3)
    first, second = augment(layer, x), augment(layer, x)
    assert len(np.unique(first.reshape(BATCH, -1), axis=0)) > 1
    assert (first != second).any()
    np.testing.assert_array_equal(augment(make(seed=3), x), first)
    assert (augment(make(seed=4), x) != first).any()


@every_layer
def test_the_global_seed_makes_runs_reproducible(make):
    x = images()
    keras.utils.set_random_seed(5)
    first = augment(make(), x)
    keras.utils.set_random_seed(5)
    np.testing.assert_array_equal(augment(make(), x), first)
    assert (augment(make(), x) != first).any()


@every_layer
def test_compiled(make):
    x = images()
    layer = make(seed=3)
    run, traces = compile_layer(layer, (6, 5, 3))
    first, second = run(x), run(x)
    assert first.dtype == "float32" and first.shape == x.shape
    assert (first != second).any()
    assert layer.supports_jit
    if keras.config.backend() != "torch":
        assert len(traces) == 1
    if keras.config.backend() == "jax":
        # The same numbers as uncompiled, up to fused multiply-adds.
        np.testing.assert_allclose(augment(make(seed=3), x), first, atol=1e-3)


def test_tensorflow_takes_any_batch_size_in_one_trace():
    if keras.config.backend() != "tensorflow":
        pytest.skip("only tf.function knows an unknown batch size")
    run, traces = compile_layer(MAKERS["pipeline"](), (6, 5, 3))
    assert run(images(3, 6, 5, 3)).shape == (3, 6, 5, 3)
    assert run(images(7, 6, 5, 3)).shape == (7, 6, 5, 3)
    assert len(traces) == 1


@every_layer
def test_one_draw_per_recording(make):
    # Every frame of a recording is the same picture, and must stay so.
    x = np.repeat(images(BATCH, 1, 6, 5, 3), 4, axis=1)
    if isinstance(make(), Pipeline):
        make = lambda seed: Pipeline(  # noqa: E731
            [MAKERS[name](seed) for name in ("crop", "jitter", "roll")]
        )
    y = augment(make(seed=3), x)
    assert y.shape == x.shape
    np.testing.assert_allclose(y, np.repeat(y[:, :1], 4, axis=1), atol=1e-4)
    # And it is the draw a still image gets.
    np.testing.assert_allclose(
        y[:, 0], augment(make(seed=3), x[:, 0]), atol=1e-4
    )


@every_layer
@pytest.mark.parametrize("policy", ["float16", "mixed_bfloat16"])
def test_float32_under_every_policy(make, policy):
    x = images()
    expected = augment(make(seed=3), x)
    keras.config.set_dtype_policy(policy)
    y = make(seed=3)(x, training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_array_equal(ops.convert_to_numpy(y), expected)
    # Whole numbers up to 256 are exact in half precision.
    half = ops.convert_to_tensor(x, policy.removeprefix("mixed_"))
    np.testing.assert_array_equal(augment(make(seed=3), half), expected)


@every_layer
def test_config_round_trip(make):
    layer = make(seed=3)
    config = keras.saving.serialize_keras_object(layer)
    twin = keras.saving.deserialize_keras_object(config)
    assert twin.name == layer.name
    assert twin.get_config() == layer.get_config()
    x = images()
    np.testing.assert_array_equal(augment(twin, x), augment(layer, x))


def test_a_saved_model_continues_the_random_sequence(tmp_path):
    inputs = keras.Input((6, 5, 3), dtype="uint8")
    model = keras.Model(inputs, MAKERS["pipeline"]()(inputs))
    x = images()
    augment(model, x)
    model.save(tmp_path / "model.keras")
    twin = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(augment(twin, x), augment(model, x))


def test_a_model_with_every_layer_trains_compiled():
    layers = [make() for name, make in MAKERS.items() if not name == "pipeline"]
    model = keras.Sequential(
        [
            keras.Input((6, 5, 3)),
            Pipeline(layers),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    backend = keras.config.backend()
    model.compile(
        "sgd",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=backend != "torch",
    )
    history = model.fit(images(), np.arange(BATCH) % 2, BATCH, 2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert model.jit_compile == (backend != "torch")


def test_an_empty_batch_passes():
    y = RandomCrop()(np.zeros((0, 6, 5, 3), "uint8"), training=True)
    assert tuple(y.shape) == (0, 6, 5, 3)


@pytest.mark.parametrize(
    "shape", [(6, 5, 3), (2, 3, 4, 6, 5, 3), (2, None, 5, 3), (2, 6, 5, None)]
)
def test_images_of_another_rank_or_unknown_size(shape):
    with pytest.raises(ValueError, match="RandomFlip takes images.*Received"):
        RandomFlip()(keras.KerasTensor(shape), training=True)


def test_a_built_layer_still_checks_its_input():
    layer = RandomFlip()
    layer(images())
    with pytest.raises(ValueError, match="RandomFlip takes images.*Received"):
        layer(images(6, 5, 3))


def test_seed_must_be_an_integer():
    with pytest.raises(ValueError, match="seed.*integer.*Received"):
        RandomFlip(seed=0.5)


def test_a_subclass_needs_only_draw_and_transform():
    class Darken(RandomAugmentation):
        def draw(self, batch_size, height, width):
            return {"factor": self.uniform((batch_size,), 0.5, 0.6)}

        def transform(self, images, parameters):
            factor = parameters["factor"]
            return images * ops.reshape(factor, (-1, 1, 1, 1, 1))

    x = images()
    y = augment(Darken(), x)
    ratio = y[x > 0] / x[x > 0]
    assert 0.5 <= ratio.min() and ratio.max() <= 0.6001
