"""Import, load, fit and prepare where TensorFlow is not installed."""

import hashlib
import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_tcl import data
from tests.data import samples

pytest.importorskip("tensorflow")  # To compare with.
pytestmark = [pytest.mark.once, pytest.mark.slow]

# One process for all of it: importing a backend takes seconds.
SCRIPT = """
import sys
import keras_tcl.data as data
data.info("cub200")
heavy = {"tensorflow", "tensorflow_datasets", "tonic", "aedat"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)

# From now on as if TensorFlow were not installed.
import importlib.machinery
finder = importlib.machinery.PathFinder
find = finder.find_spec
finder.find_spec = classmethod(
    lambda cls, name, *rest: None
    if name.split(".")[0] == "tensorflow"
    else find(name, *rest)
)

import hashlib, keras
train = data.load("digits", "train[:400]", batch_size=64, seed=1)
assert isinstance(train, keras.utils.PyDataset), type(train)
digest = hashlib.sha256()
for epoch in range(2):
    for x, y in train:
        digest.update(x.tobytes() + y.tobytes())
print("digest", digest.hexdigest())

model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True))
model.fit(train, validation_data=data.load("digits", "test"), verbose=0)

try:
    train.as_tf()
except ImportError as error:
    assert "pip install keras_tcl[tensorflow]" in str(error)
else:
    raise AssertionError("no ImportError")

import pathlib, urllib.request
from tensorflow_datasets.core.download import download_manager
root = pathlib.Path(sys.argv[1])
download_manager.DownloadManager.download = (
    lambda self, urls: str(root / "aircraft.tar.gz")
)
urllib.request.getproxies = lambda: {"https": "x"}
source = data.source("fgvc_aircraft", "validation", root, image_size=8)
assert sorted(source.labels) == [2, 3]
assert source.read([0, 1])[0].shape == (2, 8, 8, 3)
print("prepared")

try:
    data.source("cifar10", "train", root)
except ImportError as error:
    assert "tensorflow-cpu" in str(error), error
    assert "by hand: the binary version" in str(error), error
else:
    raise AssertionError("no ImportError")
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    pytest.importorskip("tensorflow_datasets")
    backends = [keras.config.backend(), "jax", "torch"]
    backend = next(
        (
            name
            for name in backends
            if name != "tensorflow" and importlib.util.find_spec(name)
        ),
        None,
    )
    if backend is None:
        pytest.skip("TensorFlow is the only backend installed")
    root = tmp_path_factory.mktemp("data")
    samples.write_fgvc_aircraft(root / "remote")
    samples.pack(root / "remote", root / "aircraft.tar.gz", contents=True)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_same_batches(output):
    digest = hashlib.sha256()
    train = data.load("digits", "train[:400]", 64, seed=1).as_tf()
    for _ in range(2):
        for x, y in train:
            digest.update(np.asarray(x).tobytes() + np.asarray(y).tobytes())
    assert f"digest {digest.hexdigest()}" in output


def test_tfds_prepares_and_reads(output):
    assert "prepared" in output
