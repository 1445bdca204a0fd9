"""Plots of accuracies, firing rates and spikes.

Each draws into the matplotlib Axes it is given, or into a new figure of its
own, and returns the Axes; `save_plot(ax, "plot.pdf")` writes it to a file.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.analysis.style import (
    COLORS,
    line_style,
    new_axes,
    number_ticks,
    styled,
)


@styled
def plot_latency(accuracies: Mapping[str, Any], ax: Any = None) -> Any:
    """Draws accuracy over the number of time steps used, as paper figure 2.

    Args:
        accuracies: Dictionary from a method's name to what
            `TCLModel.evaluate_timesteps` returned: fractions `[T]`, or
            `[runs, T]`, drawn as their mean in a band of one standard
            deviation.
        ax: matplotlib Axes, or `None` for a new figure.

    Returns:
        The Axes; accuracies are in %.

    Raises:
        ValueError: If there is nothing to draw, or a value is no fraction.
        ImportError: If matplotlib is missing.

    Example:

    >>> of_seeds = [[0.7, 0.8, 0.82, 0.83], [0.72, 0.79, 0.82, 0.82]]
    >>> ax = keras_tcl.analysis.plot_latency({"STCL": of_seeds})
    >>> keras_tcl.analysis.save_plot(ax, "latency.pdf")  # doctest: +SKIP
    """
    curves = {
        name: np.atleast_2d(as_array(f"accuracies[{name!r}]", values, 1, 2))
        for name, values in _mapping("accuracies", accuracies).items()
    }
    for name, runs in curves.items():
        # NaN is no fraction either.
        if not ((runs >= 0) & (runs <= 1)).all():
            raise ValueError(
                "`accuracies` must be fractions between 0 and 1. Divide "
                f"percentages by 100. Received: {name!r}: {runs.tolist()}."
            )
    ax = new_axes(ax)
    for number, (name, runs) in enumerate(curves.items()):
        steps = np.arange(1, runs.shape[1] + 1)
        mean, deviation = 100 * runs.mean(axis=0), 100 * runs.std(axis=0)
        style = line_style(number)
        every = max(1, len(steps) // 10)
        ax.plot(steps, mean, label=name, markevery=every, **style)
        if len(runs) > 1:
            ax.fill_between(
                steps,
                mean - deviation,
                mean + deviation,
                color=style["color"],
                alpha=0.15,
                linewidth=0,
            )
    number_ticks(ax.xaxis, 1, max(runs.shape[1] for runs in curves.values()))
    ax.set_xlabel("time steps used in inference, t")
    ax.set_ylabel("accuracy, %")
    # Long enough for the dashes of a line to be told from dots.
    ax.legend(handlelength=3)
    return ax


@styled
def plot_firing_rates(rates: Mapping[str, Any], ax: Any = None) -> Any:
    """Draws firing rates as bars, a group of them for each layer or block.

    Args:
        rates: What `keras_tcl.analysis.firing_rates` returned for one model,
            drawn with a bar for each time step; or a dictionary from a
            method's name to such rates, drawn with a bar for each method,
            the mean over time (paper table 4).
        ax: matplotlib Axes, or `None` for a new figure.

    Returns:
        The Axes; rates are in %.

    Raises:
        ValueError: If there is nothing to draw, or the dictionaries have not
            the same keys.
        ImportError: If matplotlib is missing.

    Example:

    >>> rates = {"stem": [0.1, 0.2], "stage1": [0.1, 0.15]}  # T = 2
    >>> ax = keras_tcl.analysis.plot_firing_rates(rates)
    """
    bars = _bars(_mapping("rates", rates))
    of_steps = not isinstance(next(iter(rates.values())), Mapping)
    names = list(next(iter(bars.values())))
    ax = new_axes(ax, size=(max(4.2, 0.45 * len(names)), 3.0))
    places, width = np.arange(len(names)), 0.8 / len(bars)
    colors = _shades(len(bars)) if of_steps else COLORS
    for number, (label, heights) in enumerate(bars.items()):
        ax.bar(
            places + (number - (len(bars) - 1) / 2) * width,
            [100 * heights[name] for name in names],
            width,
            label=label,
            color=colors[number % len(colors)],
        )
    ax.set_xticks(
        places, names, rotation=45, ha="right", rotation_mode="anchor"
    )
    ax.set_ylabel("firing rate, %")
    ax.grid(visible=False, axis="x")
    ax.margins(x=0.02)
    # Of very many time steps, some tell what lies between them.
    count = 4 if of_steps and len(bars) > 12 else len(bars)
    named = np.linspace(0, len(bars) - 1, count).astype(int)
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(
        [handles[k] for k in named],
        [labels[k] for k in named],
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=min(len(named), 4),
        frameon=False,
    )
    return ax


@styled
def plot_spike_raster(
    spikes: Any, ax: Any = None, max_neurons: int = 100
) -> Any:
    """Draws the spikes of one layer for one sample: a row is a neuron.

    Args:
        spikes: Array `[T, ...]`, one sample of what
            `keras_tcl.analysis.spikes` returned.
        ax: matplotlib Axes, or `None` for a new figure.
        max_neurons: Integer. Of more neurons than that, so many are drawn,
            evenly spaced. Defaults to `100`.

    Returns:
        The Axes.

    Raises:
        ValueError: If `spikes` is not such an array.
        ImportError: If matplotlib is missing.

    Example:

    >>> spikes = np.random.randint(0, 2, (4, 8, 8, 16))  # T = 4
    >>> ax = keras_tcl.analysis.plot_spike_raster(spikes, max_neurons=50)
    """
    from matplotlib.collections import PolyCollection

    checks.integer("max_neurons", max_neurons)
    values = as_array("spikes", spikes, *range(2, 6))
    steps = values.reshape(len(values), -1)
    neurons = steps.shape[1]
    count = min(neurons, max_neurons)
    drawn = np.linspace(0, neurons - 1, count, dtype="int64")
    ax = new_axes(ax)
    step, neuron = np.nonzero(steps[:, drawn])
    # Boxes as wide as a time step, not ticks: of four steps, ticks would be
    # lost in the white; of a hundred, they are as narrow as ticks.
    centers = np.stack([step + 1, neuron], axis=-1)[:, None]
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (0.42, 0.45)
    boxes = PolyCollection([*centers + corners], color="black", linewidth=0)
    ax.add_collection(boxes)
    ax.set_xlim(0.5, len(steps) + 0.5)
    ax.set_ylim(-0.5, count - 0.5)
    number_ticks(ax.xaxis, 1, len(steps))
    number_ticks(ax.yaxis, 0, count - 1)
    ax.grid(visible=False)
    ax.set_xlabel("time step, t")
    of = f" ({count} of {neurons:,})" if count < neurons else ""
    ax.set_ylabel(f"neuron{of}")
    return ax


def _bars(rates: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Heights `{label: {group: rate}}`: a label is a method, or a time step."""
    if not isinstance(next(iter(rates.values())), Mapping):
        of_steps = as_array("rates", list(rates.values()), 2).T
        return {
            f"t = {t}": dict(zip(rates, of_groups, strict=True))
            for t, of_groups in enumerate(of_steps, start=1)
        }
    bars = {
        method: {
            group: np.mean(
                as_array(f"rates[{method!r}][{group!r}]", rate, 0, 1)
            )
            for group, rate in _mapping(f"rates[{method!r}]", groups).items()
        }
        for method, groups in rates.items()
    }
    groups = [set(of_method) for of_method in bars.values()]
    if any(other != groups[0] for other in groups):
        raise ValueError(
            "`rates` must have the same layers or blocks for every method. "
            f"Received: {groups}."
        )
    return bars


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(
            f"`{name}` must be a dictionary with at least one entry. "
            f"Received: {name}={value!r}."
        )
    return value


def as_array(name: str, value: Any, *ranks: int) -> np.ndarray:
    """Values to be drawn in float64; a ValueError if the rank is another."""
    array = np.asarray(value, "float64")
    if not array.size or array.ndim not in ranks:
        raise ValueError(
            f"`{name}` must be an array of {' or '.join(map(str, ranks))} "
            f"axes, and not empty. Received: shape {array.shape}."
        )
    return array


def _shades(count: int) -> Any:
    """Colours from light to dark, for what has an order."""
    from matplotlib import pyplot

    return pyplot.get_cmap("viridis")(np.linspace(0.95, 0.05, count))
