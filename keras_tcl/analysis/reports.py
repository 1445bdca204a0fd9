"""What a trained network can do, measured in one pass over the data."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_tcl import checks, inputs
from keras_tcl.analysis.measurement import (
    check_data,
    check_finite,
    network_of,
    reader,
)
from keras_tcl.analysis.rates import grouped_layers, rates_of
from keras_tcl.analysis.report_plot import plot_report
from keras_tcl.distribution import replicas
from keras_tcl.graph import LOGITS
from keras_tcl.inference.latency import (
    add_by_latency,
    class_ids,
    sums_by_latency,
)
from keras_tcl.progress import shown

# Of the confidence at which a sample needs no further step.
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What `keras_tcl.analysis.report` measured; `print` shows it as a table.

    Attributes:
        samples: Integer.
        accuracy: Array `[T]`, fractions, at every latency.
        confidence: Array `[T]`, the mean confidence.
        calibration_error: Array `[T]`, the expected calibration error.
        cross_entropy: Array `[T]`, the mean of `-log p(label)`.
        early_exit: Dictionary of arrays `[thresholds]`: `"threshold"`,
            `"timesteps"` (their mean) and `"accuracy"`.
        confusion: Array `[classes, classes]`: how many samples of the row's
            class were taken for the column's, after all T steps.
        firing_rates: Dictionary from a layer to its rates `[T]`, see
            `keras_tcl.analysis.firing_rates`.
        class_names: Tuple of strings, or empty.

    Example:

    >>> model = keras_tcl.models.sew_resnet([1], [4], (8, 8, 1), 10)
    >>> x, y = np.random.randint(0, 256, (16, 8, 8, 1)), np.arange(16) % 10
    >>> report = keras_tcl.analysis.report(model, x, y)
    >>> str(report).split()[:2]
    ['16', 'samples']
    >>> sorted(report.to_dict())[:3]
    ['accuracy', 'calibration_error', 'class_names']
    """

    samples: int
    accuracy: np.ndarray
    confidence: np.ndarray
    calibration_error: np.ndarray
    cross_entropy: np.ndarray
    early_exit: dict[str, np.ndarray]
    confusion: np.ndarray
    firing_rates: dict[str, np.ndarray]
    class_names: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The same in lists and numbers, for `json.dump`."""
        return _plain(vars(self))

    def plot(self) -> Any:
        """Draws all of it in one figure of a page's width.

        Returns:
            The matplotlib Figure, for `keras_tcl.analysis.save_plot`.

        Raises:
            ImportError: If matplotlib is missing.
        """
        return plot_report(self)

    def __str__(self) -> str:
        steps = [f"t = {t}" for t in range(1, len(self.accuracy) + 1)]
        by_step = {
            "accuracy, %": 100 * self.accuracy,
            "mean confidence, %": 100 * self.confidence,
            "calibration error, %": 100 * self.calibration_error,
            "cross entropy": self.cross_entropy,
        }
        early = {
            f"  until {threshold:g}": [steps_used, 100 * accuracy]
            for threshold, steps_used, accuracy in zip(
                *self.early_exit.values(), strict=True
            )
        }
        rates = {f"  {k}": 100 * v for k, v in self.firing_rates.items()}
        lines = [
            *_rows(f"{self.samples:,} samples", steps, by_step),
            *_rows("early exit", ["mean t", "accuracy"], early),
            *_rows("firing rates, %", steps, rates),
            *self._confusions(),
        ]
        return "\n".join(lines)

    def _confusions(self, most: int = 5) -> Iterator[str]:
        """The most frequent mistakes, one a line."""
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        yield f"{wrong.sum():,} mistakes at t = {len(self.accuracy)}"
        order = np.argsort(-wrong[wrong > 0], kind="stable")[:most]
        names = self.class_names or range(len(wrong))
        for true, taken in np.argwhere(wrong)[order]:
            yield (
                f"  {wrong[true, taken]:,} of class {names[true]} taken for "
                f"{names[taken]}"
            )


def report(
    model: Any,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    class_names: Sequence[str] = (),
    thresholds: Sequence[float] = THRESHOLDS,
    bins: int = 15,
) -> Report:
    r"""Measures what a network can do at every latency, in one pass.

    With the logits `o_s` of the steps and the labels `y` of N samples, after
    t steps

    ```
    p_t = softmax(mean over s <= t of o_s)     prediction argmax p_t
    confidence_t = mean over samples of max p_t
    cross_entropy_t = mean over samples of -log p_t[y]
    calibration_error_t = sum over bins b of n_b / N |accuracy_b - confidence_b|
    ```

    where bin b of M holds the samples with `(b - 1) / M < max p_t <= b / M`.
    For an early exit at a threshold, each sample stops at the first t at which
    `max p_t` is not below it, and at T otherwise; accuracy and mean t are
    those at which the samples stop.

    Args:
        model: `keras_tcl.TCLModel`, or a network such as its `network`.
        x: Images or event frames; or a pair of them and their labels, or a
            data set of `(x, y)` batches.
        y: Labels, integer or one-hot, of images or event frames.
        batch_size: Integer, as for `predict`.
        class_names: Sequence of strings, for tables and plots.
        thresholds: Sequence of numbers between 0 and 1, of the early exit.
        bins: Integer, M. Defaults to `15`, as in Guo et al.

    Returns:
        A `Report`: attributes, `str`, `to_dict()` and `plot()`.

    Raises:
        ValueError: If the data is empty, its labels are missing or no classes
            of the model, an argument does not fit, or the process has a part
            of the data alone.

    Example:

    >>> model = keras_tcl.sew_resnet8(weights="digits")
    >>> test = keras_tcl.data.load("digits", "test")
    >>> report = keras_tcl.analysis.report(model, test)
    >>> report.samples, report.accuracy.shape, report.confusion.shape
    (360, (4,), (10, 10))
    >>> bool((report.accuracy > 0.9).all())
    True

    Reference:

    - [Guo et al., 2017](https://arxiv.org/abs/1706.04599), equation 3
    - [Li et al., 2023](https://arxiv.org/abs/2304.01230), SEENN-I
    """
    replicas.check_whole(x, "A report")
    network = network_of(model)
    classes = network.output[LOGITS].shape[-1]
    names = _names(class_names, classes)
    thresholds = [
        checks.number("thresholds", value, 0, 1) for value in thresholds
    ]
    bins = checks.integer("bins", bins)
    x = inputs.one_input(x)
    if y is None and isinstance(x, (tuple, list)) and len(x) == 2:
        x, y = x
    if y is None and inputs.is_array(x):
        raise ValueError(
            "Labels are missing: `report` needs `y`, or a data set of "
            "`(x, y)` batches."
        )
    check_data(model, x)
    groups = grouped_layers(network, "layer")
    correct, fired = np.zeros(0), dict.fromkeys(groups, np.zeros(1))
    rows: list[tuple[np.ndarray, ...]] = []
    for outputs, labels in _answers(network, groups, x, y, batch_size):
        logits = outputs["logits"]
        check_finite(logits)
        found = _of_samples(logits, class_ids(labels, logits))
        is_right = found[1] == found[0][:, None]
        correct = add_by_latency(correct, is_right.sum(axis=0))
        rows.append(found)
        for name in groups:
            rates = outputs["results"][name]
            fired[name] = fired[name] + rates.sum(axis=0, dtype="float64")
    if not rows:
        raise ValueError("The data set is empty: there is no accuracy.")
    ids, predicted, confidence, losses = map(
        np.concatenate, zip(*rows, strict=True)
    )
    is_right = predicted == ids[:, None]
    pairs = ids * classes + predicted[:, -1]
    confusion = np.bincount(pairs, minlength=classes**2)
    return Report(
        samples=len(ids),
        accuracy=correct / len(ids),
        confidence=confidence.mean(axis=0),
        calibration_error=_calibration_errors(confidence, is_right, bins),
        cross_entropy=losses.mean(axis=0),
        early_exit=_early_exits(confidence, is_right, thresholds),
        confusion=confusion.reshape(classes, classes),
        firing_rates={k: v / len(ids) for k, v in fired.items()},
        class_names=names,
    )


def _answers(
    network: Any, groups: Any, x: Any, y: Any, batch_size: int | None
) -> Iterator[tuple[Any, Any]]:
    """Logits and firing rates of samples, with their labels."""
    readout = reader(network, rates_of(groups))
    if y is not None:
        yield readout.predict(x, batch_size), y
        return
    length = getattr(x, "num_batches", None)
    for images, labels in shown(inputs.batches_of(x), "report", length):
        yield readout.predict_on_batch(images), labels


def _of_samples(logits: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, ...]:
    """Class ids `[N]`; predictions, confidences and losses `[N, T]`."""
    steps = np.arange(1, logits.shape[1] + 1)[:, None]
    sums = sums_by_latency(logits)
    means = sums / steps
    means -= means.max(axis=-1, keepdims=True)
    logs = means - np.log(np.exp(means).sum(axis=-1, keepdims=True))
    ids = ids.astype("int64")
    losses = -np.take_along_axis(logs, ids[:, None, None], axis=-1)[..., 0]
    return ids, sums.argmax(-1), np.exp(logs.max(-1)), losses


def _calibration_errors(
    confidence: np.ndarray, is_right: np.ndarray, bins: int
) -> np.ndarray:
    """Expected calibration error `[T]` of `[N, T]`."""
    bin_of = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = is_right - confidence
    return np.array(
        [
            np.abs(np.bincount(b, gap, bins)).sum() / len(gap)
            for b, gap in zip(bin_of.T, gaps.T, strict=True)
        ]
    )


def _early_exits(
    confidence: np.ndarray, is_right: np.ndarray, thresholds: Sequence[float]
) -> dict[str, np.ndarray]:
    """Mean time steps and accuracy at each threshold."""
    stops = confidence[..., None] >= np.array(thresholds)
    stops[:, -1] = True  # There are no more steps.
    first = stops.argmax(axis=1)
    return {
        "threshold": np.array(thresholds),
        "timesteps": (first + 1.0).mean(axis=0),
        "accuracy": np.take_along_axis(is_right, first, axis=1).mean(axis=0),
    }


def _names(class_names: Sequence[str], classes: int) -> tuple[str, ...]:
    names = tuple(class_names)
    if names and len(names) != classes:
        raise ValueError(
            f"`class_names` must name each of the model's {classes} classes. "
            f"Received: {len(names)} names."
        )
    return names


def _rows(
    title: str, head: Iterable[str], rows: Mapping[str, Any]
) -> Iterator[str]:
    """A table's lines, and an empty one."""
    width = max(map(len, (title, *rows))) + 1
    yield title.ljust(width) + "".join(f"{name:>9}" for name in head)
    for name, values in rows.items():
        yield name.ljust(width) + "".join(f"{v:9.2f}" for v in values)
    yield ""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value
