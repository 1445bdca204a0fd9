import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl.layers import EachStep
from tests.kernels.reference import BACKEND, to_numpy
from tests.layer_checks import run_layer_checks


def sequence(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


class RowNumber(keras.layers.Layer):
    """Replaces every row of the batch by its number."""

    def call(self, inputs):
        rows = ops.arange(ops.shape(inputs)[0], dtype="float32")
        return ops.zeros_like(inputs) + rows[:, None]


class TrainingFlag(keras.layers.Layer):
    """Says what it was called with."""

    def call(self, inputs, training=None):
        return ops.ones_like(inputs) * {None: -1, False: 0, True: 1}[training]


def test_layer(tmp_path):
    run_layer_checks(
        EachStep,
        lambda: {"layer": keras.layers.BatchNormalization()},
        (2, 3, 2, 2, 4),
        (2, 3, 2, 2, 4),
        expected_weights=4,
        folder=tmp_path,
    )


@pytest.mark.parametrize(
    "name, arguments, trailing",
    [
        ("Dense", (5,), (3,)),
        ("Conv2D", (5, 3, 2), (6, 5, 3)),
        ("BatchNormalization", (), (3,)),
        ("Flatten", (), (2, 3)),
        ("GlobalAveragePooling2D", (), (2, 2, 3)),
    ],
)
def test_equals_the_layer_at_every_step(name, arguments, trailing):
    layer = getattr(keras.layers, name)(*arguments)
    x = sequence(2, 4, *trailing)
    together = to_numpy(EachStep(layer)(x))
    for t in range(4):
        np.testing.assert_allclose(
            together[:, t], to_numpy(layer(x[:, t])), rtol=1e-5, atol=1e-6
        )


def test_folds_batch_major():
    rows = to_numpy(EachStep(RowNumber())(np.zeros((3, 4, 2))))
    np.testing.assert_array_equal(rows[..., 0], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(rows[..., 0], rows[..., 1])


def test_batch_normalization_is_over_batch_time_and_space():
    x = sequence(3, 4, 2, 2, 5) * np.arange(1, 6) + np.arange(5)
    norm = keras.layers.BatchNormalization(momentum=0.75, epsilon=1e-5)
    y = EachStep(norm)(x, training=True)
    mean, variance = x.mean((0, 1, 2, 3)), x.var((0, 1, 2, 3))
    np.testing.assert_allclose(
        to_numpy(y), (x - mean) / np.sqrt(variance + 1e-5), atol=1e-4
    )
    np.testing.assert_allclose(
        to_numpy(norm.moving_mean), 0.25 * mean, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        to_numpy(norm.moving_variance), 0.75 + 0.25 * variance, rtol=1e-4
    )


@pytest.mark.parametrize(
    "training, expected", [(None, -1), (False, 0), (True, 1)]
)
def test_hands_the_training_flag_on(training, expected):
    y = EachStep(TrainingFlag())(np.zeros((1, 2, 3)), training=training)
    np.testing.assert_array_equal(to_numpy(y), expected)


def test_hands_the_training_flag_of_a_model_on():
    inputs = keras.Input((2, 3))
    model = keras.Model(inputs, EachStep(TrainingFlag())(inputs))
    x = np.zeros((1, 2, 3))
    np.testing.assert_array_equal(to_numpy(model(x, training=True)), 1)
    np.testing.assert_array_equal(model.predict(x, verbose=0), 0)


def test_a_layer_without_a_training_flag_gets_none():
    y = EachStep(RowNumber())(np.zeros((1, 2, 3)), training=True)
    assert tuple(y.shape) == (1, 2, 3)


# --- Shapes ------------------------------------------------------------------


@pytest.mark.parametrize(
    "batch_shape, expected",
    [
        ((None, 4, 8, 8, 3), (None, 4, 6, 6, 5)),
        ((2, None, 8, 8, 3), (2, None, 6, 6, 5)),
        ((2, 4, 8, 8, 3), (2, 4, 6, 6, 5)),
        ((None, None, 8, 8, 3), (None, None, 6, 6, 5)),
    ],
)
def test_unknown_axes(batch_shape, expected):
    layer = EachStep(keras.layers.Conv2D(5, 3))
    assert layer(keras.Input(batch_shape=batch_shape)).shape == expected
    assert layer.compute_output_shape(batch_shape) == expected
    if BACKEND == "tensorflow":
        import tensorflow as tf

        graph = tf.function(layer).get_concrete_function(
            tf.TensorSpec(batch_shape)
        )
        inferred = tuple(graph.output_shapes)
        # All but the unknown axes are known in the graph.
        assert [n for n in inferred if n] == [n for n in expected if n]


def test_takes_any_number_of_steps():
    layer = EachStep(keras.layers.Dense(5))
    for timesteps in (1, 3, 4):
        assert tuple(layer(sequence(2, timesteps, 3)).shape) == (
            2,
            timesteps,
            5,
        )


def test_empty_batch():
    layer = EachStep(keras.layers.Dense(5))
    assert tuple(layer(sequence(0, 4, 3)).shape) == (0, 4, 5)


# --- Dtypes ------------------------------------------------------------------


def test_keeps_the_precision_of_the_layer():
    keras.config.set_dtype_policy("mixed_bfloat16")
    layer = EachStep(keras.layers.Rescaling(1.0, dtype="float32"))
    x = np.full((1, 2, 3), 1 + 2.0**-20, "float32")
    y = layer(x)
    np.testing.assert_array_equal(to_numpy(y), x)  # bfloat16 makes a 1 of it.
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    assert layer(keras.Input((2, 3), dtype="float32")).dtype == "float32"
    revived = EachStep.from_config(layer.get_config())
    assert revived.compute_dtype == "float32"


# --- Errors ------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_refuses_an_input_without_features(shape):
    layer = EachStep(keras.layers.Dense(2))
    with pytest.raises(ValueError, match=r"\[batch, T, ...\].*\(2,"):
        layer(np.zeros(shape))


def test_refuses_what_is_no_layer():
    with pytest.raises(ValueError, match="isn't a supported layer"):
        EachStep(ops.relu)
