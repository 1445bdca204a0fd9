import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl.losses import (
    STCL,
    TCL,
    TET,
    Distillation,
    LatencyCrossEntropy,
    LossSum,
    MeanCrossEntropy,
    TemporalContrast,
    TemporalDistillation,
    TemporalLoss,
    TemporalSelfDistillation,
)

LABELS = np.array([2, 0, 1, 2, 0])
WEIGHT = np.array([0.0, 1.0, 2.0, 0.5, 3.0], "float32")
GENERATOR = np.random.default_rng(0)
OUTPUTS = {
    "logits": GENERATOR.normal(size=(5, 2, 3, 3)),
    "embeddings": {"stage4": GENERATOR.normal(size=(5, 2, 3, 4))},
}


def per_sample(loss):
    return ops.convert_to_numpy(loss.call(LABELS, OUTPUTS))


def test_is_the_weighted_sum():
    loss = TET() + 0.5 * TemporalDistillation() + TemporalContrast() * 0.3
    expected = (
        per_sample(TET())
        + 0.5 * per_sample(TemporalDistillation())
        + 0.3 * per_sample(TemporalContrast())
    )
    np.testing.assert_allclose(per_sample(loss), expected, rtol=1e-5)
    np.testing.assert_allclose(
        float(loss(LABELS, OUTPUTS, WEIGHT)),
        np.mean(expected * WEIGHT),
        rtol=1e-5,
    )
    assert loss.term_names == ("classification", "distillation", "contrastive")
    assert loss.needs_embeddings and loss.needs_hard_labels
    assert not (TET() + TemporalDistillation()).needs_embeddings


def test_terms_of_one_name_add_up():
    loss = 0.5 * MeanCrossEntropy() + 2 * TET() + TemporalContrast()
    terms = loss.terms(LABELS, OUTPUTS)
    expected = 0.5 * per_sample(MeanCrossEntropy()) + 2 * per_sample(TET())
    np.testing.assert_allclose(
        ops.convert_to_numpy(terms["classification"]), expected, rtol=1e-5
    )
    assert list(terms) == ["classification", "contrastive"]


@pytest.mark.parametrize(
    ("make", "text", "name"),
    [
        (lambda: 0.5 * TET(), "0.5 * TET()", "0.5 * tet"),
        (lambda: TET() * 2, "2 * TET()", "2 * tet"),
        (lambda: np.float64(0.5) * TET(), "0.5 * TET()", "0.5 * tet"),
        (lambda: TET() * np.int64(2), "2 * TET()", "2 * tet"),
        (
            lambda: 2 * (TET(0.1) + 0.5 * TCL(weight=1)) + MeanCrossEntropy(),
            "2 * TET(regularization=0.1) + TCL(weight=1.0) + "
            "MeanCrossEntropy()",
            "2 * tet + tcl + mean_cross_entropy",
        ),
        (
            lambda: sum([TET(), MeanCrossEntropy()]),
            "TET() + MeanCrossEntropy()",
            "tet + mean_cross_entropy",
        ),
    ],
)
def test_reads_as_it_was_written(make, text, name):
    loss = make()
    assert (repr(loss), loss.name) == (text, name)
    assert isinstance(loss, LossSum)
    assert all(type(part) is not LossSum for part in loss.losses)


def test_most_views_count():
    assert (TET() + STCL()).views == 2
    assert (TET() + TemporalContrast(views=3) + STCL()).views == 3
    assert (TET() + 0 * STCL()).views == 1


def test_a_loss_of_weight_0_asks_for_nothing():
    loss = TET() + 0 * TemporalContrast()
    assert not loss.needs_embeddings and not loss.needs_hard_labels
    assert loss.term_names == ("classification",)
    logits = {"logits": OUTPUTS["logits"]}
    assert float(loss(LABELS, logits)) == float(TET()(LABELS, logits))
    assert len(loss.get_config()["losses"]) == 2
    assert float((0 * TET())(LABELS, logits)) == 0.0


@pytest.mark.parametrize("reduction", ["sum", None, "mean_with_sample_weight"])
def test_has_the_reduction_of_its_losses(reduction):
    loss = TET(reduction=reduction) + 2 * MeanCrossEntropy(reduction)
    assert loss.reduction == reduction
    alone = TET(reduction=reduction)(LABELS, OUTPUTS, WEIGHT)
    alone += 2 * MeanCrossEntropy(reduction)(LABELS, OUTPUTS, WEIGHT)
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss(LABELS, OUTPUTS, WEIGHT)),
        ops.convert_to_numpy(alone),
        rtol=1e-5,
    )


class Mine(TemporalLoss):
    term = "mine"

    def values(self, targets, outputs):
        return ops.mean(ops.square(outputs.logits), axis=(2, 3))


def test_a_loss_of_ones_own_is_a_part():
    loss = TET() + 0.1 * Mine()
    assert loss.term_names == ("classification", "mine")
    with keras.saving.custom_object_scope({"Mine": Mine}):
        copy = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(loss)
        )
    np.testing.assert_array_equal(per_sample(copy), per_sample(loss))


def test_asks_each_loss_that_counts_for_its_timesteps():
    least, of_three = TemporalSelfDistillation(2), LatencyCrossEntropy([1] * 3)
    loss = TET() + 0.5 * (least + of_three)
    loss.check_timesteps(3)
    for timesteps, name in (
        (1, "temporal_self_distillation"),
        (2, "latency_cross_entropy"),
    ):
        message = rf"{name}'.* {timesteps} time steps"
        with pytest.raises(ValueError, match=message):
            loss.check_timesteps(timesteps)
        with pytest.raises(ValueError, match=message):
            loss(LABELS, OUTPUTS["logits"][:, :, :timesteps])
    (TET() + 0 * least).check_timesteps(1)


def test_soft_labels_fit_all_or_none():
    soft = np.full((5, 3), 1 / 3)
    assert np.isfinite(float((TET() + MeanCrossEntropy())(soft, OUTPUTS)))
    with pytest.raises(ValueError, match="needs one certain class"):
        (TET() + TemporalContrast())(soft, OUTPUTS)


# --- Bad input ----------------------------------------------------------------


@pytest.mark.parametrize("weight", [-1, np.nan, np.inf, "2", None, True, TET()])
def test_refuses_weights(weight):
    with pytest.raises(ValueError, match="`weight` must be a finite number of"):
        TET() * weight
    with pytest.raises(ValueError, match="`weight` must be a finite number of"):
        LossSum([TET()], [weight])


@pytest.mark.parametrize(
    "other",
    [keras.losses.MeanSquaredError(), "mse", 1, 0.0, None, TET],
    ids=["keras", "name", "one", "zero", "none", "class"],
)
def test_refuses_other_losses(other):
    with pytest.raises(ValueError, match="losses of `keras_tcl.losses` alone"):
        TET() + other
    with pytest.raises(ValueError, match="losses of `keras_tcl.losses` alone"):
        other + TET()


def test_refuses_different_reductions():
    with pytest.raises(ValueError, match="one reduction.*'sum'"):
        TET() + MeanCrossEntropy("sum")


def test_refuses_unequal_lengths():
    for losses, weights in (([], None), ([TET()], [1, 2])):
        with pytest.raises(ValueError, match="a weight for each"):
            LossSum(losses, weights)


def test_refuses_two_teachers():
    def teacher():
        inputs = keras.Input((4,))
        return keras.Model(inputs, keras.layers.Dense(3)(inputs))

    one = teacher()
    both = Distillation(one) + Distillation(one, student="latency")
    assert both.teachers() == [one]
    with pytest.raises(ValueError, match="must have one teacher"):
        both + Distillation(teacher())
