import sys
import types

import numpy as np
import pytest

from keras_tcl import analysis
from tests.analysis import networks
from tests.models import tiny

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.legend import Legend  # noqa: E402


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
    assert ax.get_xlabel() == "time steps used in inference, t"
    assert ax.get_ylabel() == "accuracy, %"


def test_latency_of_many_steps_and_methods():
    steps = np.arange(1, 101)
    ax = drawn(
        analysis.plot_latency({f"{k}": k / steps / 10 for k in range(8)})
    )
    assert list(ax.get_xticks()) == [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    looks = {(k.get_color(), k.get_linestyle()) for k in ax.lines}
    assert len(looks) == len({k.get_marker() for k in ax.lines}) == 8
    # So many that the line between them can be seen.
    assert {k.get_markevery() for k in ax.lines} == {10}


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
    assert labels_of(ax.get_legend()) == ["baseline", "STCL"]
    assert ax.get_ylabel() == "firing rate, %"


def test_firing_rates_of_many_steps_and_of_many_methods():
    ax = drawn(analysis.plot_firing_rates({"a": np.linspace(0, 1, 100)}))
    assert len(ax.containers) == 100
    assert labels_of(ax.get_legend()) == [
        "t = 1",
        "t = 34",
        "t = 67",
        "t = 100",
    ]
    methods = {f"method {k}": {"block1": 0.1 * k} for k in range(14)}
    ax = drawn(analysis.plot_firing_rates(methods))
    assert labels_of(ax.get_legend()) == list(methods)


def boxes_of(ax):
    """Corners `[spikes, 4, 2]` of what is drawn for each spike."""
    paths = ax.collections[0].get_paths()
    return np.array([path.vertices[:4] for path in paths])


def test_spike_raster():
    spikes = np.zeros((3, 2, 2, 2))
    spikes[0, 0, 0, 1] = spikes[2, 1, 1, 1] = 1
    ax = drawn(analysis.plot_spike_raster(spikes))
    boxes = boxes_of(ax)
    centers = boxes.mean(axis=1)
    np.testing.assert_allclose(centers, [[1, 1], [3, 7]])  # Step, neuron.
    # Wide enough to be seen at three steps, and apart from the next.
    np.testing.assert_allclose(np.ptp(boxes, axis=1), [[0.84, 0.9]] * 2)
    assert (*ax.get_xlim(), *ax.get_ylim()) == (0.5, 3.5, -0.5, 7.5)
    assert list(ax.get_xticks()) == [1, 2, 3]
    assert ax.get_xlabel() == "time step, t"
    assert ax.get_ylabel() == "neuron"
    ax = analysis.plot_spike_raster(np.ones((2, 1000)), max_neurons=10)
    assert len(boxes_of(ax)) == 10 * 2
    assert ax.get_ylabel() == "neuron (10 of 1,000)"


def test_spike_raster_of_many_steps_and_of_silence():
    rng = np.random.default_rng(0)
    spikes = rng.random((100, 8, 8, 4)) < 0.1
    ax = drawn(analysis.plot_spike_raster(spikes, max_neurons=256))
    assert len(boxes_of(ax)) == spikes.sum()
    ticks = ax.get_xticks()
    assert list(ticks) == [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    ax = drawn(analysis.plot_spike_raster(np.zeros((1, 1))))
    assert list(ax.get_xticks()) == [1] and list(ax.get_yticks()) == [0]


def test_embeddings_lie_in_their_principal_plane():
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, 2 * np.pi, (6, 3))
    # A circle of any radii, turned into a plane of four dimensions.
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    embeddings = circle * rng.uniform(1, 9, (6, 3, 1)) @ turn[:2]
    labels = [3, 3, 5, 5, 7, 7]
    ax = drawn(analysis.plot_embeddings(embeddings, labels, projection="pca"))
    points = np.stack([c.get_offsets() for c in ax.collections], axis=1)

    def distances(p):
        p = p.reshape(-1, 2)
        return np.linalg.norm(p[:, None] - p, axis=-1)

    np.testing.assert_allclose(distances(points), distances(circle), atol=1e-9)
    steps, classes = ax.findobj(Legend)
    assert labels_of(steps) == ["t = 1", "t = 2", "t = 3"]
    assert labels_of(classes) == ["3", "5", "7"]
    assert classes.get_title().get_text() == "class"
    assert "% of the variance" in ax.get_xlabel()
    colors = ax.collections[0].get_facecolors()
    assert (colors[0] == colors[1]).all() and (colors[0] != colors[2]).any()
    markers = [len(c.get_paths()[0].vertices) for c in ax.collections]
    assert len(set(markers)) == 3


def clusters(samples, timesteps=2, classes=3):
    """Embeddings of classes far apart, and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(samples) % classes
    centers = np.eye(classes, 8)[labels][:, None]
    noise = rng.normal(size=(samples, timesteps, 8))
    return centers + 0.05 * noise, labels


def nearest_are_of_the_same_class(ax, labels):
    points = np.stack([c.get_offsets() for c in ax.collections], axis=1)
    classes = np.repeat(labels, points.shape[1])
    points = points.reshape(-1, 2)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distances, np.inf)
    return (classes[distances.argmin(axis=1)] == classes).all()


def test_embeddings_by_tsne():
    pytest.importorskip("sklearn")
    embeddings, labels = clusters(30)
    ax = drawn(analysis.plot_embeddings(embeddings, labels))
    assert nearest_are_of_the_same_class(ax, labels)
    assert ax.get_xlabel() == "t-SNE 1 (no unit)"
    # It is drawn the same way again.
    again = analysis.plot_embeddings(embeddings, labels)
    for one, other in zip(ax.collections, again.collections, strict=True):
        np.testing.assert_array_equal(one.get_offsets(), other.get_offsets())


def test_embeddings_by_umap(monkeypatch):
    embeddings, labels = clusters(30)
    asked = {}

    class UMAP:
        """What of umap-learn is used: first two columns for a plane."""

        def __init__(self, n_neighbors, random_state, n_jobs):
            asked.update(n_neighbors=n_neighbors, seed=random_state)

        def fit_transform(self, x):
            return x[:, :2]

    module = types.ModuleType("umap")
    module.UMAP = UMAP
    monkeypatch.setitem(sys.modules, "umap", module)
    ax = drawn(
        analysis.plot_embeddings(embeddings, labels, projection="umap", seed=7)
    )
    unit = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    for t, of_step in enumerate(ax.collections):
        np.testing.assert_allclose(of_step.get_offsets(), unit[:, t, :2], 1e-6)
    assert ax.get_ylabel() == "UMAP 2 (no unit)"
    assert asked["seed"] == 7
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match="pip install umap-learn"):
        analysis.plot_embeddings(embeddings, projection="umap")


def test_embeddings_of_some_samples_and_steps():
    embeddings, labels = clusters(100, timesteps=20, classes=10)
    ax = drawn(
        analysis.plot_embeddings(
            embeddings, labels, projection="pca", max_samples=40
        )
    )
    assert [len(c.get_offsets()) for c in ax.collections] == [40] * 12
    steps, classes = ax.findobj(Legend)
    assert labels_of(steps)[::11] == ["t = 1", "t = 20"]
    # Not every tenth, which would be one class.
    assert len(np.unique(ax.collections[0].get_facecolors(), axis=0)) > 5
    assert len(classes.get_texts()) == 10


def test_embeddings_of_more_classes_than_a_legend_holds():
    embeddings, labels = clusters(50, classes=8)
    labels = 10 * np.arange(50) % 250  # 25 ids, from 0 to 240.
    ax = drawn(analysis.plot_embeddings(embeddings, labels, projection="pca"))
    assert len(ax.findobj(Legend)) == 1
    (bar,) = [other for other in ax.figure.axes if other is not ax]
    assert bar.get_ylabel() == "class"
    ends = [bar.get_yticklabels()[k].get_text() for k in (0, -1)]
    assert ends == ["0", "240"]


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
        ("embeddings", np.full((4, 2, 3), np.nan), "infinite values in 4 s"),
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
    with pytest.raises(ValueError, match="`projection` must be .*tsne"):
        analysis.plot_embeddings(np.zeros((4, 2, 3)), projection="lda")
    with pytest.raises(ValueError, match="max_samples"):
        analysis.plot_embeddings(np.zeros((4, 2, 3)), max_samples=0)


def test_matplotlib_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"pip install keras_tcl\[plot\]"):
        analysis.plot_latency({"a": [0.5]})
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install keras_tcl\[plot\]"):
        analysis.plot_spike_raster(np.zeros((2, 3)))
