import numpy as np
import pytest
from keras import ops

from keras_tcl.losses import TCL, TET, MeanCrossEntropy, TemporalContrast
from tests.losses.reference import (
    cross_entropy,
    equation_7,
    equation_10,
    mean_over_positives,
)

LABELS = np.array([2, 0, 2, 1, 0])


def outputs(views=1, timesteps=3):
    generator = np.random.default_rng(0)

    def normal(size):
        return generator.normal(size=(5, views, timesteps, size))

    return {
        "logits": normal(3),
        "embeddings": {"stage3": normal(3), "stage4": normal(3)},
    }


def terms(loss, y_pred, labels=LABELS):
    values = loss.terms(labels, y_pred)
    return {name: ops.convert_to_numpy(v) for name, v in values.items()}


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        (
            {"normalization": "paper"},
            lambda x: equation_10(x, LABELS, 0.07),
        ),
        (
            {"normalization": "mean", "temperature": 0.5},
            lambda x: mean_over_positives(x, LABELS, 0.5),
        ),
        (
            {"normalization": "paper", "supervised": False},
            lambda x: equation_7(x, 0.07),
        ),
    ],
    ids=["paper", "mean", "unsupervised"],
)
def test_is_equation_8(settings, reference):
    y_pred = outputs()
    classification = [
        cross_entropy(y_pred["logits"][i, 0].mean(axis=0), np.eye(3)[label])
        for i, label in enumerate(LABELS)
    ]
    contrastive = np.mean(
        [reference(x).mean(axis=1) for x in y_pred["embeddings"].values()],
        axis=0,
    )
    loss = TCL(**{"temperature": 0.07, **settings}, weight=0.5, per_step=0)
    result = terms(loss, y_pred)
    np.testing.assert_allclose(
        result["classification"], classification, rtol=1e-5
    )
    np.testing.assert_allclose(
        result["contrastive"], 0.5 * contrastive, rtol=1e-5
    )
    np.testing.assert_allclose(
        float(loss(LABELS, y_pred)),
        np.mean(classification + 0.5 * contrastive),
        rtol=1e-5,
    )


@pytest.mark.parametrize("share", [0.25, 1])
def test_share_of_the_cross_entropy_at_every_step(share):
    y_pred = outputs(views=2)
    result = terms(TCL(per_step=share), y_pred)["classification"]
    expected = [
        np.mean(
            [
                (1 - share) * cross_entropy(x.mean(axis=0), np.eye(3)[label])
                + share
                * np.mean([cross_entropy(step, np.eye(3)[label]) for step in x])
                for x in logits
            ]
        )
        for logits, label in zip(y_pred["logits"], LABELS, strict=True)
    ]
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_labels_play_no_part_in_the_unsupervised_term():
    loss = TCL(supervised=False)
    result = terms(loss, outputs())["contrastive"]
    other = terms(loss, outputs(), np.zeros(5))["contrastive"]
    np.testing.assert_array_equal(result, other)


@pytest.mark.parametrize("views", [1, 2])
def test_is_the_sum_of_its_parts(views):
    y_pred = outputs(views)
    total = 0.5 * MeanCrossEntropy() + 0.5 * TET() + 0.3 * TemporalContrast()
    np.testing.assert_allclose(
        float(TCL()(LABELS, y_pred)), float(total(LABELS, y_pred)), rtol=1e-6
    )


def test_is_a_part_of_a_sum():
    y_pred = outputs()
    total = 2 * TCL(normalization="paper", per_step=0) + TET()
    assert total.term_names == ("classification", "contrastive")
    expected = 2 * float(TCL(normalization="paper", per_step=0)(LABELS, y_pred))
    expected += float(TET()(LABELS, y_pred))
    np.testing.assert_allclose(
        float(total(LABELS, y_pred)), expected, rtol=1e-6
    )


def test_without_weight_needs_no_embeddings():
    loss = TCL(weight=0)
    assert TCL().needs_embeddings
    assert not loss.needs_embeddings
    assert list(terms(loss, outputs())) == ["classification"]
    assert np.isfinite(float(loss(LABELS, outputs()["logits"])))


def test_sample_weight_scales_the_samples_own_terms():
    y_pred = outputs()
    weight = np.array([0.0, 2.0, 0.5, 1.0, 3.0], "float32")
    values = TCL(reduction=None)(LABELS, y_pred)
    weighted = TCL(reduction="sum")(LABELS, y_pred, weight)
    np.testing.assert_allclose(
        float(weighted), weight @ ops.convert_to_numpy(values), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0}, "greater than 0.*Received: temperature=0"),
        ({"temperature": -1.0}, "greater than 0.*Received: temperature=-1.0"),
        ({"weight": -0.5}, "of at least 0.*Received: weight=-0.5"),
        ({"weight": True}, "of at least 0.*Received: weight=True"),
        ({"weight": np.nan}, "of at least 0.*Received: weight=nan"),
        ({"weight": "much"}, "of at least 0.*Received: weight='much'"),
        ({"per_step": 1.5}, "between 0 and 1.*Received: per_step=1.5"),
        ({"normalization": "sum"}, "one of.*Received: normalization='sum'"),
    ],
)
def test_refuses_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        TCL(**settings)


@pytest.mark.parametrize("name", ["weight", "temperature", "per_step"])
def test_settings_cannot_drift_from_the_losses(name):
    with pytest.raises(AttributeError):
        setattr(TCL(), name, 0.5)
