"""What importing the package does and does not do."""

import difflib
import importlib
import importlib.util
import os
import pathlib
import subprocess
import sys
import types

import pytest

import keras_tcl
from tests.snapshots import names


def run(code, **environment):
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_import_brings_no_backend_but_the_active_one():
    loaded = run(
        "import sys, keras_tcl;"
        "print(sorted({'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    # Keras itself imports PyTorch's or TensorFlow's neighbours in places:
    # what `import keras` brings is not ours to answer for.
    keras_alone = run(
        "import sys, keras;"
        "print(sorted({'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
    )
    assert loaded == keras_alone


@pytest.mark.slow
def test_import_has_no_side_effects_on_keras():
    run(
        "import keras\n"
        "before = (keras.config.floatx(), keras.config.dtype_policy().name,\n"
        "          keras.config.image_data_format(), keras.config.backend())\n"
        "import keras_tcl\n"
        "assert before == (keras.config.floatx(),\n"
        "                  keras.config.dtype_policy().name,\n"
        "                  keras.config.image_data_format(),\n"
        "                  keras.config.backend())\n"
    )


@pytest.mark.slow
def test_optional_packages_are_not_imported():
    optional = (
        "{'tensorflow_datasets', 'tonic', 'aedat', 'sklearn', 'matplotlib',"
        " 'keras_cv', 'PIL'}"
    )
    loaded = run(
        f"import sys, keras; before = set(sys.modules); import keras_tcl;"
        f"print(sorted({optional} & (set(sys.modules) - before)))"
    )
    assert loaded.strip() == "[]"


def test_no_module_is_hidden_by_a_function_of_its_name():
    for path in pathlib.Path(keras_tcl.__file__).parent.rglob("*.py"):
        folder = path.parent.relative_to(
            pathlib.Path(keras_tcl.__file__).parents[1]
        )
        package = sys.modules.get(".".join(folder.parts))
        found = getattr(package, path.stem, None)
        if path.stem == "__init__":
            continue
        assert found is None or isinstance(found, types.ModuleType), path


def test_public_names_exist_and_have_a_docstring():
    kernels = importlib.import_module("keras_tcl.kernels")
    for package in (*names.packages(), kernels):
        for name in getattr(package, "__all__", []):
            public = getattr(package, name)
            if callable(public):
                assert public.__doc__, f"{package.__name__}.{name}"


def test_public_names_are_those_of_the_snapshot():
    kept = names.PATH.read_text().splitlines()
    difference = difflib.unified_diff(
        kept, names.snapshot().splitlines(), "kept", "now", n=0, lineterm=""
    )
    difference = "\n".join(difference)
    assert not difference, (
        f"{difference}\nPublic names have changed. If that is meant, "
        "`make snapshot` writes them down, and CHANGELOG.md says so."
    )


# Hides packages from the imports that follow, as if they were not installed.
HIDDEN = """
import sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *args):
        if name.partition(".")[0] not in {hidden}:
            return self.finder.find_spec(name, *args)
sys.meta_path[:] = map(Hiding, sys.meta_path)
import keras_tcl
"""


def import_without(hidden, **environment):
    """What is written by an import that fails."""
    result = subprocess.run(
        [sys.executable, "-c", HIDDEN.format(hidden=hidden)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1
    return result.stderr


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_a_backend_that_is_not_installed(backend):
    """One traceback, of one line of ours, and what to do."""
    message = import_without([backend], KERAS_BACKEND=backend)
    assert message.count("Traceback") == 1
    assert message.count("File") == 2
    last = message.splitlines()[-1]
    assert last.startswith(
        f"ImportError: Keras takes {backend} as its backend by the environment "
        f"variable KERAS_BACKEND, and {backend} is not installed. Install it "
        f'(`pip install "keras-tcl[{backend}]"`)'
    )
    for other in {"jax", "torch", "tensorflow"} - {backend}:
        is_installed = importlib.util.find_spec(other) is not None
        assert (f"KERAS_BACKEND={other}" in last) is is_installed


@pytest.mark.once
@pytest.mark.slow
def test_no_backend_at_all(tmp_path):
    """Keras' file of settings is named where no variable is set."""
    message = import_without(
        ["jax", "torch", "tensorflow"],
        KERAS_BACKEND="",
        KERAS_HOME=str(tmp_path),
    )
    assert message.splitlines()[-1] == (
        "ImportError: Keras takes tensorflow as its backend by "
        f"{tmp_path}/keras.json or its own default, and tensorflow is not "
        'installed. Install it (`pip install "keras-tcl[tensorflow]"`).'
    )


@pytest.mark.once
@pytest.mark.slow
def test_another_package_that_is_missing_is_what_python_says():
    message = import_without(["numpy"])
    assert message.splitlines()[-1] == (
        "ModuleNotFoundError: No module named 'numpy'"
    )


@pytest.mark.once
@pytest.mark.slow
def test_backend_can_be_switched_without_another_change():
    """The five lines of the README, at a small size."""
    code = (
        "import numpy as np, keras_tcl\n"
        "from keras_tcl.losses import STCL\n"
        "x = np.random.randint(0, 256, (8, 8, 8, 3), 'uint8')\n"
        "y = np.random.randint(0, 2, 8)\n"
        "model = keras_tcl.models.sew_resnet([1], [4], (8, 8, 3), classes=2)\n"
        "model.compile(optimizer='sgd', loss=STCL(), metrics=['accuracy'])\n"
        "model.fit(x, y, verbose=0)\n"
        "assert model.evaluate_timesteps(x, y).shape == (4,)\n"
        "model.timesteps = 1\n"
        "assert model.predict(x, verbose=0).shape == (8, 2)\n"
    )
    for backend in ("tensorflow", "jax", "torch"):
        if importlib.util.find_spec(backend) is None:
            continue
        run(code, KERAS_BACKEND=backend)
