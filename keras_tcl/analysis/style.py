"""One look for every plot: readable in a column of a paper, and in grey."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from keras_tcl.optional import require

# The lightness of ten colours lies some 6 of 100 apart, that of the first five
# 12: in grey, they are as many greys.
COLORS = (
    *("#16487a", "#e6a827", "#da2842", "#380449", "#2da76a"),
    *("#47d7f8", "#30660e", "#9e60f1", "#502806", "#f67ba5"),
)
LINES = ("-", "--", "-.", ":")
MARKERS = "os^vD*PX<>ph"

# Inches: a column and a half of text; two such plots fill a page's width.
_SIZE = (4.2, 3.0)
_SETTINGS = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "font.size": 9,
    "grid.color": "0.88",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.framealpha": 0.9,
    "legend.title_fontsize": 8,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    # Text that stays text: journals refuse Type 3, matplotlib's default.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "savefig.dpi": 200,
}

P = ParamSpec("P")
R = TypeVar("R")


@contextlib.contextmanager
def paper_style() -> Iterator[None]:
    """Settings of matplotlib that hold within the context alone."""
    matplotlib = require("matplotlib", "A plot", "keras_tcl[plot]")
    with matplotlib.rc_context(_SETTINGS):
        yield


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """A function that draws in this style."""

    @functools.wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> R:
        with paper_style():
            return function(*args, **kwargs)

    return draw


def new_axes(ax: Any = None, size: tuple[float, float] = _SIZE) -> Any:
    """The Axes that were given, or those of a new figure."""
    if ax is None:
        pyplot = require("matplotlib.pyplot", "A plot", "keras_tcl[plot]")
        ax = pyplot.subplots(figsize=size, layout="constrained")[1]
    # matplotlib makes ticks when it draws, which is after the context.
    ax.tick_params(labelsize=_SETTINGS["xtick.labelsize"])
    return ax


def line_style(number: int) -> dict[str, Any]:
    """Colour, line and marker of the curve of this number, from 0."""
    return {
        "color": COLORS[number % len(COLORS)],
        "linestyle": LINES[number % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def number_ticks(axis: Any, first: int, last: int) -> None:
    """Ticks of what is counted: whole, the first, and few enough to read."""
    strides = (k * 10**n for n in range(10) for k in (1, 2, 5))
    stride = next(k for k in strides if (last - first) / k < 10)
    start = first + 1 if stride == 1 else first - first % stride + stride
    axis.set_ticks([first, *range(start, last + 1, stride)])


def save_plot(ax: Any, path: Any, **kwargs: Any) -> None:
    """Writes the figure of a plot to a file, as its name ends.

    `.pdf`, `.svg` and `.eps` are vectors, whose text can be searched and
    edited (TrueType in a PDF, as journals ask for); `.png` has 200 dots per
    inch.

    Args:
        ax: What a plot returned, or any matplotlib Axes or Figure.
        path: Path of the file. Its folder must exist.
        **kwargs: As for `matplotlib.figure.Figure.savefig`, such as `dpi`.

    Raises:
        ValueError: If matplotlib does not know the format.
        ImportError: If matplotlib is missing.

    Example:

    >>> ax = keras_tcl.analysis.plot_latency({"STCL": [0.7, 0.8, 0.82, 0.83]})
    >>> keras_tcl.analysis.save_plot(ax, "latency.pdf")  # doctest: +SKIP
    """
    figure = getattr(ax, "figure", None) or ax
    with paper_style():
        figure.savefig(path, **kwargs)
