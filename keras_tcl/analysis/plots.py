"""Plots of what the other functions of this package find.

Each draws into the matplotlib Axes it is given, or into a new figure of its
own, and returns the Axes. `ax.figure.savefig("plot.png")` writes it to a file.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.optional import require

MARKERS = "os^vD*PX<>"


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

    >>> ax = keras_tcl.analysis.plot_latency({"STCL": [0.7, 0.8, 0.82, 0.83]})
    >>> ax.figure.savefig("latency.png")  # doctest: +SKIP
    """
    curves = {
        name: np.atleast_2d(_array(f"accuracies[{name!r}]", values, 1, 2))
        for name, values in _mapping("accuracies", accuracies).items()
    }
    for name, runs in curves.items():
        # NaN is no fraction either.
        if not ((runs >= 0) & (runs <= 1)).all():
            raise ValueError(
                "`accuracies` must be fractions between 0 and 1. Divide "
                f"percentages by 100. Received: {name!r}: {runs.tolist()}."
            )
    ax = _axes(ax)
    markers = itertools.cycle(MARKERS)
    for marker, (name, runs) in zip(markers, curves.items(), strict=False):
        steps = np.arange(1, runs.shape[1] + 1)
        mean, deviation = 100 * runs.mean(axis=0), 100 * runs.std(axis=0)
        (line,) = ax.plot(steps, mean, marker=marker, label=name)
        if len(runs) > 1:
            band = mean - deviation, mean + deviation
            color = line.get_color()
            ax.fill_between(steps, *band, color=color, alpha=0.2, linewidth=0)
    ax.set_xticks(range(1, 1 + max(v.shape[1] for v in curves.values())))
    ax.set_xlabel("time steps used in inference")
    ax.set_ylabel("accuracy, %")
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


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
    names = list(next(iter(bars.values())))
    ax = _axes(ax)
    places, width = np.arange(len(names)), 0.8 / len(bars)
    for number, (label, heights) in enumerate(bars.items()):
        shift = (number - (len(bars) - 1) / 2) * width
        percent = [100 * heights[name] for name in names]
        ax.bar(places + shift, percent, width, label=label)
    ax.set_xticks(places, names, rotation=45, ha="right")
    ax.set_ylabel("firing rate, %")
    ax.grid(axis="y", alpha=0.3)
    ax.legend()
    return ax


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
    checks.integer("max_neurons", max_neurons)
    values = _array("spikes", spikes, *range(2, 6))
    steps = values.reshape(len(values), -1)
    neurons = steps.shape[1]
    count = min(neurons, max_neurons)
    drawn = np.linspace(0, neurons - 1, count, dtype="int64")
    ax = _axes(ax)
    # Cells, not ticks: at four time steps, ticks would be lost in the white.
    ax.imshow(
        steps[:, drawn].T,
        cmap="Greys",
        vmin=0,
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        extent=(0.5, len(steps) + 0.5, -0.5, count - 0.5),
    )
    ax.set_xticks(range(1, len(steps) + 1))
    ax.set_xlabel("time step")
    of = f" ({count} of {neurons:,})" if count < neurons else ""
    ax.set_ylabel(f"neuron{of}")
    return ax


def plot_embeddings(embeddings: Any, labels: Any = None, ax: Any = None) -> Any:
    """Draws embeddings in the plane of their two principal components.

    Each is a point: its colour is the class, its shape the time step. The
    embeddings are normalised to length 1 before, as the loss does.

    Args:
        embeddings: Array `[samples, T, dimension]`, one stage of what
            `keras_tcl.analysis.embeddings` returned.
        labels: Array of integers `[samples]`, or `None` for one colour.
        ax: matplotlib Axes, or `None` for a new figure.

    Returns:
        The Axes.

    Raises:
        ValueError: If the arrays have not these shapes.
        ImportError: If matplotlib is missing.

    Example:

    >>> embeddings = np.random.normal(size=(50, 4, 16))  # T = 4
    >>> labels = np.arange(50) % 10
    >>> ax = keras_tcl.analysis.plot_embeddings(embeddings, labels)
    """
    values = _array("embeddings", embeddings, 3)
    samples, timesteps, _ = values.shape
    classes = np.zeros(samples, int) if labels is None else np.asarray(labels)
    if classes.shape != (samples,):
        raise ValueError(
            "`labels` must be integers, one for each sample of `embeddings`. "
            f"Received: labels of shape {classes.shape}, embeddings of shape "
            f"{values.shape}."
        )
    points, explained = _principal_components(values)
    names, colors = np.unique(classes, return_inverse=True)
    is_small = len(names) <= 10
    ax = _axes(ax)
    for t, marker in zip(
        range(timesteps), itertools.cycle(MARKERS), strict=False
    ):
        drawn = ax.scatter(
            *points[:, t].T,
            c=colors,
            cmap="tab10" if is_small else "nipy_spectral",
            vmin=0,
            vmax=9 if is_small else len(names) - 1,
            marker=marker,
            s=14,
            alpha=0.7,
            label=f"t = {t + 1}",
        )
    handles, texts = ax.get_legend_handles_labels()
    if labels is not None and is_small:
        handles += drawn.legend_elements(num=None)[0]
        texts += [f"class {name}" for name in names]
    ax.legend(handles, texts, loc="upper left", bbox_to_anchor=(1, 1))
    x, y = (f"{100 * share:.0f} % of the variance" for share in explained)
    ax.set_xlabel(f"first principal component ({x})")
    ax.set_ylabel(f"second principal component ({y})")
    return ax


def _principal_components(
    values: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """First two components `[samples, T, 2]`, and their shares `[2]`."""
    rows = values.reshape(-1, values.shape[-1])
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.maximum(lengths, 1e-12)
    rows = rows - rows.mean(axis=0)
    # Of the D x D matrix, since there may be very many rows.
    variances, directions = np.linalg.eigh(rows.T @ rows)
    first = [-1, -2] if len(variances) > 1 else [-1]
    points = np.zeros((len(rows), 2))
    explained = np.zeros(2)
    points[:, : len(first)] = rows @ directions[:, first]
    explained[: len(first)] = variances[first] / max(variances.sum(), 1e-12)
    return points.reshape(*values.shape[:2], 2), explained.clip(0, 1)


def _bars(rates: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Heights `{label: {group: rate}}`: a label is a method, or a time step."""
    if not isinstance(next(iter(rates.values())), Mapping):
        of_steps = _array("rates", list(rates.values()), 2).T
        return {
            f"t = {t}": dict(zip(rates, of_groups, strict=True))
            for t, of_groups in enumerate(of_steps, start=1)
        }
    bars = {
        method: {
            group: np.mean(_array(f"rates[{method!r}][{group!r}]", rate, 0, 1))
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


def _array(name: str, value: Any, *ranks: int) -> np.ndarray:
    array = np.asarray(value, "float64")
    if not array.size or array.ndim not in ranks:
        raise ValueError(
            f"`{name}` must be an array of {' or '.join(map(str, ranks))} "
            f"axes, and not empty. Received: shape {array.shape}."
        )
    return array


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    pyplot = require("matplotlib.pyplot", "A plot", "keras_tcl[plot]")
    return pyplot.subplots(layout="constrained")[1]
