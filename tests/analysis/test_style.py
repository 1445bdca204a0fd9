"""What every plot has in common."""

import numpy as np
import pytest

from keras_tcl import analysis
from keras_tcl.analysis import style

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import colors, pyplot  # noqa: E402


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot.close("all")


def plot():
    return analysis.plot_latency({"STCL": [[0.5, 0.7], [0.6, 0.8]]})


def lightness(color):
    """L* of CIELAB, from 0 (black) to 100 (white)."""
    rgb = np.array(colors.to_rgb(color))
    linear = np.where(
        rgb < 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4
    )
    y = linear @ (0.2126, 0.7152, 0.0722)
    return 116 * np.cbrt(y) - 16


@pytest.mark.parametrize("count, distance", [(5, 11), (10, 5.8)])
def test_colors_differ_in_grey(count, distance):
    found = np.sort([lightness(color) for color in style.COLORS[:count]])
    assert np.diff(found).min() > distance
    assert found.max() < 85  # Not lost on white paper.


def test_no_setting_outlives_a_plot():
    before = dict(matplotlib.rcParams)
    ax = plot()
    assert ax.xaxis.label.get_size() == 9 and not ax.spines["top"].get_visible()
    assert dict(matplotlib.rcParams) == before


def test_ticks_that_are_made_later_have_the_size_of_the_style():
    with matplotlib.rc_context({"xtick.labelsize": 20}):
        ax = plot()
        ax.figure.canvas.draw()
        assert {text.get_size() for text in ax.get_xticklabels()} == {8}


@pytest.mark.parametrize(
    "first, last, expected",
    [
        (1, 1, [1]),
        (1, 4, [1, 2, 3, 4]),
        (1, 10, list(range(1, 11))),
        (1, 12, [1, 2, 4, 6, 8, 10, 12]),
        (0, 99, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]),
        (1, 1000, [1, *range(100, 1001, 100)]),
    ],
)
def test_ticks_are_whole_and_few(first, last, expected):
    ax = plot()
    style.number_ticks(ax.xaxis, first, last)
    assert list(ax.get_xticks()) == expected


def test_files(tmp_path):
    ax = plot()
    for name in ("plot.png", "plot.pdf", "plot.svg"):
        analysis.save_plot(ax, tmp_path / name)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    pdf = (tmp_path / "plot.pdf").read_bytes()
    # TrueType, and none of the Type 3 that journals refuse.
    assert b"/CIDFontType2" in pdf and b"/Type3" not in pdf
    assert b"/Subtype /Image" not in pdf
    svg = (tmp_path / "plot.svg").read_text()
    assert "time steps used in inference, t</text>" in svg
    assert "<image" not in svg
    analysis.save_plot(ax.figure, tmp_path / "figure.png", dpi=50)
    assert (tmp_path / "figure.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="Format 'doc' is not supported"):
        analysis.save_plot(ax, tmp_path / "plot.doc")
