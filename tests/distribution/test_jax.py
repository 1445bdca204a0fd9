"""JAX: four devices of one process train as one does, by Keras' own call."""

import json
import subprocess
import sys

import keras
import pytest

from tests.distribution import launch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.config.backend() != "jax", reason="JAX's devices"),
]


def test_a_batch_is_that_of_all_devices(tmp_path):
    found = []
    for index, devices in enumerate((1, 4)):
        output = str(tmp_path / f"{index}.npz")
        given = {"loss": "STCL", "virtual": devices, "output": output}
        command = [sys.executable, "-m", "tests.distribution.training"]
        done = subprocess.run(
            [*command, json.dumps(given)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found.append(launch.read(tmp_path, index))
    assert launch.difference(*found) < 1e-5
    assert found[0]["history"]["loss"] == pytest.approx(
        found[1]["history"]["loss"], rel=1e-4
    )
