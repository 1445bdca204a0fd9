import numpy as np
import pytest
from keras import ops

from keras_tcl.losses import STCL, TCL, MeanCrossEntropy
from tests.gradients import value_and_gradient
from tests.losses.reference import (
    cross_entropy,
    equation_7,
    equation_10,
    finite_differences,
)

LABELS = np.array([2, 0, 2, 1, 0])
GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(5, 2, 2, 3))
EMBEDDINGS = GENERATOR.normal(size=(5, 2, 2, 3))


def outputs(embeddings=EMBEDDINGS):
    return {"logits": LOGITS, "embeddings": {"stage4": embeddings}}


def as_printed(**settings):
    settings = {"normalization": "paper", "weight": 5.0, **settings}
    return STCL(per_step=0.0, temperature=0.07, **settings)


@pytest.mark.parametrize("supervised", [True, False])
def test_is_equation_9(supervised):
    if supervised:
        contrastive = equation_10(EMBEDDINGS, LABELS, 0.07)
    else:
        contrastive = equation_7(EMBEDDINGS, 0.07)
    expected = 5.0 * contrastive.mean(axis=1)
    for i, label in enumerate(LABELS):
        for v in range(2):
            expected[i] += cross_entropy(
                LOGITS[i, v].mean(axis=0), np.eye(3)[label]
            )
    loss = as_printed(supervised=supervised, reduction=None)
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss(LABELS, outputs())), expected, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("normalization", "combine"), [("mean", np.mean), ("paper", np.sum)]
)
def test_without_contrast_is_the_baseline_of_both_views(normalization, combine):
    loss = as_printed(weight=0, normalization=normalization)
    views = [
        float(MeanCrossEntropy()(LABELS, LOGITS[:, view])) for view in (0, 1)
    ]
    np.testing.assert_allclose(
        float(loss(LABELS, {"logits": LOGITS})), combine(views), rtol=1e-6
    )


def test_differs_from_tcl_by_views_and_weight_only():
    assert (STCL.views, TCL.views) == (2, 1)
    np.testing.assert_allclose(
        float(STCL(weight=0.5)(LABELS, outputs())),
        float(TCL(weight=0.5)(LABELS, outputs())),
        rtol=1e-6,
    )


def test_views_are_interchangeable():
    swapped = {
        "logits": LOGITS[:, ::-1].copy(),
        "embeddings": {"stage4": EMBEDDINGS[:, ::-1].copy()},
    }
    np.testing.assert_allclose(
        float(STCL()(LABELS, swapped)),
        float(STCL()(LABELS, outputs())),
        rtol=1e-5,
    )


def test_gradient_reaches_the_embeddings():
    loss = as_printed(weight=2.0)
    _, gradient = value_and_gradient(
        lambda x: loss(LABELS, outputs(x)), EMBEDDINGS
    )
    expected = finite_differences(
        lambda x: 2 * equation_10(x, LABELS, 0.07).mean(axis=1).mean(),
        EMBEDDINGS,
    )
    np.testing.assert_allclose(
        gradient, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("labels", [[2], [1, 1, 1, 1, 1]])
def test_batch_of_one_sample_or_class_is_finite(labels):
    samples = len(labels)
    y_pred = {
        "logits": LOGITS[:samples],
        "embeddings": {"stage4": EMBEDDINGS[:samples]},
    }
    assert np.isfinite(float(STCL()(np.array(labels), y_pred)))


def test_refuses_settings():
    with pytest.raises(ValueError, match="Received: weight=-1"):
        STCL(weight=-1)
