"""What is the same training, and what is another."""

import json

import keras
import numpy as np
import pytest

from keras_tcl.callbacks.identity import difference, identity
from tests.models import tiny


def network(last_reads=0, rate=0.5, policy="float32", seed=None):
    """Two layers alike; a third one reads one of them."""
    inputs = keras.Input((4,))
    both = [keras.layers.Dense(3, dtype=policy)(inputs) for _ in range(2)]
    dropout = keras.layers.Dropout(rate, seed=seed, dtype=policy)
    x = keras.layers.Dense(3, dtype=policy)(dropout(both[last_reads]))
    return keras.Model(inputs, [x, *both])


def difference_of(one, other):
    """As a checkpoint has the first: in JSON."""
    return difference(json.loads(json.dumps(one)), other)


def test_same_network_built_again():
    """In the same process, Keras gives its layers other names."""
    one, other = (identity(network(seed=seed), None) for seed in (1, 2))
    assert difference_of(one, other) is None


@pytest.mark.parametrize(
    "change", [{"last_reads": 1}, {"rate": 0.4}, {"policy": "mixed_bfloat16"}]
)
def test_other_networks_with_the_same_variables(change):
    one, other = (identity(network(**k), None) for k in ({}, change))
    assert "model." in difference_of(one, other)


def compiled(**kwargs):
    model = network()
    model.compile(**{"optimizer": "sgd", "loss": "mse", **kwargs})
    return identity(model, None)


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": keras.optimizers.SGD(0.1)},
        {"loss": "mae"},
        {"jit_compile": False, "steps_per_execution": 2},
    ],
)
def test_compiled_otherwise(change):
    assert difference_of(compiled(), compiled()) is None
    assert "compile." in difference_of(compiled(), compiled(**change))


def test_other_data():
    x, y = tiny.images(8)

    def of(x, y, **kwargs):
        return identity(network(), tiny.data_set(x, y, **kwargs))

    others = {
        "first_crc32": of(x // 2, y),
        "labels_crc32": of(x, np.roll(y, 1)),
        "examples": of(x[:4], y[:4]),
        "seed": of(x, y, seed=1),
        "shard": of(x, y, shard=(0, 2)),
    }
    assert difference_of(of(x, y), of(x, y)) is None
    for name, other in others.items():
        assert f"data.{name}" in difference_of(of(x, y), other)
