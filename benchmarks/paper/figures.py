"""Figures 2 to 4 as PNG, panel by panel as in the paper."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.paper.artefacts import Cell
from benchmarks.paper.report import Measured, measured
from benchmarks.paper.storage import whole

FIGURES = ("figure2", "figure3", "figure4")
_COLORS = {"Baseline": "C0", "TET": "C1", "TCL": "C2", "STCL": "C3"}


def draw(
    cells: Sequence[Cell],
    output: pathlib.Path,
    seeds: int,
    path: pathlib.Path,
) -> None:
    """Draw what is done of a figure; hollow marks are the paper's values."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels: dict[str, dict[Cell, Measured]] = {}
    for cell in cells:
        panels.setdefault(_panel(cell), {})[cell] = measured(
            cell, output, seeds
        )
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(5 * len(panels), 4), squeeze=False
    )
    for ax, (title, found) in zip(axes[0], panels.items(), strict=True):
        draw_curves = _draw_sweep if next(iter(found)).swept else _draw_latency
        draw_curves(ax, found)
        ax.set_title(title)
        ax.set_ylabel("test accuracy, %")
        ax.grid(alpha=0.3)
        if ax.get_legend_handles_labels()[0]:
            ax.legend()
    figure.tight_layout()
    try:
        with whole(path) as partial:
            figure.savefig(partial, dpi=120)
    finally:
        pyplot.close(figure)


def _panel(cell: Cell) -> str:
    if cell.artefact == "figure2":
        return cell.network
    if cell.artefact == "figure3":
        return cell.swept[0] if cell.swept else ""
    return cell.dataset


def _draw_latency(ax: Any, found: Mapping[Cell, Measured]) -> None:
    for cell, ours in found.items():
        names = [name for name in ours.values if name.startswith("t=")]
        _line(
            ax,
            cell.method,
            range(1, len(names) + 1),
            [ours.values[name] for name in names],
            {int(n[2:]): value for n, value in cell.paper.items()},
        )
    ax.set_xlabel("time steps used in inference")
    ax.xaxis.get_major_locator().set_params(integer=True)


def _draw_sweep(ax: Any, found: Mapping[Cell, Measured]) -> None:
    methods: dict[str, list[Cell]] = {}
    for cell in found:
        methods.setdefault(cell.method, []).append(cell)
    for method, cells in methods.items():
        swept = {cell: cell.swept[1] for cell in cells if cell.swept}
        done = [cell for cell in cells if found[cell].results]
        _line(
            ax,
            method,
            [swept[cell] for cell in done],
            [found[cell].values["accuracy"] for cell in done],
            {
                swept[cell]: cell.paper["accuracy"]
                for cell in cells
                if "accuracy" in cell.paper
            },
        )
    name = next(iter(found)).swept[0]  # type: ignore[index]
    ax.set_xlabel(
        {
            "temperature": r"temperature $\tau$",
            "weight": r"weight $\lambda$",
            "T": "time steps T",
        }[name]
    )
    if name == "weight":
        ax.set_xscale("log")


def _line(
    ax: Any,
    method: str,
    x: Sequence[float],
    runs: Sequence[np.ndarray],
    paper: Mapping[float, float],
) -> None:
    """A curve of means with the spread over the seeds as bars."""
    color = _COLORS[method]
    if len(runs):
        ax.errorbar(
            list(x),
            [values.mean() for values in runs],
            [values.std() for values in runs],
            label=method,
            color=color,
            marker="o",
            markersize=4,
            capsize=2,
        )
    if paper:
        ax.plot(
            list(paper),
            list(paper.values()),
            linestyle="none",
            marker="D",
            markerfacecolor="none",
            color=color,
            label=f"{method}, paper",
        )
