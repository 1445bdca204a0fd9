"""TensorFlow: replicas train on one batch, as one device does."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_tcl
from tests.distribution import launch, training

if keras.config.backend() == "tensorflow":
    import tensorflow as tf

    from keras_tcl.distribution import tensorflow_replicas

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.config.backend() != "tensorflow", reason="TensorFlow's replicas"
    ),
]


@pytest.mark.parametrize(
    "replicas, settings",
    [
        # The last batch has three samples, and one replica none of them.
        (4, {"size": 35, "optimizer": "clipped", "epochs": 2, "shuffle": True}),
        (
            2,
            {
                "family": "vgg",
                "events": True,
                "loss": "TCL",
                "arrays": True,
                "size": 20,
            },
        ),
    ],
)
def test_a_batch_is_that_of_all_replicas(tmp_path, replicas, settings):
    found = launch.on_devices(tmp_path, [1, replicas], **settings)
    launch.check_equal(*found)


def test_a_replica_without_samples(tmp_path):
    # The last batch has one sample. Statistics are those of each replica.
    (found,) = launch.on_devices(tmp_path, [4], size=33, synchronized=False)
    assert all(np.isfinite(w).all() for w in found["weights"])


def test_what_is_beside_fit(tmp_path):
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.distribution.on_replicas"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    # A contrast of copies, and what Keras fails at, are refused.
    assert "Use `fit`" in found["train_on_batch"]
    assert "Use `evaluate`" in found["test_on_batch"]
    assert "gradient_accumulation_steps=2" in found["accumulation"]
    assert "reduction='sum'" in found["reduction"]
    assert "ignore_class=0" in found["ignored"]
    # A batch is predicted once, and calibration sees it once.
    one, other = map(np.asarray, found["predicted"])
    np.testing.assert_allclose(one, other, atol=1e-6)
    alone = training.built(training.SETTINGS)
    alone.network.load_weights(tmp_path / "weights.weights.h5")
    alone.calibrate(training.samples({**training.SETTINGS, "size": 16})[0])
    wanted = [w.numpy() for w in alone.network.weights if "moving" in w.path]
    for value, expected in zip(found["calibrated"], wanted, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)
    # Each replica has half of two views of the batch, with its own crops.
    assert found["shapes"] == [[16, 8, 8, 1]] * 2
    assert not found["augmented_alike"]
    assert "NaN or infinite" in found["nan"]
    assert all(found["overflow"]) and found["scale"] == 2**14  # From 2**15.


def test_one_address_of_several_processes_is_refused(monkeypatch):
    variables = {
        "WORLD_SIZE": "2",
        "RANK": "0",
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "1234",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="TF_CONFIG.*for 2 processes"):
        keras_tcl.distribution.data_parallel()


def test_a_batch_in_parts():
    numbers = tf.data.Dataset.range(7).batch(4)
    pairs = tf.data.Dataset.zip(numbers, numbers)
    parts = tensorflow_replicas.divided(pairs, 3)
    found = [x.numpy().tolist() for x, _ in parts]
    assert found == [[0], [1], [2, 3], [4], [5], [6]]


def test_replicas_that_are_broken_off_resume(tmp_path):
    settings = {"crops": True, "epochs": 2, "loss": "TCL", "size": 35}
    settings["synchronized"] = False
    (whole,) = launch.on_devices(tmp_path, [2], **settings)
    settings |= {"fault": "broken_off", "backup": str(tmp_path / "backup")}
    (resumed,) = launch.on_devices(tmp_path, [2], **settings)
    assert launch.difference(resumed, whole) == 0
    assert resumed["history"] == whole["history"]
