"""A plot of embeddings in a plane."""

from typing import Any

import numpy as np

from keras_tcl import checks
from keras_tcl.analysis.plots import as_array
from keras_tcl.analysis.style import COLORS, MARKERS, new_axes, styled
from keras_tcl.optional import require

PROJECTIONS = ("tsne", "umap", "pca")


@styled
def plot_embeddings(
    embeddings: Any,
    labels: Any = None,
    ax: Any = None,
    projection: str = "tsne",
    max_samples: int = 200,
    seed: int = 0,
) -> Any:
    """Draws embeddings in a plane: a point for each sample and time step.

    Its shape is the time step, its colour the class. The embeddings are
    normalised to length 1 before, as the loss does, and all time steps are
    projected together.

    Args:
        embeddings: Array `[samples, T, dimension]`, one stage of what
            `keras_tcl.analysis.embeddings` returned. Of more than 12 time
            steps, 12 are drawn, from the first to the last.
        labels: Array of integers `[samples]`, or `None` for one colour.
        ax: matplotlib Axes, or `None` for a new figure.
        projection: What finds the plane:

            - `"tsne"` (default): t-SNE, started from the principal
              components. Which points are neighbours means something,
              distances between groups do not. Needs scikit-learn.
            - `"umap"`: UMAP, likewise. Needs `umap-learn`.
            - `"pca"`: the two principal components, the one of the three
              that keeps distances.
        max_samples: Integer. Of more samples than that, so many are drawn
            at random. t-SNE of 200 samples at T = 4 takes some seconds, of
            ten times as many a minute. Defaults to `200`.
        seed: Integer, for the choice of samples and the projection.

    Returns:
        The Axes.

    Raises:
        ValueError: If an argument or a shape is not as above, or a value is
            not finite.
        ImportError: If matplotlib or what projects is missing.

    Example:

    >>> embeddings = np.random.normal(size=(50, 4, 16))  # T = 4
    >>> labels = np.arange(50) % 10
    >>> ax = keras_tcl.analysis.plot_embeddings(
    ...     embeddings, labels, projection="pca"
    ... )

    Reference:

    - [van der Maaten and Hinton, 2008](https://jmlr.org/papers/v9/vandermaaten08a.html)
    - [McInnes et al., 2018](https://arxiv.org/abs/1802.03426)
    """  # noqa: E501
    checks.choice("projection", projection, PROJECTIONS)
    checks.integer("max_samples", max_samples)
    values = as_array("embeddings", embeddings, 3)
    if not np.isfinite(values).all():
        raise ValueError(
            "`embeddings` must be finite. Received: NaN or infinite values in "
            f"{np.sum(~np.isfinite(values).all(axis=(1, 2)))} samples."
        )
    classes = np.zeros(len(values), int) if labels is None else labels
    classes = np.asarray(classes)
    if classes.shape != values.shape[:1]:
        raise ValueError(
            "`labels` must be integers, one for each sample of `embeddings`. "
            f"Received: labels of shape {classes.shape}, embeddings of shape "
            f"{values.shape}."
        )
    # The colours of classes that the choice leaves out stay reserved.
    names, classes = np.unique(classes, return_inverse=True)
    if len(values) > max_samples:
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.permutation(len(values))[:max_samples])
        values, classes = values[chosen], classes[chosen]
    timesteps = values.shape[1]
    steps = np.linspace(0, timesteps - 1, min(timesteps, len(MARKERS)))
    steps = steps.round().astype(int)
    points, axis_labels = _project(values[:, steps], projection, seed)
    ax = new_axes(ax, size=(4.6, 3.8))
    colors = _colors(len(names))
    for t, marker, of_step in zip(
        steps + 1, MARKERS, points.swapaxes(0, 1), strict=False
    ):
        ax.scatter(
            *of_step.T,
            c=colors[classes],
            marker=marker,
            s=16,
            linewidths=0.3,
            edgecolors="white",
            label=f"t = {t}",
        )
    ax.grid(visible=False)
    if projection != "pca":  # Its numbers mean nothing.
        ax.tick_params(
            bottom=False, left=False, labelbottom=False, labelleft=False
        )
    ax.set_xlabel(axis_labels[0])
    ax.set_ylabel(axis_labels[1])
    _add_legends(ax, names if labels is not None else (), colors)
    return ax


