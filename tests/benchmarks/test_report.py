"""Reports of results written by hand."""

import pytest

from benchmarks.paper import figures, report
from benchmarks.paper.artefacts import cells_of
from benchmarks.paper.runner import Run
from benchmarks.paper.scales import FULL
from benchmarks.paper.storage import write_json


def write_result(output, cell, seed, accuracies):
    run = Run(cell.configuration, seed, (cell.name,))
    result = {
        "key": cell.configuration.key,
        "seed": seed,
        "accuracy": accuracies,
        "firing_rates": {"stem": 1.0, "stage1_block1": 31.18},
        "output_rates": {"stem": 1.0, "stage1_block1": 50.0},
        "seconds": 1800.0,
        "versions": {"keras": "3"},
    }
    write_json(run.folder(output) / "result.json", result)


def rows(text, *labels):
    lines = [line.strip("| ").split(" | ") for line in text.splitlines()]
    return [line for line in lines if line[: len(labels)] == list(labels)]


def test_paper_ours_and_difference(tmp_path):
    cells = cells_of("table1", FULL)
    baseline, tcl = cells[0], cells[1]
    write_result(tmp_path, baseline, 0, [70.0, 71.0, 72.0, 75.0])
    write_result(tmp_path, baseline, 1, [70.0, 73.0, 72.0, 77.0])
    write_result(tmp_path, tcl, 0, [70.0, 71.0, 72.0, 78.38])
    text = report.markdown("table1", FULL, cells, tmp_path, seeds=2)
    header = rows(text, "data")[0]
    (row,) = rows(text, "CIFAR-100", "SEW-18", "Baseline")
    row = dict(zip(header, row, strict=True))
    assert row["paper"] == "76.07"
    assert row["ours"] == "76.00 ± 1.00"
    assert row["difference"] == "-0.07"
    assert (row["t=1"], row["t=2"], row["seeds"]) == ("70.00", "72.00", "2")
    (row,) = rows(text, "CIFAR-100", "SEW-18", "TCL")
    row = dict(zip(header, row, strict=True))
    assert (row["gain, paper"], row["gain, ours"]) == ("+1.31", "+2.38")
    assert "3 runs, 1.50 hours" in text
    assert "* table1/CIFAR-100/SEW-18/STCL, seed 0: not run" in text


def test_cited_numbers_are_marked(tmp_path):
    cells = cells_of("table3", FULL)
    text = report.markdown("table3", FULL, cells, tmp_path, seeds=1)
    (row,) = rows(text, "CIFAR-10", "ResNet-19", "TET (ICLR 2022) (cited)")
    assert row[3:6] == ["6", "94.50", "–"]


def test_rates_of_blocks(tmp_path):
    cells = cells_of("table4", FULL)
    write_result(tmp_path, cells[0], 0, [70.0, 71.0, 72.0, 75.0])
    text = report.markdown("table4", FULL, cells, tmp_path, seeds=1)
    paper, ours, difference, output = rows(text, "CIFAR-100", "SEW-18")[:4]
    assert paper[3:5] == ["paper", "30.18"]
    assert ours[3:5] == ["ours", "31.18"]
    assert difference[3:5] == ["difference", "+1.00"]
    assert output[3:5] == ["ours, block output", "50.00"]


@pytest.mark.parametrize("artefact", figures.FIGURES)
def test_figures_are_drawn(tmp_path, artefact):
    pytest.importorskip("matplotlib")
    cells = cells_of(artefact, FULL)
    for cell in cells[:3]:
        steps = cell.configuration.timesteps
        write_result(tmp_path, cell, 0, [70.0 + t for t in range(steps)])
    path = tmp_path / f"{artefact}.png"
    figures.draw(cells, tmp_path, 1, path)
    assert path.read_bytes().startswith(b"\x89PNG")
