"""One script, started as on a laptop and as on machines of two devices."""

import subprocess
import sys

import keras
import pytest

import keras_tcl
from tests.distribution import launch
from tests.examples.test_training_examples import ENVIRONMENT, ROOT, succeed

TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
# A quarter of the epoch's steps, for each of them compiles alike.
ARGUMENTS = ["--epochs", "1", "--batch-size", "256"]


def check(text, count, output):
    # The first process alone reports.
    assert text.count("process(es)") == 1
    assert f"\n{count} process(es)" in text
    assert text.count("val_accuracy") == 1
    model = keras.saving.load_model(output)
    assert isinstance(model, keras_tcl.TCLModel)


def test_on_one_device(tmp_path):
    output = tmp_path / "model.keras"
    arguments = [*ARGUMENTS, "--output", output]
    check(succeed(tmp_path, "distributed.py", *arguments), 1, output)


def test_in_two_processes_by_torchrun(tmp_path):
    if keras.config.backend() != "torch":
        pytest.skip("torchrun is PyTorch's")
    output = tmp_path / "model.keras"
    by = [*TORCHRUN, "--standalone"]
    arguments = [*ARGUMENTS, "--output", output]
    check(succeed(tmp_path, "distributed.py", *arguments, by=by), 2, output)


def test_in_two_processes_by_variables(tmp_path):
    if keras.config.backend() == "torch":
        pytest.skip("torchrun starts them")
    output = tmp_path / "model.keras"
    command = [ROOT / "examples" / "distributed.py", "--output", output]
    texts = [tmp_path / f"{index}.txt" for index in range(2)]
    processes = []
    for text, variables in zip(texts, launch.variables(2), strict=True):
        with text.open("w") as file:
            processes.append(
                subprocess.Popen(
                    [sys.executable, *map(str, [*command, *ARGUMENTS])],
                    env=ENVIRONMENT | variables,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            )
    for process, text in zip(processes, texts, strict=True):
        assert process.wait(300) == 0, text.read_text()[-3000:]
    check(texts[0].read_text() + texts[1].read_text(), 2, output)
