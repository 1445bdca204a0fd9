"""`make gpu` where there is no GPU: it says so, and what it would do."""

import socket

import pytest

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import machine, same_numbers


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A driver's answer; and no choice of GPUs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    path = tmp_path / "nvidia-smi"
    path.write_text(
        "#!/bin/sh\n"
        'echo "0, NVIDIA H100 80GB HBM3, 81559, 570.86.15"\n'
        'echo "1, NVIDIA H100 80GB HBM3, 81559, 570.86.15"\n'
    )
    path.chmod(0o755)
    return str(path)


def test_lists_the_gpus_that_may_be_used(smi, monkeypatch):
    both = machine.gpus(smi)
    assert [device.index for device in both] == ["0", "1"]
    assert both[1].name == "NVIDIA H100 80GB HBM3"
    assert both[1].memory == 81559 and both[1].driver == "570.86.15"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert machine.gpus(smi) == both[1:]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.gpus(smi) == []
    assert machine.gpus(smi + "-missing") == []


def test_jobs_take_the_gpus_in_turn(smi):
    given = machine.environments(3, machine.gpus(smi))
    assert [job["CUDA_VISIBLE_DEVICES"] for job in given] == ["0", "1", "0"]
    assert machine.environments(2, []) == [{}, {}]


@pytest.fixture
def without_gpus(monkeypatch):
    """And without a network, from which it would fetch data sets."""

    def offline(*arguments, **kwargs):
        raise socket.gaierror("There is no network.")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(socket, "getaddrinfo", offline)


@pytest.mark.usefixtures("without_gpus")
def test_dry_run_says_all_that_is_missing_and_lists_commands(tmp_path, capsys):
    arguments = ["--dry-run", "--output", str(tmp_path / "report")]
    assert gpu.main([*arguments, "--data-dir", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "There is no GPU" in shown
    for name in ("cifar10", "cifar100", "cifar10_dvs"):
        assert f"* {name}: " in shown
    for stage in gpu.STAGES:
        assert f"\n{stage}: python -m " in shown
    assert "--scale full --data-dir" in shown
    assert not (tmp_path / "report").exists()


@pytest.mark.usefixtures("without_gpus")
def test_fails_before_the_first_stage(tmp_path, capsys):
    assert gpu.main(["kernels", "--output", str(tmp_path / "report")]) == 1
    shown = capsys.readouterr().out
    assert "There is no GPU" in shown and "cifar" not in shown
    assert not (tmp_path / "report").exists()
    with pytest.raises(SystemExit):
        gpu.main(["kernel"])
    assert "no stage kernel; there are kernels" in capsys.readouterr().err


def test_a_stage_that_fails_keeps_no_other_from_running(
    tmp_path, monkeypatch, capsys
):
    commands = {
        "kernels": [["this"], ["no_such_module"]],
        "speed": [["this"]],
        "table1": [],
    }
    monkeypatch.setattr(gpu, "missing", lambda *arguments: [])
    monkeypatch.setattr(gpu, "commands_of", lambda s, options: commands[s])
    folder = tmp_path / "report"
    assert gpu.main(["kernels", "--output", str(folder)]) == 1
    assert "Beautiful is better than ugly" in capsys.readouterr().out
    report = (folder / "report.md").read_text()
    assert "## kernels: FAILED" in report and "No module named" in report
    assert "## speed: not run" in report
    assert gpu.main(["speed", "--output", str(folder)]) == 0
    report = (folder / "report.md").read_text()
    assert "## kernels: FAILED" in report and "## speed: passed" in report


def test_numbers_that_differ_fail():
    reference = [2.0, 1.9, 1.8, 1.7, 1.6]
    close = [2.0, 1.9, 1.8, 1.7, 1.59]
    for other, agrees in (
        (close, True),
        ([2.01, *close[1:]], False),
        ([*close[:4], 1.5], False),
        ([*close[:4], float("nan")], False),
    ):
        text = same_numbers.table({"float32": other}, reference)
        assert (" NO |" in text) is not agrees
