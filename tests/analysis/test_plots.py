import sys

import numpy as np
import pytest

from keras_tcl import analysis
from tests.analysis import networks
from tests.models import tiny

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot.close("all")


def labels_of(legend):
    return [text.get_text() for text in legend.get_texts()]


def heights_of(ax):
    return [[bar.get_height() for bar in bars] for bars in ax.containers]


def drawn(ax):
    """Draw the figure, which is when matplotlib finds most faults."""
    ax.figure.canvas.draw()
    return ax


def test_latency():
    ax = drawn(
        analysis.plot_latency(
            {"baseline": [0.4, 0.6], "STCL": [[0.5, 0.7], [0.7, 0.7]]}
        )
    )
    first, second = ax.lines
    np.testing.assert_allclose(first.get_ydata(), [40, 60])
    np.testing.assert_allclose(second.get_ydata(), [60, 70])
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(50)  # Mean minus deviation.
    assert band[:, 1].max() == pytest.approx(70)
    assert list(ax.get_xticks()) == [1, 2]
    assert labels_of(ax.get_legend()) == ["baseline", "STCL"]


def test_firing_rates_of_one_model():
    ax = drawn(
        analysis.plot_firing_rates({"stem": [0.1, 0.2], "stage1": [0.3, 0.4]})
    )
    heights = heights_of(ax)
    np.testing.assert_allclose(heights, [[10, 30], [20, 40]])
    assert labels_of(ax.get_legend()) == ["t = 1", "t = 2"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["stem", "stage1"]


def test_firing_rates_of_several_methods():
    ax = analysis.plot_firing_rates(
        {
            "baseline": {"block1": [0.1, 0.3], "block2": [0.0, 0.2]},
            "STCL": {"block2": [0.5, 0.5], "block1": [0.4, 0.4]},
        }
    )
    heights = [
        [bar.get_height() for bar in bars] for bars in drawn(ax).containers
    ]
    np.testing.assert_allclose(heights, [[20, 10], [40, 50]])


def test_spike_raster():
    spikes = np.zeros((3, 2, 2, 2))
    spikes[0, 0, 0, 1] = spikes[2, 1, 1, 1] = 1
    ax = drawn(analysis.plot_spike_raster(spikes))
    cells = np.asarray(ax.images[0].get_array())
    assert np.argwhere(cells).tolist() == [[1, 0], [7, 2]]  # Neuron, step.
    assert ax.images[0].get_extent() == [0.5, 3.5, -0.5, 7.5]
    assert ax.get_ylabel() == "neuron"
    ax = analysis.plot_spike_raster(np.ones((2, 1000)), max_neurons=10)
    assert ax.images[0].get_array().shape == (10, 2)
    assert ax.get_ylabel() == "neuron (10 of 1,000)"


def test_embeddings_lie_in_their_principal_plane():
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, 2 * np.pi, (6, 3))
    # A circle of any radii, turned into a plane of four dimensions.
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    embeddings = circle * rng.uniform(1, 9, (6, 3, 1)) @ turn[:2]
    labels = [3, 3, 5, 5, 7, 7]
    ax = drawn(analysis.plot_embeddings(embeddings, labels))
    points = np.stack([c.get_offsets() for c in ax.collections], axis=1)

    def distances(p):
        p = p.reshape(-1, 2)
        return np.linalg.norm(p[:, None] - p, axis=-1)

    np.testing.assert_allclose(distances(points), distances(circle), atol=1e-9)
    assert labels_of(ax.get_legend()) == [
        *("t = 1", "t = 2", "t = 3"),
        *("class 3", "class 5", "class 7"),
    ]
    colors = ax.collections[0].get_facecolors()
    assert (colors[0] == colors[1]).all() and (colors[0] != colors[2]).any()
    markers = [len(c.get_paths()[0].vertices) for c in ax.collections]
    assert len(set(markers)) == 3


@pytest.mark.parametrize(
    "embeddings, labels",
    [
        (np.zeros((4, 2, 3)), [0, 1, 0, 1]),  # A network that is silent.
        (np.ones((4, 2, 1)), None),
        (np.random.default_rng(0).normal(size=(40, 12, 5)), np.arange(40)),
    ],
)
def test_embeddings_of_odd_shapes(embeddings, labels):
    ax = drawn(analysis.plot_embeddings(embeddings, labels))
    assert len(ax.collections) == embeddings.shape[1]


def test_into_given_axes_and_from_a_network():
    model, (x, y) = networks.image_network(), tiny.images(6)
    _, axes = pyplot.subplots(2, 2)
    axes = axes.ravel()
    drawings = (
        (analysis.plot_latency, {"one": model.evaluate_timesteps(x, y)}),
        (analysis.plot_firing_rates, analysis.firing_rates(model, x)),
        (analysis.plot_spike_raster, analysis.spikes(model, x, "stem")[0]),
        (analysis.plot_embeddings, analysis.embeddings(model, x)["stage2"]),
    )
    for ax, (plot, values) in zip(axes, drawings, strict=True):
        assert plot(values, ax=ax) is ax
    drawn(axes[0])
    assert len(pyplot.get_fignums()) == 1


@pytest.mark.parametrize(
    "plot, value, message",
    [
        ("latency", {}, "at least one entry"),
        ("latency", [0.5], "must be a dictionary"),
        ("latency", {"a": [50.0]}, "Divide percentages by 100"),
        ("latency", {"a": [np.nan]}, "fractions between 0 and 1"),
        ("latency", {"a": []}, r"not empty. Received: shape \(0,\)"),
        ("firing_rates", {}, "at least one entry"),
        ("firing_rates", {"a": {"b": 1.0}, "c": [1.0]}, "a dictionary"),
        ("firing_rates", {"a": {"b": 1.0}, "c": {"d": 1.0}}, "same layers"),
        ("firing_rates", {"a": [1.0], "c": [1.0, 1.0]}, "inhomogeneous"),
        ("spike_raster", np.zeros(4), r"`spikes` must.*shape \(4,\)"),
        ("spike_raster", "abc", "could not convert string"),
        ("embeddings", np.zeros((4, 3)), "an array of 3 axes"),
    ],
)
def test_bad_input(plot, value, message):
    with pytest.raises(ValueError, match=message):
        getattr(analysis, f"plot_{plot}")(value)


def test_other_bad_input():
    with pytest.raises(ValueError, match="max_neurons"):
        analysis.plot_spike_raster(np.zeros((2, 3)), max_neurons=0)
    with pytest.raises(ValueError, match=r"labels of shape \(3,\)"):
        analysis.plot_embeddings(np.zeros((4, 2, 3)), [1, 2, 3])


def test_matplotlib_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install keras_tcl\[plot\]"):
        analysis.plot_latency({"a": [0.5]})
