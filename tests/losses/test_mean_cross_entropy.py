import numpy as np
import pytest
from keras import ops

from keras_tcl.losses import MeanCrossEntropy
from tests.gradients import value_and_gradient
from tests.losses.reference import cross_entropy

LABELS = np.array([2, 0, 1])


@pytest.mark.parametrize("views", [1, 2])
def test_is_equation_4(views):
    logits = np.random.default_rng(0).normal(size=(3, views, 4, 3)) * 3
    expected = [
        np.mean(
            [
                cross_entropy(logits[i, v].mean(axis=0), np.eye(3)[LABELS[i]])
                for v in range(views)
            ]
        )
        for i in range(3)
    ]
    loss = MeanCrossEntropy()
    result = loss.terms(LABELS, {"logits": logits})["classification"]
    np.testing.assert_allclose(
        ops.convert_to_numpy(result), expected, rtol=1e-5
    )
    np.testing.assert_allclose(
        float(loss(LABELS, {"logits": logits})), np.mean(expected), rtol=1e-5
    )


def test_gradient_is_probability_minus_target():
    logits = np.random.default_rng(1).normal(size=(3, 4, 3))
    loss = MeanCrossEntropy(reduction="sum")
    _, gradient = value_and_gradient(lambda x: loss(LABELS, x), logits)
    exponentials = np.exp(logits.mean(axis=1))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    # Each of the four steps has a quarter of the mean's gradient.
    expected = (probabilities - np.eye(3)[LABELS])[:, None] / 4
    np.testing.assert_allclose(
        gradient, np.broadcast_to(expected, (3, 4, 3)), atol=1e-6
    )


def test_large_logits_are_finite():
    logits = np.zeros((3, 2, 3), "float32")
    logits[:, :, 0] = 1e5
    result = MeanCrossEntropy(reduction=None)(LABELS, logits)
    np.testing.assert_allclose(ops.convert_to_numpy(result), [1e5, 0, 1e5])


def test_nan_logits_are_not_hidden():
    logits = np.zeros((3, 2, 3), "float32")
    logits[1, 0, 0] = np.nan
    result = ops.convert_to_numpy(
        MeanCrossEntropy(reduction=None)(LABELS, logits)
    )
    np.testing.assert_array_equal(np.isnan(result), [False, True, False])
