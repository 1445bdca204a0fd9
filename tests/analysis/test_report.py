"""A report against scikit-learn, and loops written from the formulas."""

import json

import keras
import numpy as np
import pytest

import keras_tcl
from keras_tcl import analysis
from tests.analysis import networks
from tests.models import tiny


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def probabilities(model, x):
    """`[N, T, classes]` of the running mean logits, sample by sample."""
    logits = model.predict_timesteps(x).astype("float64")
    return np.array(
        [
            [softmax(sample[: t + 1].mean(axis=0)) for t in range(len(sample))]
            for sample in logits
        ]
    )


def certain():
    """A network whose answers are of every confidence, and its data."""
    model, (x, y) = networks.image_network(), tiny.images(40)
    logits = model.predict_timesteps(x)
    mean = logits.mean(axis=(0, 1))
    factor = 1.5 / (logits - mean).std()
    kernel, bias = model.get_layer("classifier").weights
    kernel.assign(factor * keras.ops.convert_to_numpy(kernel))
    bias.assign(-factor * mean)  # It was 0.
    return model, x, y


def expected_calibration_error(p, y, bins):
    """Guo et al., 2017, equation 3, bin by bin."""
    confidence, right = p.max(-1), p.argmax(-1) == y
    total = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            total += inside.sum() / len(y) * gap
    return total


def stopped(p, y, threshold):
    """Mean steps and accuracy where each sample stops when it is sure."""
    steps, right = [], []
    for sample, label in zip(p, y, strict=True):
        for t, now in enumerate(sample, start=1):
            if now.max() >= threshold or t == len(sample):
                break
        steps.append(t)
        right.append(now.argmax() == label)
    return np.mean(steps), np.mean(right)


@pytest.mark.parametrize("bins", [15, 4])
def test_equals_the_formulas(bins):
    metrics = pytest.importorskip("sklearn.metrics")
    model, x, y = certain()
    p = probabilities(model, x)
    # The test can fail: there is something to be wrong about.
    assert p.max(-1).min() < 0.7 < 0.9 < p.max(-1).max()
    thresholds = (0.0, 0.6, 0.8, 0.95, 1.0)
    report = analysis.report(model, x, y, thresholds=thresholds, bins=bins)
    assert report.samples == 40
    np.testing.assert_array_equal(
        report.confusion,
        metrics.confusion_matrix(y, p[:, -1].argmax(-1), labels=range(3)),
    )
    np.testing.assert_allclose(report.accuracy, model.evaluate_timesteps(x, y))
    for t in range(3):
        now = p[:, t]
        assert report.accuracy[t] == pytest.approx(
            metrics.accuracy_score(y, now.argmax(-1))
        )
        assert report.cross_entropy[t] == pytest.approx(
            metrics.log_loss(y, now, labels=range(3)), rel=1e-5
        )
        assert report.confidence[t] == pytest.approx(now.max(-1).mean())
        error = expected_calibration_error(now, y, bins)
        assert error > 0.01
        assert report.calibration_error[t] == pytest.approx(error, rel=1e-5)
    early = report.early_exit
    assert early["threshold"].tolist() == list(thresholds)
    for i, threshold in enumerate(thresholds):
        steps, accuracy = stopped(p, y, threshold)
        assert early["timesteps"][i] == pytest.approx(steps)
        assert early["accuracy"][i] == pytest.approx(accuracy)
    assert early["timesteps"][0] == 1 < early["timesteps"][2] < 3
    rates = analysis.firing_rates(model, x)
    assert list(report.firing_rates) == list(rates)
    for name, rate in rates.items():
        np.testing.assert_allclose(report.firing_rates[name], rate, rtol=1e-5)


def test_a_confidence_on_the_edge_belongs_to_the_lower_bin():
    from keras_tcl.analysis.reports import _calibration_errors

    confidence = np.array([[0.5], [0.75], [1.0]])
    is_right = np.array([[False], [True], [True]])
    # Bins (0, 0.5], (0.5, 1]: gaps of 0.5, and of 0.25 + 0.
    error = _calibration_errors(confidence, is_right, 2)
    np.testing.assert_allclose(error, [(0.5 + 0.25) / 3])


@pytest.mark.parametrize(
    "kind", ["batches", "pair", "one-hot", "network", "events"]
)
def test_data_and_labels(kind):
    if kind == "events":
        model, (x, y) = networks.event_network(), tiny.recordings(10)
    else:
        model, (x, y) = networks.image_network(), tiny.images(10)
    expected = analysis.report(model, x, y).to_dict()
    if kind == "one-hot":
        report = analysis.report(model, x, np.eye(3)[y])
    elif kind == "pair":
        report = analysis.report(model, (x, y))
    elif kind == "network":
        report = analysis.report(model.network, x, y)
    else:
        report = analysis.report(model, networks.Batches(x, y, 4))
    for a, b in zip(
        keras.tree.flatten(report.to_dict()),
        keras.tree.flatten(expected),
        strict=True,
    ):
        assert a == pytest.approx(b, rel=1e-5)


