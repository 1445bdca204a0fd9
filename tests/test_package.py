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
