"""The speed benchmark measures, skips what is missing, and says so."""

import json
import subprocess
import sys

import keras

from benchmarks.speed.__main__ import ROOT, case, table

BACKEND = keras.config.backend()


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_measures_a_layer_and_skips_a_missing_library(tmp_path):
    ours, theirs = f"keras_tcl:{BACKEND}", "spikingjelly"
    done = run(
        *("lif-T32", "--batch", 8, "--rounds", 1, "--output", tmp_path),
        *("--only", ours, theirs),
    )
    assert done.returncode == 0, done.stderr
    _, results = json.loads((tmp_path / "speed.json").read_text())["lif-T32"]
    assert results[ours]["step"] > 0
    assert f"| {ours} |" in (tmp_path / "speed.md").read_text()
    try:
        import spikingjelly  # noqa: F401
    except ImportError:
        assert "spikingjelly skipped" in done.stdout
        assert list(results) == [ours]


def test_trains_a_network():
    from benchmarks.speed import ours

    settings = {**case("sew_resnet18", 2, 1), "size": 8}
    ours.steps(settings, "lif", "block")(1)


def test_table_gives_ratios_to_the_reference():
    result = {"step": 2.0, "memory": 3e6, "range": [1.9, 2.1], "compile": 0.5}
    reference = {**result, "step": 4.0, "memory": 12e6}
    text = table(
        "name",
        case("lif", 4, 2),
        {"ours": result, "spikingjelly": reference},
    )
    assert "| ours | 0.50 | 0.25 | 2.000 (1.900 to 2.100) | 3 | 0.5 |" in text


def test_unknown_case():
    done = run("nothing")
    assert done.returncode == 2
    assert "sew_resnet18-T4" in done.stderr
