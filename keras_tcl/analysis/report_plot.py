"""The figure of a report."""

from typing import Any

import numpy as np

from keras_tcl.analysis.plots import plot_firing_rates
from keras_tcl.analysis.style import (
    COLORS,
    line_style,
    new_axes,
    number_ticks,
    styled,
)
from keras_tcl.optional import require

# Classes whose counts can still be read in a field of the confusion matrix.
_READABLE = 12


@styled
def plot_report(report: Any) -> Any:
    """Draws a `Report` in four parts; returns the matplotlib Figure."""
    pyplot = require("matplotlib.pyplot", "A plot", "keras_tcl[plot]")
    figure, axes = pyplot.subplots(
        2, 2, figsize=(7.2, 5.8), layout="constrained"
    )
    parts = (_latency, _calibration, _confusion, _rates)
    for letter, part, ax in zip("abcd", parts, axes.flat, strict=True):
        part(report, new_axes(ax))
        ax.text(
            -0.2,
            1.12,
            f"({letter})",
            fontweight="bold",
            transform=ax.transAxes,
        )
    return figure


def _latency(report: Any, ax: Any) -> None:
    """Accuracy at a fixed number of steps, and at a mean one."""
    steps = np.arange(1, len(report.accuracy) + 1)
    early = report.early_exit
    for number, (label, x, y) in enumerate(
        [
            ("t steps for all", steps, report.accuracy),
            ("early exit", early["timesteps"], early["accuracy"]),
        ]
    ):
        ax.plot(x, 100 * y, label=label, **line_style(number))
    number_ticks(ax.xaxis, 1, len(steps))
    ax.set_xlabel("mean number of time steps")
    ax.set_ylabel("accuracy, %")
    ax.legend(handlelength=3)


def _calibration(report: Any, ax: Any) -> None:
    """How sure the network is, how sure it may be, and what lies between."""
    steps = np.arange(1, len(report.accuracy) + 1)
    ax.bar(
        steps,
        100 * report.calibration_error,
        0.5,
        color="0.75",
        label="calibration error",
    )
    for number, (label, values) in enumerate(
        [("accuracy", report.accuracy), ("confidence", report.confidence)]
    ):
        every = max(1, len(steps) // 10)
        style = line_style(number)
        ax.plot(steps, 100 * values, label=label, markevery=every, **style)
    number_ticks(ax.xaxis, 1, len(steps))
    ax.set_ylim(0, 103)
    ax.set_xlabel("time steps used in inference, t")
    ax.set_ylabel("mean over samples, %")
    ax.legend(
        handlelength=2.5,
        loc="lower center",
        bbox_to_anchor=(0.45, 1),
        ncols=3,
        columnspacing=1,
        frameon=False,
    )


def _confusion(report: Any, ax: Any) -> None:
    """Shares of each class, with the counts where they can be read."""
    counts = report.confusion
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = 100 * counts / totals
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    ax.figure.colorbar(image, ax=ax, label="of the class, %")
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    count = len(counts)
    if count <= _READABLE:
        names = report.class_names or range(count)
        rotation = 45 if max(len(str(name)) for name in names) > 2 else 0
        ax.set_xticks(range(count), names, rotation=rotation)
        ax.set_yticks(range(count), names)
        for row, column in zip(*np.nonzero(counts), strict=True):
            dark = shares[row, column] > 50
            ax.text(
                column,
                row,
                f"{counts[row, column]:,}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else COLORS[0],
            )
    ax.set_xlabel(f"predicted class, t = {len(report.accuracy)}")
    ax.set_ylabel("class")


def _rates(report: Any, ax: Any) -> None:
    plot_firing_rates(report.firing_rates, ax)
