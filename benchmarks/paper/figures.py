"""Figures 2 to 4 as PNG and as PDF, panel by panel as in the paper."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.paper.artefacts import Cell
from benchmarks.paper.report import Measured, measured
from benchmarks.paper.storage import whole
from keras_tcl.analysis import save_plot
from keras_tcl.analysis.style import line_style, number_ticks, paper_style

FIGURES = ("figure2", "figure3", "figure4")
_METHODS = ("Baseline", "TET", "TCL", "STCL")
_SWEPT = {
    "temperature": r"temperature $\tau$",
    "weight": r"weight $\lambda$",
    "T": "time steps of training and inference, T",
}

# Of a panel's methods: x, an array over the seeds for each x; {x: paper's}.
Curves = dict[str, tuple[list[float], list[np.ndarray], dict[float, float]]]


def draw(
    cells: Sequence[Cell],
    output: pathlib.Path,
    seeds: int,
    path: pathlib.Path,
) -> None:
    """Draw what is done of a figure, in `path` and as PDF beside it.

    Hollow marks are the paper's values. Where they lie far from ours, because
    other data and networks stand in for the paper's, they have axes of their
    own, lest they squeeze our curves into a line.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells_of: dict[str, list[Cell]] = {}
    for cell in cells:
        cells_of.setdefault(_panel(cell), []).append(cell)
    panels = {
        title: _curves({cell: measured(cell, output, seeds) for cell in group})
        for title, group in cells_of.items()
    }
    apart = any(_are_far(curves) for curves in panels.values())
    with paper_style():
        figure, axes = pyplot.subplots(
            1 + apart,
            len(panels),
            figsize=(0.3 + 3.6 * len(panels), 5.0 if apart else 3.4),
            height_ratios=[5, 3] if apart else None,
            squeeze=False,
            layout="constrained",
        )
        for column, (title, curves) in zip(axes.T, panels.items(), strict=True):
            for method, (x, runs, paper) in curves.items():
                _draw_ours(column[0], method, x, runs)
                _draw_paper(column[-1], method, paper)
            column[0].set_title(title)
            column[0].set_ylabel("test accuracy, %")
            if apart:
                column[1].set_ylabel("in the paper, %")
            _label(column, cells_of[title][0].swept)
        _add_legend(figure, axes)
        try:
            for file in (path, path.with_suffix(".pdf")):
                with whole(file) as partial:
                    save_plot(figure, partial)
        finally:
            pyplot.close(figure)


def _panel(cell: Cell) -> str:
    if cell.artefact == "figure2":
        return cell.network
    if cell.artefact == "figure3":
        return cell.swept[0] if cell.swept else ""
    return cell.dataset


def _curves(found: Mapping[Cell, Measured]) -> Curves:
    """What is known of the cells of a panel."""
    curves: Curves = {}
    for cell, ours in found.items():
        x, runs, paper = curves.setdefault(cell.method, ([], [], {}))
        if cell.swept is None:
            names = [name for name in ours.values if name.startswith("t=")]
            x.extend(range(1, len(names) + 1))
            runs.extend(ours.values[name] for name in names)
            paper.update({int(n[2:]): v for n, v in cell.paper.items()})
            continue
        if ours.results:
            x.append(cell.swept[1])
            runs.append(ours.values["accuracy"])
        if "accuracy" in cell.paper:
            paper[cell.swept[1]] = cell.paper["accuracy"]
    return curves


def _are_far(curves: Curves) -> bool:
    """Whether the paper's values would halve the height of our curves."""
    ours = [values.mean() for _, runs, _ in curves.values() for values in runs]
    paper = [v for *_, values in curves.values() for v in values.values()]
    if not ours or not paper:
        return False
    return np.ptp(ours + paper) > 2 * max(np.ptp(ours), 2.0)


def _draw_ours(
    ax: Any, method: str, x: Sequence[float], runs: Sequence[np.ndarray]
) -> None:
    """A curve of means with the spread over the seeds as bars."""
    if runs:
        ax.errorbar(
            x,
            [values.mean() for values in runs],
            [values.std() for values in runs],
            label=method,
            capsize=2,
            elinewidth=0.8,
            **line_style(_METHODS.index(method)),
        )


def _draw_paper(ax: Any, method: str, paper: Mapping[float, float]) -> None:
    """Hollow marks: there is no curve, for the paper prints few values."""
    if paper:
        style = line_style(_METHODS.index(method))
        ax.plot(
            list(paper),
            list(paper.values()),
            label=f"{method}, paper",
            markerfacecolor="none",
            **{**style, "linestyle": "none"},
        )


def _label(column: Any, swept: tuple[str, float] | None) -> None:
    """Name the axes of what varies, and put ticks where something is."""
    name = swept[0] if swept else ""
    if swept and len(column) > 1:
        column[0].sharex(column[1])
    drawn = {
        ax: {float(x) for line in ax.lines for x in line.get_xdata()}
        for ax in column
    }
    for ax, here in drawn.items():
        ax.set_xlabel(_SWEPT.get(name, "time steps used in inference, t"))
        if not here:
            ax.set_yticks([])
            ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center")
        ticks = sorted(set().union(*drawn.values()) if swept else here)
        if name in ("temperature", "weight") and ticks:
            ax.set_xscale("log")
            ax.set_xticks(ticks, [f"{value:g}" for value in ticks])
            ax.set_xticks([], minor=True)
        elif ticks:
            number_ticks(ax.xaxis, int(ticks[0]), int(ticks[-1]))
        else:
            ax.set_xticks([])


def _add_legend(figure: Any, axes: Any) -> None:
    """One above all panels: they show the same methods."""
    found: dict[str, Any] = {}
    for ax in axes.flat:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(
            found.values(),
            found.keys(),
            loc="outside upper center",
            ncols=4,
            handlelength=3,
            frameon=False,
        )
