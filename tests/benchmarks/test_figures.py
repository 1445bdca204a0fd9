"""What the figures show of results written by hand."""

import pytest

from benchmarks.paper import figures
from benchmarks.paper.artefacts import cells_of
from benchmarks.paper.scales import FULL, SMALL
from tests.benchmarks.test_report import write_result

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.once


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draw a figure of the results in a folder, and hand it out."""
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "close", lambda figure: None)

    def draw(cells):
        figures.draw(cells, tmp_path, 2, tmp_path / "figure.png")
        return pyplot.gcf()

    yield draw
    monkeypatch.undo()
    pyplot.close("all")


def values_of(ax, label):
    handles, labels = ax.get_legend_handles_labels()
    (handle,) = [h for h, k in zip(handles, labels, strict=True) if k == label]
    line = getattr(handle, "lines", [handle])[0]
    return dict(zip(line.get_xdata(), line.get_ydata(), strict=True))


def test_values_of_the_paper_do_not_squeeze_ours(tmp_path, draw):
    cells = cells_of("figure2", SMALL)
    write_result(tmp_path, cells[0], 0, [36.0, 45.0, 45.5, 46.0])
    write_result(tmp_path, cells[0], 1, [38.0, 46.0, 46.5, 47.0])
    ours, not_run, paper, _ = draw(cells).axes
    means = {1: 37.0, 2: 45.5, 3: 46.0, 4: 46.5}
    assert values_of(ours, "Baseline") == pytest.approx(means)
    assert values_of(paper, "Baseline, paper") == {1: 44.19, 8: 76.98}
    # Our curve fills its axes, in both directions.
    low, high = ours.get_ylim()
    assert (46.5 - 37) / (high - low) > 0.7
    assert list(ours.get_xticks()) == [1, 2, 3, 4]
    assert list(paper.get_xticks()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert ours.get_ylabel() == "test accuracy, %"
    assert paper.get_ylabel() == "in the paper, %"
    assert [text.get_text() for text in not_run.texts] == ["not run"]


def test_values_of_the_paper_near_ours_share_their_axes(tmp_path, draw):
    cells = cells_of("figure2", FULL)
    write_result(tmp_path, cells[0], 0, [44.0 + 4 * t for t in range(8)])
    ours, _ = draw(cells).axes
    assert values_of(ours, "Baseline, paper") == {1: 44.19, 8: 76.98}
    assert values_of(ours, "Baseline")[8] == 72.0
    assert [text.get_text() for text in ours.texts] == []


def test_a_sweep_has_a_tick_for_each_value(tmp_path, draw):
    cells = cells_of("figure3", SMALL)
    for cell in cells:
        if cell.method == "TCL" and cell.swept[0] == "temperature":
            write_result(tmp_path, cell, 0, [40.0, 40.0, 40.0, 45.0])
    figure = draw(cells)
    for ax in figure.axes[::2]:  # Ours and the paper's, of the temperature.
        assert list(ax.get_xticks()) == [0.03, 0.07, 0.2]
        texts = [text.get_text() for text in ax.get_xticklabels()]
        assert texts == ["0.03", "0.07", "0.2"]
        assert ax.get_xlabel() == r"temperature $\tau$"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["TCL", "TCL, paper", "STCL, paper"]


def test_files(tmp_path, draw):
    cells = cells_of("figure4", FULL)
    write_result(tmp_path, cells[0], 0, [90.0, 92.0])
    draw(cells)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert b"/Type3" not in (tmp_path / "figure.pdf").read_bytes()
