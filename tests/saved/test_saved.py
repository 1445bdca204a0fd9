"""Files of every version so far open, and give the numbers they gave."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from tests.saved import make

VERSIONS = sorted(p.name for p in make.FOLDER.glob("[0-9]*") if p.is_dir())
each_version = pytest.mark.parametrize("version", VERSIONS)
each_network = pytest.mark.parametrize("name", make.NETWORKS)


def kept(version, name):
    """The file's path, the input, and the logits that it gave."""
    folder = make.FOLDER / version
    with np.load(folder / f"{name}.npz") as data:
        return folder / f"{name}.keras", data["x"], data["logits"]


def assert_same(logits, expected):
    assert logits.shape == expected.shape and np.ptp(expected) > 0.01
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_this_version_is_kept():
    """`python -m tests.saved.make` was run when the version was released."""
    assert keras_tcl.__version__.split(".dev")[0] in VERSIONS


@each_network
@each_version
def test_model(version, name):
    path, x, expected = kept(version, name)
    model = keras_tcl.load_model(path)
    assert isinstance(model, keras_tcl.TCLModel)
    assert_same(model.predict_timesteps(x), expected)
    loss = make.LOSSES[name]()
    assert type(model.loss) is type(loss)
    assert model.loss.get_config() == loss.get_config()
    assert int(ops.convert_to_numpy(model.optimizer.iterations)) == 3


@each_network
@each_version
def test_weights(version, name):
    path, x, expected = kept(version, name)
    build, _ = make.NETWORKS[name]
    model = build()
    model.load_weights(path.with_suffix(".weights.h5"))
    assert_same(model.predict_timesteps(x), expected)


@each_version
def test_inference_model(version):
    path, x, expected = kept(version, "inference")
    model = keras.saving.load_model(path)
    logits = model.predict(x, verbose=0)
    logits = logits["logits"] if isinstance(logits, dict) else logits
    assert_same(logits, expected)
