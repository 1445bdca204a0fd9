"""Keras' losses on logits: equal to the formula, or refused."""

import functools

import keras
import numpy as np
import pytest
from keras import losses, ops

import keras_tcl
from keras_tcl.training.keras_losses import (
    loss_of_logits,
    metrics_of_logits,
)

LOGITS = np.array([[2.0, -1.0, 0.5], [-3.0, 0.25, 4.0]])
LABELS = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
SIGMOID = 1 / (1 + np.exp(-LOGITS))
# Of the logits, by the textbook.
CATEGORICAL = -(LABELS * np.log(SOFTMAX)).sum(-1).mean()
BINARY = -np.where(LABELS > 0, np.log(SIGMOID), np.log(1 - SIGMOID)).mean()
FOCAL = (-((1 - SOFTMAX) ** 2) * 0.25 * LABELS * np.log(SOFTMAX)).sum(-1).mean()
SQUARED = np.square(LABELS - LOGITS).mean()
BINARY_FOCAL = (
    np.where(
        LABELS > 0,
        -((1 - SIGMOID) ** 2) * np.log(SIGMOID),
        -(SIGMOID**2) * np.log(1 - SIGMOID),
    )
).mean()


def told(function):
    return functools.partial(function, from_logits=True)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("categorical_crossentropy", CATEGORICAL),
        ("CategoricalCrossentropy", CATEGORICAL),
        (losses.categorical_crossentropy, CATEGORICAL),
        (losses.CategoricalCrossentropy, CATEGORICAL),
        (losses.CategoricalCrossentropy(from_logits=True), CATEGORICAL),
        (["categorical_crossentropy"], CATEGORICAL),
        (told(losses.categorical_crossentropy), CATEGORICAL),
        (
            losses.serialize(losses.CategoricalCrossentropy(from_logits=True)),
            CATEGORICAL,
        ),
        ("sparse_categorical_crossentropy", CATEGORICAL),
        (losses.sparse_categorical_crossentropy, CATEGORICAL),
        (losses.SparseCategoricalCrossentropy, CATEGORICAL),
        ("bce", BINARY),
        ("binary_crossentropy", BINARY),
        (keras.metrics.binary_crossentropy, BINARY),
        (losses.BinaryCrossentropy, BINARY),
        ("categorical_focal_crossentropy", FOCAL),
        (losses.categorical_focal_crossentropy, FOCAL),
        ("binary_focal_crossentropy", BINARY_FOCAL),
        (losses.BinaryFocalCrossentropy, BINARY_FOCAL),
        ("mse", SQUARED),
        (losses.MeanSquaredError, SQUARED),
        (lambda y, x: ops.mean(ops.square(y - x), axis=-1), SQUARED),
    ],
)
def test_is_that_of_the_logits(loss, expected):
    function = losses.get(loss_of_logits(loss))
    labels = LABELS
    if "sparse" in str(getattr(function, "name", "")):
        labels = LABELS.argmax(-1)
    values = function(
        ops.convert_to_tensor(labels, "float32"),
        ops.convert_to_tensor(LOGITS, "float32"),
    )
    assert float(ops.mean(values)) == pytest.approx(expected, rel=1e-5)


class Shifted(losses.BinaryCrossentropy):
    """A loss of a user who did not think of logits."""


@pytest.mark.parametrize(
    "loss",
    [
        losses.SparseCategoricalCrossentropy(),
        losses.BinaryCrossentropy(),
        [losses.CategoricalFocalCrossentropy()],
        losses.serialize(losses.BinaryFocalCrossentropy()),
        functools.partial(losses.binary_crossentropy, label_smoothing=0.1),
        Shifted(),
    ],
)
def test_one_that_can_be_told_names_how(loss):
    with pytest.raises(ValueError, match=r"Crossentropy\(from_logits=True\)"):
        loss_of_logits(loss)


@pytest.mark.parametrize(
    "loss",
    [
        "kld",
        "kl_divergence",
        "msle",
        losses.MeanSquaredLogarithmicError(),
        losses.kl_divergence,
        losses.KLDivergence,
        losses.KLDivergence(),
        [losses.KLDivergence()],
        losses.serialize(losses.KLDivergence()),
        "poisson",
        losses.Poisson(),
        "dice",
        losses.Dice(),
        losses.tversky,
        losses.CategoricalGeneralizedCrossEntropy(),
    ],
)
def test_one_of_probabilities_is_refused(loss):
    with pytest.raises(ValueError, match="takes probabilities"):
        loss_of_logits(loss)


@pytest.mark.parametrize(
    "loss", [{"a": "mse", "logits": "mse"}, ["mse", "mse"], []]
)
def test_several_losses_are_refused(loss):
    with pytest.raises(ValueError, match="one output, its logits"):
        loss_of_logits(loss)


def test_a_temporal_loss_as_a_class_or_in_a_list():
    loss = keras_tcl.losses.TCL()
    assert loss_of_logits([loss]) is loss
    assert isinstance(
        loss_of_logits(keras_tcl.losses.TCL), keras_tcl.losses.TCL
    )
    assert loss_of_logits(None) is None


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("categorical_crossentropy", CATEGORICAL),
        (keras.metrics.CategoricalCrossentropy, CATEGORICAL),
        (losses.categorical_crossentropy, CATEGORICAL),
        (told(losses.categorical_crossentropy), CATEGORICAL),
        (keras.metrics.CategoricalCrossentropy(from_logits=True), CATEGORICAL),
        ("bce", BINARY),
        (losses.categorical_focal_crossentropy, FOCAL),
        ("mse", SQUARED),
    ],
)
def test_metrics_are_told_that_they_get_logits(metric, expected):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    shown, nothing = metrics_of_logits([metric, None])
    assert nothing is None
    model.compile(loss="mse", metrics=[shown])
    _, value = model.evaluate(LOGITS, LABELS, verbose=0)
    assert value == pytest.approx(expected, rel=1e-5)


def test_a_named_metric_keeps_its_name():
    assert metrics_of_logits("bce").name == "bce"
    names = ["accuracy", "acc", "mse", None]
    assert metrics_of_logits({"logits": names}) == {"logits": names}
    auc = metrics_of_logits("auc")
    assert auc.get_config()["from_logits"] is True


@pytest.mark.parametrize(
    "metric",
    [
        keras.metrics.BinaryCrossentropy(),
        keras.metrics.AUC(),
        keras.metrics.KLDivergence(),
        functools.partial(losses.categorical_crossentropy, axis=-1),
        "kl_divergence",
        "poisson",
        "msle",
    ],
)
def test_refuses_metrics_of_probabilities(metric):
    with pytest.raises(ValueError, match="this metric takes probabilities"):
        metrics_of_logits([metric])
