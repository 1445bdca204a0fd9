"""JAX: several devices, and several processes, train as one device does."""

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


def test_a_last_batch_that_processes_cannot_share_is_refused(tmp_path):
    for code, text, _ in launch.run(tmp_path, 2, size=19):
        assert code == 1
        assert "a last batch of 3, for 2 devices" in text.splitlines()[-1]


def test_devices_that_share_the_weights(tmp_path):
    """Two halves of each kernel, and two of each batch but the last."""
    settings = {"loss": "STCL", "size": 35, "optimizer": "clipped"}
    (alone,) = launch.on_devices(tmp_path, [1], **settings)
    (shared,) = launch.on_devices(tmp_path, [4], sharded="before", **settings)
    launch.check_equal(alone, shared)


def test_processes_that_would_share_the_weights(tmp_path):
    for code, text, _ in launch.run(tmp_path, 2, sharded="after"):
        assert code == 1
        assert (
            "2 processes, and a `keras.distribution.ModelParallel`"
            in text.splitlines()[-1]
        )
