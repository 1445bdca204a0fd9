import keras
import numpy as np
from keras import ops

from benchmarks.paper.optimizer import L2SGD


def test_decay_passes_through_the_momentum():
    """The recurrence of PyTorch's SGD, in float64."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=5), rng.normal(size=(4, 5))
    rate, momentum, l2 = 0.1, 0.9, 0.05
    weights, buffer = start.copy(), np.zeros(5)
    for gradient in gradients:
        buffer = momentum * buffer + (gradient + l2 * weights)
        weights = weights - rate * buffer

    variable = keras.Variable(start.astype("float32"))
    optimizer = L2SGD(rate, momentum, l2)
    for gradient in gradients.astype("float32"):
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    received = ops.convert_to_numpy(variable.value)
    np.testing.assert_allclose(received, weights, rtol=1e-5)


def test_config_round_trip():
    optimizer = L2SGD(0.2, 0.8, 0.01)
    config = keras.saving.serialize_keras_object(optimizer)
    loaded = keras.saving.deserialize_keras_object(config)
    assert isinstance(loaded, L2SGD)
    assert loaded.get_config() == optimizer.get_config()