def test_one_pass_over_a_data_set():
    model, (x, y) = networks.image_network(), tiny.images(8)
    read = []

    class Counted(networks.Batches):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    analysis.report(model, Counted(x, y, 4))
    assert sorted(read) == [0, 1]


def test_as_text_as_json_and_as_a_figure(tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    model, x, y = certain()
    report = analysis.report(model, x, y, class_names=("cat", "dog", "owl"))
    again = json.loads(json.dumps(report.to_dict()))
    assert again["accuracy"] == report.accuracy.tolist()
    assert again["class_names"] == ["cat", "dog", "owl"]
    lines = str(report).splitlines()
    assert lines[0].split("samples")[0].strip() == "40"
    shown = [float(v) for v in lines[1].removeprefix("accuracy, %").split()]
    np.testing.assert_allclose(shown, 100 * report.accuracy, atol=0.006)
    wrong = report.confusion - np.diag(np.diag(report.confusion))
    assert f"{wrong.sum()} mistakes at t = 3" in lines
    assert any(line.startswith(f"  {wrong.max()} of class") for line in lines)
    figure = report.plot()
    assert [ax.get_ylabel() for ax in figure.axes[:4]] == [
        "accuracy, %",
        "mean over samples, %",
        "class",
        "firing rate, %",
    ]
    drawn = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_allclose(drawn, 100 * report.accuracy)
    texts = [text.get_text() for text in figure.axes[2].texts]
    assert texts[:-1] == [str(n) for n in report.confusion.ravel() if n]
    analysis.save_plot(figure, tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 10_000
    pyplot.close(figure)


def test_bad_input():
    model, (x, y) = networks.image_network(), tiny.images(6)
    with pytest.raises(ValueError, match="Labels are missing"):
        analysis.report(model, x)
    with pytest.raises(ValueError, match="empty: it holds no sample"):
        analysis.report(model, x[:0], y[:0])
    with pytest.raises(ValueError, match="The data is empty"):
        analysis.report(model, networks.Batches(x[:0], y[:0], 2))
    with pytest.raises(ValueError, match="data set is empty"):
        analysis.report(model, iter([]))
    with pytest.raises(ValueError, match="between 0 and 2"):
        analysis.report(model, x, y + 1)
    with pytest.raises(ValueError, match="6 samples, 5 labels"):
        analysis.report(model, x, y[:5])
    with pytest.raises(ValueError, match="built for samples"):
        analysis.report(model, x[:, :4], y)
    with pytest.raises(ValueError, match="each of the model's 3 classes"):
        analysis.report(model, x, y, class_names=("cat", "dog"))
    with pytest.raises(ValueError, match="`thresholds` must be"):
        analysis.report(model, x, y, thresholds=(0.5, 1.5))
    with pytest.raises(ValueError, match="`bins` must be an integer"):
        analysis.report(model, x, y, bins=0)
    kernel = model.get_layer("classifier").weights[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(ValueError, match="the weights have diverged"):
        analysis.report(model, x, y)


def test_recordings_of_different_lengths():
    model = networks.event_network()
    (x, y), (longer, _) = tiny.recordings(4), tiny.recordings(4, timesteps=4)
    with pytest.raises(ValueError, match="T = 3 and T = 4"):
        analysis.report(model, iter([(x, y), (longer, y)]))


def near_ties():
    """A network whose answers at T = 3 hang on how they are added up."""
    frames = keras.Input((3, 1, 1, 2))
    logits = keras.layers.Reshape((3, 2))(frames)
    logits = keras.layers.Rescaling(2.0**10)(logits)
    spikes = keras_tcl.layers.LIF()(frames)  # A report wants some.
    network = keras.Model(frames, {"stage": spikes, "logits": logits})
    return keras_tcl.TCLModel(network, augmenter=None)


def test_a_near_tie_ends_the_same_way_in_all_numbers():
    # In float32, 2^24 + 1 is 2^24: the sums are 0 and 0.5, not 1 and 0.5.
    steps = np.array([[2.0**24, 0.0], [1.0, 0.5], [-(2.0**24), 0.0]], "float32")
    rounded = np.cumsum(steps, axis=0)[-1]
    exact = np.cumsum(steps, axis=0, dtype="float64")[-1]
    assert rounded.argmax() == 1 and exact.argmax() == 0
    model, y = near_ties(), np.array([0, 1, 1])
    x = np.stack([steps] * 3)[:, :, None, None] / 2.0**10
    np.testing.assert_array_equal(model.predict_timesteps(x)[0], steps)
    report = analysis.report(model, x, y, thresholds=(1.0,))
    np.testing.assert_array_equal(report.confusion, [[1, 0], [2, 0]])
    assert report.accuracy[-1] == np.trace(report.confusion) / 3 == 1 / 3
    assert report.early_exit["accuracy"][0] == report.accuracy[0]
    np.testing.assert_array_equal(
        report.accuracy, model.evaluate_timesteps(x, y)
    )
