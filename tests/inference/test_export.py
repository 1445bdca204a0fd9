"""A network with neurons, exported to ONNX, gives the same spikes."""

import keras
import numpy as np
import pytest

from keras_tcl.layers import LIF, DirectEncoding, EachStep

BACKEND = keras.config.backend()
# The converter behind Keras' export, for each backend.
CONVERTER = {"tensorflow": "tf2onnx", "jax": "jax2onnx", "torch": "onnxscript"}


def export_and_run(model, x, path):
    pytest.importorskip(
        CONVERTER[BACKEND], reason="Keras' ONNX export needs it on this backend"
    )
    onnxruntime = pytest.importorskip("onnxruntime")
    model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: x})[0]


# The converters warn about their own use of NumPy, protobuf and tracing.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("timesteps", [4, 20], ids=["unrolled", "scan"])
def test_onnx(timesteps, tmp_path):
    if BACKEND == "tensorflow" and timesteps > 16:
        pytest.skip("tf2onnx cannot convert the loop of keras.ops.scan")
    inputs = keras.Input((4, 4, 2))
    x = keras.layers.Conv2D(3, 3, padding="same")(inputs)
    x = LIF()(DirectEncoding(timesteps)(x))
    x = EachStep(keras.layers.Conv2D(3, 3))(x)
    x = EachStep(keras.layers.BatchNormalization())(x)
    outputs = LIF(threshold=0.25, reset="soft")(x)
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 2)).astype("float32")
    expected = model.predict(x, verbose=0)
    assert 0.05 < expected.mean() < 0.95
    # The exported model takes any batch size.
    np.testing.assert_array_equal(
        export_and_run(model, x, str(tmp_path / "model.onnx")), expected
    )
