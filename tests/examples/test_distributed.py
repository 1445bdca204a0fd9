"""One script, started as on a laptop and as on a machine of two devices."""

import os
import pathlib
import subprocess
import sys

import keras
import pytest

import keras_tcl

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = str(ROOT / "examples" / "distributed.py")
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]


@pytest.mark.parametrize(
    ("started", "count"), [([], 1), ([*TORCHRUN, "--standalone"], 2)]
)
def test_distributed(started, count, tmp_path):
    if count > 1 and keras.config.backend() != "torch":
        pytest.skip("Several processes are PyTorch's.")
    output = tmp_path / "model.keras"
    done = subprocess.run(
        [sys.executable, *started, SCRIPT, "--epochs", "1"]
        + ["--output", str(output)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # The first process alone reports.
    assert done.stdout.count("process(es)") == 1
    assert f"\n{count} process(es)" in done.stdout
    assert done.stdout.count("val_accuracy") == 1
    model = keras.saving.load_model(output)
    assert isinstance(model, keras_tcl.TCLModel)
