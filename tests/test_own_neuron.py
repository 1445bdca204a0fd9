"""A user's own neuron from training to other backends and runtimes."""

import inspect
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_tcl
from benchmarks import runtimes
from keras_tcl import analysis
from tests.models import tiny
from tests.neurons import AdaptiveLIF

pytestmark = pytest.mark.slow
BACKEND = keras.config.backend()
OTHERS = [b for b in ("tensorflow", "jax", "torch") if b != BACKEND]

OPEN = """
import sys
import numpy as np
import keras_tcl
import tests.neurons

folder = sys.argv[1]
data = np.load(folder + "/data.npz")
model = keras_tcl.load_model(folder + "/model.keras")
steps = model.predict_timesteps(data["x"])
np.testing.assert_allclose(steps, data["steps"], rtol=1e-4, atol=1e-4)
session = model.stream()
for t in range(steps.shape[1]):
    mean = session(data["x"])
    np.testing.assert_allclose(mean, steps[:, : t + 1].mean(1), atol=1e-4)
"""


def test_it_has_at_most_15_lines():
    lines = inspect.getsource(AdaptiveLIF).splitlines()
    assert len([line for line in lines if line.strip()]) <= 15


def test_trained_saved_reopened_streamed_exported(tmp_path):
    model = tiny.network(neuron=AdaptiveLIF(), input_shape=(8, 8, 3))
    model.compile(
        keras.optimizers.Adam(0.01), keras_tcl.losses.STCL(weight=0.1)
    )
    x, y = tiny.images(24, (8, 8, 3))
    rises = [
        layer.rise
        for layer in keras_tcl.graph.layers(model.network)
        if isinstance(layer, AdaptiveLIF)
    ]
    assert len(rises) == 6
    before = [keras.ops.convert_to_numpy(r.value).copy() for r in rises]
    losses = model.fit(x, y, batch_size=8, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for rise, old in zip(rises, before, strict=True):
        assert np.abs(keras.ops.convert_to_numpy(rise.value) - old).max() > 1e-3

    steps = model.predict_timesteps(x)
    rates = analysis.firing_rates(model, x)
    assert len(rates) == 6 and rates["stem"].mean() > 0.01
    session = model.stream()
    for t in range(steps.shape[1]):
        mean = steps[:, : t + 1].mean(1)
        np.testing.assert_allclose(session(x), mean, atol=1e-5)

    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=x, steps=steps)
    for other in OTHERS:
        result = subprocess.run(
            [sys.executable, "-c", OPEN, str(tmp_path)],
            env={**os.environ, "KERAS_BACKEND": other},
            cwd=pathlib.Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr


@pytest.mark.filterwarnings("ignore")  # The converters' own.
def test_exported(tmp_path):
    for module in ("onnxruntime", "jax2onnx" if BACKEND == "jax" else "onnx"):
        pytest.importorskip(module)
    model = tiny.network(neuron=AdaptiveLIF(), input_shape=(8, 8, 3))
    x, _ = tiny.images(5, (8, 8, 3))
    model.export(tmp_path / "model.onnx")
    logits = runtimes.OPEN["onnx"](str(tmp_path / "model.onnx"))({"inputs": x})[
        "logits"
    ]
    np.testing.assert_allclose(logits, model.predict(x, verbose=0), atol=1e-5)
