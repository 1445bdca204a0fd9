import numpy as np
import pytest
from keras import ops

from keras_tcl.losses import TET, MeanCrossEntropy
from tests.gradients import value_and_gradient
from tests.losses.reference import cross_entropy, finite_differences

LABELS = np.array([2, 0, 1])


def reference(logits, regularization=0.0, target=1.0):
    samples, views, timesteps, classes = logits.shape
    values = np.zeros(samples)
    for i in range(samples):
        for v in range(views):
            for t in range(timesteps):
                values[i] += (
                    (1 - regularization)
                    * cross_entropy(logits[i, v, t], np.eye(3)[LABELS[i]])
                    / (views * timesteps)
                )
                for c in range(classes):
                    values[i] += (
                        regularization
                        * (logits[i, v, t, c] - target) ** 2
                        / (views * timesteps * classes)
                    )
    return values


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize(
    "settings",
    [{}, {"regularization": 0.05}, {"regularization": 1, "target": -2.0}],
    ids=["eq5", "regularized", "distance only"],
)
def test_equals_loops(settings, views):
    logits = np.random.default_rng(0).normal(size=(3, views, 4, 3)) * 3
    loss = TET(**settings, reduction=None)
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss(LABELS, {"logits": logits})),
        reference(logits, **settings),
        rtol=1e-5,
    )


def test_gradient():
    logits = np.random.default_rng(1).normal(size=(3, 1, 2, 3))
    loss = TET(regularization=0.2, reduction="sum")
    _, gradient = value_and_gradient(lambda x: loss(LABELS, x), logits)
    expected = finite_differences(lambda x: reference(x, 0.2).sum(), logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_one_step_is_the_baseline():
    logits = np.random.default_rng(2).normal(size=(3, 1, 3))
    np.testing.assert_allclose(
        float(TET()(LABELS, logits)),
        float(MeanCrossEntropy()(LABELS, logits)),
        rtol=1e-6,
    )


def test_no_step_can_hide_behind_the_mean():
    # Two opposite steps: the mean is undecided, each step is not.
    logits = np.array([[[9.0, -9.0], [-9.0, 9.0]]])
    label = np.array([0])
    np.testing.assert_allclose(
        float(MeanCrossEntropy()(label, logits)), np.log(2), rtol=1e-6
    )
    np.testing.assert_allclose(float(TET()(label, logits)), 9, rtol=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan, "some", None])
def test_refuses_regularization(value):
    with pytest.raises(ValueError, match="between 0 and 1.*Received: regular"):
        TET(regularization=value)


@pytest.mark.parametrize("value", [np.inf, np.nan, "one", None])
def test_refuses_target(value):
    with pytest.raises(ValueError, match="finite number.*Received: target="):
        TET(target=value)
