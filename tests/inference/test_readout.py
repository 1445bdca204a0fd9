"""A readout: compiled, of any structure, for arrays and data sets."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl import graph
from keras_tcl.inference.latency import step_logits
from keras_tcl.inference.readout import Readout
from tests.models import tiny


def parts(network, x):
    outputs = graph.walk(network, ops.cast(x, "float32"))
    return {
        "rates": ops.mean(outputs["stage1"], axis=(2, 3, 4)),
        "logits": outputs["logits"],
    }


@pytest.mark.parametrize("batch_size", [3, 32])
def test_predicts_a_dictionary(batch_size):
    model = tiny.network()
    x, _ = tiny.images(7)
    readout = Readout(model.network, parts)
    results = readout.predict(x, batch_size)
    assert results["rates"].shape == (7, 3)
    np.testing.assert_allclose(
        results["logits"], model.predict_timesteps(x), atol=1e-6
    )
    of_batch = readout.predict_on_batch(x)
    for name, value in results.items():
        assert isinstance(value, np.ndarray)
        assert isinstance(of_batch[name], np.ndarray)
        np.testing.assert_allclose(of_batch[name], value, atol=1e-6)


def test_reads_data_sets():
    model = tiny.network()
    x, y = tiny.images(8)
    results = Readout(model.network, parts).predict(
        tiny.data_set(x, y, shuffle=False)
    )
    np.testing.assert_allclose(
        results["logits"], model.predict_timesteps(x), atol=1e-6
    )


def test_recordings_of_any_length():
    model = tiny.network(input_shape=(None, 8, 8, 2))
    readout = Readout(model.network, step_logits)
    for timesteps in (3, 2, 5):
        x, _ = tiny.recordings(timesteps=timesteps)
        assert readout.predict(x).shape == (8, timesteps, 3)
        assert readout.predict_on_batch(x).shape == (8, timesteps, 3)


def test_is_compiled_where_predict_is():
    traced = []

    def counted(network, x):
        traced.append(1)
        return step_logits(network, x)

    readout = Readout(tiny.network().network, counted)
    x, _ = tiny.images(9)
    readout.predict(x, batch_size=3)
    if keras.config.backend() == "torch":
        assert len(traced) == 3
    else:
        before = len(traced)
        readout.predict(x, batch_size=3)
        assert len(traced) == before


def test_sees_new_weights():
    model = tiny.network()
    x, _ = tiny.images(4)
    readout = Readout(model.network, step_logits)
    before = readout.predict(x)
    (dense,) = tiny.classifier_of(model).dense_layers
    dense.bias.assign(dense.bias + 1.0)
    np.testing.assert_allclose(readout.predict(x), before + 1.0, atol=1e-5)


def test_takes_a_plain_network():
    network = keras_tcl.spiking_vgg.network([[4]], (8, 8, 1), 3, timesteps=2)
    x, _ = tiny.images(4)
    np.testing.assert_allclose(
        Readout(network, step_logits).predict(x),
        ops.convert_to_numpy(network(x)["logits"]),
        atol=1e-6,
    )
