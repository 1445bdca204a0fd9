"""One script, started as on a laptop and as on a machine of two devices."""

import keras
import pytest

import keras_tcl
from tests.examples.test_training_examples import succeed

TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]


@pytest.mark.parametrize(
    ("by", "count"), [([], 1), ([*TORCHRUN, "--standalone"], 2)]
)
def test_distributed(by, count, tmp_path):
    if count > 1 and keras.config.backend() != "torch":
        pytest.skip("Several processes are PyTorch's.")
    output = tmp_path / "model.keras"
    arguments = ["--epochs", 1, "--output", output]
    text = succeed(tmp_path, "distributed.py", *arguments, by=by)
    # The first process alone reports.
    assert text.count("process(es)") == 1
    assert f"\n{count} process(es)" in text
    assert text.count("val_accuracy") == 1
    model = keras.saving.load_model(output)
    assert isinstance(model, keras_tcl.TCLModel)
