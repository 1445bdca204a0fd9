import numpy as np
import pytest
from keras import ops

from keras_tcl.losses import TET, LatencyCrossEntropy, MeanCrossEntropy
from tests.gradients import value_and_gradient
from tests.losses.reference import (
    cross_entropy,
    finite_differences,
    over_views,
)

LABELS = np.array([2, 0, 1])
LOGITS = np.random.default_rng(0).normal(size=(3, 2, 4, 3)) * 3


def reference(logits, weights=None):
    weights = np.ones(4) if weights is None else np.array(weights)

    def of_sample(steps, label):
        value = 0.0
        for t in range(len(steps)):
            mean = sum(steps[s] for s in range(t + 1)) / (t + 1)
            value += weights[t] * cross_entropy(mean, np.eye(3)[label])
        return value / weights.sum()

    return over_views(of_sample, logits, LABELS)


@pytest.mark.parametrize("weights", [None, [0, 1, 2, 5.5]])
def test_equals_loops(weights):
    loss = LatencyCrossEntropy(weights, reduction=None)
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss(LABELS, {"logits": LOGITS})),
        reference(LOGITS, weights),
        rtol=1e-5,
    )


def test_gradient():
    loss = LatencyCrossEntropy([1, 2, 0, 1], reduction="sum")
    _, gradient = value_and_gradient(lambda x: loss(LABELS, x), LOGITS)
    expected = finite_differences(
        lambda x: reference(x, [1, 2, 0, 1]).sum(), LOGITS
    )
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_is_the_mean_of_trainings_with_fewer_steps():
    """What a random number of steps a batch trains, on average."""
    expected = [
        float(MeanCrossEntropy()(LABELS, LOGITS[:, :, : t + 1]))
        for t in range(4)
    ]
    result = float(LatencyCrossEntropy()(LABELS, LOGITS))
    np.testing.assert_allclose(result, np.mean(expected), rtol=1e-6)


def test_one_weight_is_the_baseline_and_one_step_is_all_the_same():
    last = LatencyCrossEntropy([0, 0, 0, 2])
    np.testing.assert_allclose(
        float(last(LABELS, LOGITS)),
        float(MeanCrossEntropy()(LABELS, LOGITS)),
        rtol=1e-6,
    )
    step = LOGITS[:, :, :1]
    np.testing.assert_allclose(
        float(LatencyCrossEntropy()(LABELS, step)),
        float(TET()(LABELS, step)),
        rtol=1e-6,
    )


@pytest.mark.parametrize("weights", [[0, 0], [1, -1], [np.nan], ["a"], []])
def test_refuses_weights(weights):
    with pytest.raises(ValueError, match="weights.*Received"):
        LatencyCrossEntropy(weights)


def test_refuses_weights_of_other_steps():
    with pytest.raises(ValueError, match="for each time step.*4 time steps"):
        LatencyCrossEntropy([1, 2])(LABELS, LOGITS)
