"""Runs of seconds, as a user starts them."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("sklearn")  # The digits.
pytest.importorskip("matplotlib")

from benchmarks.paper import checkpoints, scales
from benchmarks.paper.__main__ import main
from tests.benchmarks import tiny

BASELINE = "table1/CIFAR-10/SEW-18/Baseline"
TCL = "table1/CIFAR-10/SEW-18/TCL"
STCL = "table1/CIFAR-10/SEW-18/STCL"


@pytest.fixture(autouse=True)
def tiny_scale(monkeypatch):
    monkeypatch.setitem(scales.SCALES, "tiny", tiny.SCALE)


def command(output, *cells):
    folder = ["--output", str(output), "--data-dir", str(output / "nothing")]
    return ["table1", "--scale", "tiny", *folder, "--cells", *cells]


def results(output):
    paths = sorted(pathlib.Path(output).rglob("result.json"))
    return [json.loads(path.read_text()) for path in paths]


def figures_of(result):
    """What must not depend on when a run was killed."""
    names = ("key", "seed", "epochs", "accuracy", "firing_rates", "history")
    return {name: result[name] for name in names}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """The folder of an uninterrupted run of TCL."""
    output = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(scales.SCALES, "tiny", tiny.SCALE)
        assert main(command(output, TCL)) == 0
    return output


def start(output, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.tiny", *arguments]
        + command(output, TCL),
        cwd=pathlib.Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_killed_and_resumed_equals_uninterrupted(tmp_path, whole_run):
    first = start(tmp_path, "--kill", "second epoch")
    assert first.returncode == -9, first.stderr
    second = start(tmp_path, "--kill", "between renames")
    assert second.returncode == -9, second.stderr
    assert "resumed after epoch 1 of 4" in second.stdout
    assert not list(tmp_path.rglob("checkpoint.keras"))  # A bad moment.
    assert not results(tmp_path)
    assert main(command(tmp_path, TCL)) == 0
    (resumed,), (whole,) = results(tmp_path), results(whole_run)
    assert figures_of(resumed) == figures_of(whole)
    assert resumed["resumed_after"] == [1] and not whole["resumed_after"]
    assert len({epoch["loss"] for epoch in whole["history"]}) == 4


def test_result_says_what_it_depends_on(whole_run):
    (result,) = results(whole_run)
    assert result["configuration"]["loss_options"]["weight"] == 0.5
    assert {"keras", "keras_tcl", "numpy"} <= set(result["versions"])
    assert len(result["accuracy"]) == 4 and len(result["history"]) == 4
    assert result["seconds"] > 0 and result["seed"] == 0
    assert (whole_run / "table1-tiny.md").exists()


def test_done_is_skipped(whole_run, capsys):
    (path,) = whole_run.rglob("result.json")
    before = path.stat().st_mtime_ns
    assert main(command(whole_run, TCL)) == 0
    assert "done before" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == before


def damage(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """The folder of a run that was stopped after its second epoch."""
    output = tmp_path_factory.mktemp("interrupted")
    save = checkpoints.Checkpoints.save

    def stop_after_two(self, model, progress):
        save(self, model, progress)
        if progress["epochs"] == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(scales.SCALES, "tiny", tiny.SCALE)
        patch.setattr(checkpoints.Checkpoints, "save", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            main(command(output, TCL))
    return output


@pytest.mark.parametrize("with_previous", [True, False])
def test_corrupt_checkpoint(
    tmp_path, whole_run, interrupted, capsys, with_previous
):
    """Back to the one before, or to the beginning, and the same result."""
    output = shutil.copytree(interrupted, tmp_path / "copy")
    (last,) = output.rglob("checkpoint.keras")
    damage(last)
    if not with_previous:
        damage(last.with_name("checkpoint-previous.keras"))
    assert main(command(output, TCL)) == 0
    printed = capsys.readouterr().out
    assert "checkpoint.keras is damaged" in printed
    assert ("resumed after epoch 1" in printed) == with_previous
    (again,), (whole,) = results(output), results(whole_run)
    assert figures_of(again) == figures_of(whole)


def test_missing_data_and_full_disk_stop_no_other(
    tmp_path, capsys, monkeypatch
):
    save = checkpoints.Checkpoints.save

    def full_for_one(self, model, progress):
        if "-TCL-" in str(self.folder):
            raise OSError(28, "No space left on device")
        save(self, model, progress)

    monkeypatch.setattr(checkpoints.Checkpoints, "save", full_for_one)
    arguments = command(tmp_path, "*DVS*/SEW-18/STCL", TCL, BASELINE)
    assert main([*arguments, "--epochs", "1"]) == 1
    printed = capsys.readouterr().out
    (result,) = results(tmp_path)
    assert result["configuration"]["loss"] == "MeanCrossEntropy"
    report = (tmp_path / "table1-tiny.md").read_text()
    for text in (printed, report):
        assert "SEW-18/STCL, seed 0: data missing: cifar10_dvs: Put air" in text
        assert "/TCL, seed 0: cannot write or read: [Errno 28] No sp" in text


def test_checkpoint_of_another_backend(interrupted, monkeypatch, capsys):
    backend = checkpoints.keras.config.backend()
    monkeypatch.setattr(checkpoints.keras.config, "backend", lambda: "another")
    assert main(command(interrupted, TCL)) == 1
    printed = capsys.readouterr().out
    assert f"was written under KERAS_BACKEND={backend}" in printed


def test_steps_without_the_data(tmp_path, capsys):
    arguments = command(tmp_path, "*DVS*/SEW-18/Baseline", STCL)
    assert main([*arguments, "--steps", "1", "--batch-size", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (images,) = [line for line in lines if STCL in line]
    (events,) = [line for line in lines if "DVS" in line]
    assert "| 2 | real |" in images
    assert "| 2 | random: data missing |" in events
    assert not results(tmp_path)


def test_dry_run(capsys):
    assert main(["all", "--scale", "full", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "table2/CUB/SEW-18/STCL: cub200-sew_resnet18-STCL-T4" in printed
    assert "table3/CIFAR-10/ResNet-19/TET (ICLR 2022): cited" in printed


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["table9", "--scale", "full"], "there are table1, table2"),
        (["table1", "--scale", "huge"], "there are digits, small, full"),
        (
            ["table1", "--scale", "full", "--cells", "X"],
            "no cell 'X'.*CIFAR-100/SEW-18/Baseline",
        ),
    ],
)
def test_unknown_names(capsys, arguments, message):
    with pytest.raises(SystemExit):
        main(arguments)
    printed = " ".join(capsys.readouterr().err.split())
    assert re.search(message, printed)
