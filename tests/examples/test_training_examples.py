"""Each training example, run as a user would, at its smallest scale."""

import os
import pathlib
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.data import samples
from tests.data.events import writers

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
ROOT = pathlib.Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    **os.environ,
    "MPLBACKEND": "Agg",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
}


def run(folder, example, *arguments, by=()):
    """Run `examples/EXAMPLE` in `folder`, `by` what comes before its path."""
    path = ROOT / "examples" / example
    return subprocess.run(
        [sys.executable, *by, *map(str, [path, *arguments])],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def succeed(*arguments, **options):
    start = time.monotonic()
    result = run(*arguments, **options)
    assert result.returncode == 0, result.stderr[-3000:]
    print(f"{arguments[1]}: {time.monotonic() - start:.1f} s")
    # No progress bar that moves the cursor, now that the output is a file.
    assert not re.search("[\b\r\x1b]", result.stdout)
    return result.stdout


def accuracies_of(line):
    return [float(number) for number in re.findall(r"\d+\.\d+", line)]


def is_picture(path):
    return (
        path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5e3
    )


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """Files in the official layout, and what the example made of them."""
    folder = tmp_path_factory.mktemp("cifar")
    samples.write_cifar10(folder)
    output = succeed(folder, "train_cifar.py", "--quick", "--data-dir", folder)
    return folder, output


def test_train_cifar(cifar):
    folder, output = cifar
    assert len(re.findall(r"after \d time step\(s\)", output)) == 4
    assert "val_accuracy_t1" in output and "firing_rate" in output
    assert is_picture(folder / "cifar_output" / "latency.png")
    assert (folder / "cifar_output" / "model.keras").exists()
    assert not (folder / "cifar_output" / "backup").exists()


def test_train_cifar_goes_on_after_an_interruption(cifar):
    folder, expected = cifar
    arguments = ("--quick", "--data-dir", folder, "--output", "resumed")
    killing = (
        "import os, runpy, sys, keras_tcl\n"
        "backup = keras_tcl.callbacks.BackupAndResume\n"
        "save = backup._save\n"
        "def save_and_die(self):\n"
        "    save(self)\n"
        "    if self._epoch == 1:\n"
        "        os._exit(9)\n"
        "backup._save = save_and_die\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    result = run(folder, "train_cifar.py", *arguments, by=["-c", killing])
    assert result.returncode == 9, result.stderr[-3000:]
    assert (folder / "resumed" / "backup").exists()
    output = succeed(folder, "train_cifar.py", *arguments)
    assert "Epoch 1/2" not in output and "Epoch 2/2" in output

    def last_epoch(text):
        line = re.findall(r"contrastive_loss: .*", text)[-1]
        return accuracies_of(line) + accuracies_of(text.split("_t1")[-1])

    np.testing.assert_allclose(last_epoch(output), last_epoch(expected), 1e-3)


def test_finetune_latency(cifar):
    folder, _ = cifar
    output = succeed(
        folder,
        "finetune_latency.py",
        folder / "cifar_output" / "model.keras",
        "--quick",
        "--data-dir",
        folder,
        "--loss",
        "tet",
    )
    *_, before, after = output.strip().splitlines()
    assert before.startswith("before") and after.startswith("fine-tuned")
    assert len(accuracies_of(before)) == len(accuracies_of(after)) == 4
    assert (folder / "cifar_output" / "finetuned.keras").exists()


def test_train_events(tmp_path):
    for split, count in (("train", 4), ("test", 2)):
        for label in ("left", "right"):
            for k in range(count):
                events = writers.random_events(k, sensor_size=(16, 16))
                events["x"] //= 2
                events["x"] += 8 * (label == "right")
                path = tmp_path / "mine" / split / label / f"{k}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, events)
    output = succeed(
        tmp_path,
        "train_events.py",
        "--quick",
        "--dataset",
        "event_folder",
        "--data-dir",
        tmp_path / "mine",
        "--sensor-size",
        "16",
        "16",
    )
    assert len(re.findall(r"after \d time step\(s\)", output)) == 3
    for name in ("latency.png", "firing_rates.png"):
        assert is_picture(tmp_path / "event_output" / name)
    assert (tmp_path / "event_output" / "model.keras").exists()


def test_demo(tmp_path):
    output = succeed(tmp_path, "demo.py", "--epochs", "1")
    table = re.findall(r"^(baseline|STCL) (.*%)$", output, re.MULTILINE)
    assert len(table) == 2
    assert all(len(accuracies_of(row)) == 4 for _, row in table)
    assert is_picture(tmp_path / "demo_output" / "latency.png")
    assert (tmp_path / "demo_output" / "model.keras").exists()


def test_compare_losses(tmp_path):
    output = succeed(tmp_path, "compare_losses.py", "--quick")
    table = output.strip().splitlines()[-6:]
    assert table[0] == "| accuracy in % | t = 1 | t = 2 |"
    assert [row.split("|")[1].strip() for row in table[2:]] == [
        "baseline",
        "TET",
        "TCL",
        "STCL",
    ]
    assert all(len(accuracies_of(row)) == 2 for row in table[2:])
    for name in ("latency.png", "firing_rates.png"):
        assert is_picture(tmp_path / "losses_output" / name)


@pytest.mark.parametrize(
    "example, arguments, where",
    [
        ("train_cifar.py", [], "cifar-10-binary.tar.gz"),
        ("train_events.py", ["--dataset", "nmnist"], "Train.zip"),
    ],
)
def test_says_which_file_to_put_where(tmp_path, example, arguments, where):
    code = (
        "import runpy, socket, sys\n"
        # No download: the message is for those who have no network.
        "def refuse(*_, **__):\n"
        "    raise OSError('no network')\n"
        "socket.getaddrinfo = refuse\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    result = run(
        tmp_path,
        example,
        "--quick",
        "--data-dir",
        tmp_path / "nothing",
        *arguments,
        by=["-c", code],
    )
    assert result.returncode == 1
    message = result.stderr.strip().splitlines()[-1]
    assert where in message and str(tmp_path / "nothing") in message
