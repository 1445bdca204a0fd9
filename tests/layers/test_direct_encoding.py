import keras
import numpy as np
import pytest

from keras_tcl.layers import DirectEncoding
from tests.kernels.reference import output_and_gradient, to_numpy
from tests.layer_checks import run_layer_checks


def test_layer(tmp_path):
    run_layer_checks(
        DirectEncoding,
        {"timesteps": 3},
        (2, 2, 4),
        (2, 3, 2, 4),
        folder=tmp_path,
    )


@pytest.mark.parametrize("trailing", [(), (3,), (4, 5, 3)], ids=str)
def test_repeats_the_input(trailing):
    x = np.random.default_rng(0).normal(size=(2, *trailing))
    y = to_numpy(DirectEncoding(4)(x))
    np.testing.assert_array_equal(y, np.stack([x.astype("float32")] * 4, 1))


def test_gradient_is_the_sum_over_time():
    rng = np.random.default_rng(0)
    x, upstream = rng.normal(size=(2, 3)), rng.normal(size=(2, 5, 3))
    _, gradient = output_and_gradient(
        DirectEncoding(5), x, upstream, compiled=False
    )
    np.testing.assert_allclose(
        to_numpy(gradient), upstream.sum(axis=1), rtol=1e-5, atol=1e-6
    )


def test_timesteps_may_change_in_a_built_model():
    inputs = keras.Input((3,))
    layer = DirectEncoding(4)
    model = keras.Model(inputs, layer(inputs))
    x = np.ones((2, 3))
    assert tuple(model(x).shape) == (2, 4, 3)
    layer.timesteps = 2
    assert tuple(model(x).shape) == (2, 2, 3)
    assert layer.get_config()["timesteps"] == 2
    assert layer.compute_output_shape((None, 3)) == (None, 2, 3)


def test_pixels_stay_integers():
    layer = DirectEncoding(2)
    x = np.array([[0, 255]], "uint8")
    y = layer(x)
    assert keras.backend.standardize_dtype(y.dtype) == "uint8"
    np.testing.assert_array_equal(to_numpy(y), [[[0, 255], [0, 255]]])
    assert layer(keras.Input((2,), dtype="uint8")).dtype == "uint8"


def test_an_unknown_batch_stays_unknown():
    y = DirectEncoding(4)(keras.Input((8, 8, 3)))
    assert y.shape == (None, 4, 8, 8, 3)


@pytest.mark.parametrize("timesteps", [0, -1, 1.5, "4", None, True], ids=repr)
def test_refuses_timesteps(timesteps):
    message = f"`timesteps` must be an integer of.*timesteps={timesteps!r}"
    with pytest.raises(ValueError, match=message):
        DirectEncoding(timesteps)
    layer = DirectEncoding(4)
    with pytest.raises(ValueError, match=message):
        layer.timesteps = timesteps
    assert layer.timesteps == 4


def test_takes_numpy_integers():
    config = DirectEncoding(np.int64(3)).get_config()
    assert type(config["timesteps"]) is int