def _colors(count: int) -> np.ndarray:
    """A colour for each class: ten that differ, or as many of a scale."""
    from matplotlib import colors, pyplot

    if count <= len(COLORS):
        return np.array([colors.to_rgba(c) for c in COLORS])
    return pyplot.get_cmap("viridis")(np.linspace(0, 1, count))


def _add_legends(ax: Any, names: Any, colors: Any) -> None:
    """Time steps above the plot, classes to the right of it."""
    from matplotlib import cm, lines
    from matplotlib.colors import Normalize

    shapes = ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=4,
        handletextpad=0.1,
        columnspacing=1,
        frameon=False,
    )
    for handle in shapes.legend_handles:
        handle.set_color("0.3")
    if not len(names):
        return
    if len(names) <= len(COLORS):
        handles = [
            lines.Line2D([], [], color=color, marker="o", linestyle="none")
            for color in colors[: len(names)]
        ]
        # A second legend replaces the first; what is added is clipped.
        ax.add_artist(shapes).set_clip_on(False)
        ax.legend(
            handles,
            [str(name) for name in names],
            title="class",
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            handletextpad=0.1,
            frameon=False,
        )
        return
    scale = cm.ScalarMappable(Normalize(0, len(names) - 1), "viridis")
    ticks = np.linspace(0, len(names) - 1, 6).astype(int)
    bar = ax.figure.colorbar(scale, ax=ax, label="class")
    bar.set_ticks(ticks, labels=[str(name) for name in names[ticks]])
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)


def _project(
    values: np.ndarray, projection: str, seed: int
) -> tuple[np.ndarray, tuple[str, str]]:
    """Points `[samples, T, 2]`, and what their axes are called."""
    rows = values.reshape(-1, values.shape[-1])
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.maximum(lengths, 1e-12)
    points, shares = _principal_components(rows)
    first, second = (f"{100 * share:.0f} % of the variance" for share in shares)
    names = (
        f"first principal component ({first})",
        f"second principal component ({second})",
    )
    # Points that all coincide have no neighbours.
    if projection != "pca" and len(rows) > 3 and points.any():
        name = {"tsne": "t-SNE", "umap": "UMAP"}[projection]
        names = (f"{name} 1 (no unit)", f"{name} 2 (no unit)")
        neighbours = min(30, (len(rows) - 1) / 3)
        start = 1e-4 * points / points.std(axis=0).max()
        purpose = f"The projection {name}"
        if projection == "tsne":
            manifold = require("sklearn.manifold", purpose, "keras_tcl[plot]")
            method = manifold.TSNE(
                perplexity=neighbours, init=start, random_state=seed
            )
        else:
            umap = require("umap", purpose, "umap-learn")
            method = umap.UMAP(
                max(2, int(neighbours) // 2), random_state=seed, n_jobs=1
            )
        points = np.asarray(method.fit_transform(rows.astype("float32")))
    return points.reshape(*values.shape[:2], 2), names


def _principal_components(
    rows: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """First two components `[rows, 2]`, and their shares `[2]`."""
    rows = rows - rows.mean(axis=0)
    # Of the D x D matrix, since there may be very many rows.
    variances, directions = np.linalg.eigh(rows.T @ rows)
    first = [-1, -2] if len(variances) > 1 else [-1]
    points = np.zeros((len(rows), 2))
    explained = np.zeros(2)
    points[:, : len(first)] = rows @ directions[:, first]
    explained[: len(first)] = variances[first] / max(variances.sum(), 1e-12)
    return points, explained.clip(0, 1)
