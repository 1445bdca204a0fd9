"""Plots of what the other functions of this package find.

Each draws into the matplotlib Axes it is given, or into a new figure of its
own, and returns the Axes. `ax.figure.savefig("plot.png")` writes it to a file.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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

    ```python
    accuracies = {"STCL": model.evaluate_timesteps(x_test, y_test)}
    ax = keras_tcl.analysis.plot_latency(accuracies)
    ax.figure.savefig("latency.png")
    ```
    """
    curves = {
        name: _array(f"accuracies[{name!r}]", values, ranks=(1, 2))
        for name, values in _mapping("accuracies", accuracies).items()
    }
    for name, values in curves.items():
        # NaN is no fraction either.
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(
                "`accuracies` must be fractions between 0 and 1, as "
                "`evaluate_timesteps` returns them. Received: "
                f"accuracies[{name!r}]={values.tolist()}. Divide percentages "
                "by 100."
            )
    ax = _axes(ax)
    for marker, (name, values) in zip(
        MARKERS * len(curves), curves.items(), strict=False
    ):
        runs = 100 * np.atleast_2d(values)
        steps = np.arange(1, runs.shape[1] + 1)
        mean, deviation = runs.mean(axis=0), runs.std(axis=0)
        (line,) = ax.plot(steps, mean, marker=marker, label=name)
        if len(runs) > 1:
            ax.fill_between(
                steps,
                mean - deviation,
                mean + deviation,
                color=line.get_color(),
                alpha=0.2,
                linewidth=0,
            )
    ax.set_xticks(range(1, 1 + max(v.shape[-1] for v in curves.values())))
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

    ```python
    rates = keras_tcl.analysis.firing_rates(model, x_test, by="block")
    keras_tcl.analysis.plot_firing_rates(rates)
    ```
    """
    bars = _bars(_mapping("rates", rates))
    names = list(next(iter(bars.values())))
    ax = _axes(ax)
    width = 0.8 / len(bars)
    places = np.arange(len(names))
    for number, (label, heights) in enumerate(bars.items()):
        ax.bar(
            places + (number - (len(bars) - 1) / 2) * width,
            [100 * heights[name] for name in names],
            width,
            label=label,
        )
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

    ```python
    of_stem = keras_tcl.analysis.spikes(model, x_test[:1], "stem")
    keras_tcl.analysis.plot_spike_raster(of_stem[0])
    ```
    """
    values = _array("spikes", spikes)
    if values.ndim < 2:
        raise ValueError(
            "`spikes` must be [T, ...], the spikes of one sample: "
            "`spikes(model, x, layer)[0]`. Received an array of shape "
            f"{values.shape}."
        )
    if max_neurons < 1:
        raise ValueError(
            "`max_neurons` must be at least 1. "
            f"Received: max_neurons={max_neurons}."
        )
    steps = values.reshape(len(values), -1)
    neurons = steps.shape[1]
    drawn = np.linspace(
        0, neurons - 1, min(neurons, max_neurons), dtype="int64"
    )
    ax = _axes(ax)
    # Cells, not ticks: at four time steps, ticks would be lost in the white.
    ax.imshow(
        steps[:, drawn].T,
        cmap="Greys",
        vmin=0,
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        extent=(0.5, len(steps) + 0.5, -0.5, len(drawn) - 0.5),
    )
    ax.set_xticks(range(1, len(steps) + 1))
    ax.set_xlabel("time step")
    of = f" ({len(drawn)} of {neurons:,})" if len(drawn) < neurons else ""
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

    ```python
    of_stage = keras_tcl.analysis.embeddings(model, x_test[:500])
    keras_tcl.analysis.plot_embeddings(of_stage["stage4"], y_test[:500])
    ```
    """
    values = _array("embeddings", embeddings, ranks=(3,))
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
    ax = _axes(ax)
    palette = "tab10" if len(names) <= 10 else "nipy_spectral"
    for t in range(timesteps):
        drawn = ax.scatter(
            points[:, t, 0],
            points[:, t, 1],
            c=colors,
            cmap=palette,
            vmin=0,
            vmax=9 if len(names) <= 10 else len(names) - 1,
            marker=MARKERS[t % len(MARKERS)],
            s=14,
            alpha=0.7,
            label=f"t = {t + 1}",
        )
    handles, texts = ax.get_legend_handles_labels()
    if labels is not None and len(names) <= 10:
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
    """Heights `{label: {group: rate}}`."""
    methods = [isinstance(value, Mapping) for value in rates.values()]
    if any(methods) and not all(methods):
        raise ValueError(
            "`rates` must be the rates of one model, or of several by name. "
            f"Received a mixture under the keys {list(rates)}."
        )
    if all(methods):
        heights = {
            method: {
                group: float(_array("rates", rate, ranks=(0, 1)).mean())
                for group, rate in _mapping("rates", of_method).items()
            }
            for method, of_method in rates.items()
        }
    else:
        of_steps = {
            group: _array(f"rates[{group!r}]", rate, ranks=(1,))
            for group, rate in rates.items()
        }
        heights = {
            f"t = {t}": {
                group: float(rate[t - 1])
                for group, rate in of_steps.items()
                if t <= len(rate)
            }
            for t in range(1, 1 + max(map(len, of_steps.values())))
        }
    groups = [list(bars) for bars in heights.values()]
    if any(set(other) != set(groups[0]) for other in groups):
        raise ValueError(
            "`rates` must have the same layers or blocks everywhere, of the "
            f"same number of time steps. Received: {groups}."
        )
    return heights


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(
            f"`{name}` must be a dictionary with at least one entry. "
            f"Received: {name}={value!r}."
        )
    return value


def _array(name: str, value: Any, ranks: Sequence[int] = ()) -> np.ndarray:
    try:
        array = np.asarray(value, "float64")
    except (TypeError, ValueError):  # Words, or rows of different lengths.
        array = np.empty(0)
    if not array.size or (ranks and array.ndim not in ranks):
        raise ValueError(
            f"`{name}` must be an array of numbers"
            f"{f' with {ranks[-1]} axes at most' if ranks else ''}, not an "
            f"empty one. Received: {name}={value!r}."
        )
    return array


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    pyplot = require("matplotlib.pyplot", "A plot", "keras_tcl[plot]")
    return pyplot.subplots(layout="constrained")[1]
