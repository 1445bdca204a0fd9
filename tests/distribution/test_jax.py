"""JAX: four devices of one process train as one does."""

import keras
import pytest

from tests.distribution import launch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.config.backend() != "jax", reason="JAX's devices"),
]


def test_a_batch_is_that_of_all_devices(tmp_path):
    # The last batch of three samples does not divide.
    found = launch.on_devices(tmp_path, [1, 4], loss="STCL", size=35)
    assert launch.difference(*found) < 1e-5
    assert found[0]["history"]["loss"] == pytest.approx(
        found[1]["history"]["loss"], rel=1e-4
    )
