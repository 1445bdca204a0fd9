"""What all losses share, tried on each of them."""

import doctest

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl import losses
from keras_tcl.losses import (
    STCL,
    TCL,
    TET,
    Distillation,
    LatencyCrossEntropy,
    MeanCrossEntropy,
    SelectiveTemporalAlignment,
    SpatialSelfDistillation,
    Strong2Weak,
    TemporalConsistency,
    TemporalContrast,
    TemporalDistillation,
    TemporalLoss,
    TemporalSelfDistillation,
    Weak2Strong,
    temporal_contrastive,
)
from tests.gradients import value_and_gradients
from tests.losses.compiled import compiled, traced_with_unknown_batch

CLASSES = 3
LABELS = np.array([2, 0, 1, 2, 0])

every_loss = pytest.mark.parametrize(
    "loss",
    [
        MeanCrossEntropy(),
        TET(regularization=0.1),
        LatencyCrossEntropy(weights=[1, 2]),
        TCL(),
        STCL(),
        STCL(supervised=False),
        STCL(weight=0),
        TemporalContrast(views=2),
        Distillation(error_aware=True),
        TemporalDistillation(student="latency"),
        TemporalConsistency(),
        TemporalConsistency(teacher="mean"),
        Strong2Weak(),
        Weak2Strong(),
        TemporalSelfDistillation(1),
        SpatialSelfDistillation(),
        SelectiveTemporalAlignment(),
        TET() + 0.5 * TemporalDistillation() + 0.3 * TemporalContrast(),
    ],
    ids=repr,
)


def outputs(views=2, timesteps=2, samples=5, seed=0):
    generator = np.random.default_rng(seed)

    def normal(size):
        shape = (samples, views, timesteps, size)
        return generator.normal(size=shape).astype("float32")

    return {
        "logits": normal(CLASSES),
        "embeddings": {"stage3": normal(3), "stage4": normal(3)},
        "stage_logits": {"stage3": normal(CLASSES)},
        "teacher": normal(CLASSES)[:, :, 0],
    }


def values(loss, labels=LABELS, y_pred=None):
    """Values per sample from `terms`, as a model calls it."""
    y_pred = outputs() if y_pred is None else y_pred
    return ops.convert_to_numpy(sum(loss.terms(labels, y_pred).values()))


def one_hot(labels):
    return np.eye(CLASSES, dtype="float32")[labels]


def test_public_names():
    assert set(losses.__all__) == {
        "STCL",
        "TCL",
        "TET",
        "MeanCrossEntropy",
        "Distillation",
        "LatencyCrossEntropy",
        "LossSum",
        "SelectiveTemporalAlignment",
        "SpatialSelfDistillation",
        "Strong2Weak",
        "TemporalConsistency",
        "TemporalContrast",
        "TemporalDistillation",
        "TemporalLoss",
        "TemporalSelfDistillation",
        "Weak2Strong",
        "temporal_contrastive",
    }


@pytest.mark.parametrize(
    "item",
    [TemporalLoss, MeanCrossEntropy, TET, TCL, STCL, temporal_contrastive],
)
def test_example_of_the_docstring_runs(item):
    names = {"keras": keras, "keras_tcl": keras_tcl, "np": np}
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(item, globs=names)
    outcome = doctest.DocTestRunner().run(example)
    assert outcome.attempted >= 3 and not outcome.failed


@pytest.mark.parametrize(
    ("loss", "views"), [(MeanCrossEntropy, 1), (TET, 1), (TCL, 1), (STCL, 2)]
)
def test_views(loss, views):
    assert loss.views == views


@every_loss
def test_loss_is_the_reduced_total_of_its_terms(loss):
    weight = np.array([0.0, 1.0, 2.0, 0.5, 3.0], "float32")
    y_pred = outputs()
    terms = loss.terms(LABELS, y_pred)
    assert tuple(terms) == loss.term_names
    for value in terms.values():
        assert tuple(value.shape) == (5,)
        assert keras.backend.standardize_dtype(value.dtype) == "float32"
    shown = [float(loss.reduce(value, weight)) for value in terms.values()]
    result = float(loss(LABELS, y_pred, sample_weight=weight))
    np.testing.assert_allclose(result, sum(shown), rtol=1e-5)
    total = ops.convert_to_numpy(sum(terms.values()))
    np.testing.assert_allclose(result, np.mean(total * weight), rtol=1e-5)


@every_loss
def test_one_view_needs_no_axis(loss):
    y_pred = outputs(views=1)
    without = keras.tree.map_structure(lambda x: np.squeeze(x, 1), y_pred)
    np.testing.assert_allclose(
        values(loss, y_pred=without), values(loss, y_pred=y_pred), rtol=1e-6
    )


@every_loss
def test_is_finite_far_from_zero(loss):
    """Logits of float16, at its ends, and their gradients."""
    y_pred = keras.tree.map_structure(lambda x: 6e4 * np.sign(x), outputs())

    def value(*tensors):
        given = keras.tree.pack_sequence_as(y_pred, list(tensors))
        total = ops.sum(sum(loss.terms(LABELS, given).values()))
        return total + sum(ops.sum(0.0 * x) for x in tensors)

    result, gradients = value_and_gradients(value, keras.tree.flatten(y_pred))
    assert np.isfinite(result)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("sum_over_batch_size", (1 * 3 + 2 * 1) / 2),
        ("sum", 1 * 3 + 2 * 1),
        ("mean_with_sample_weight", (1 * 3 + 2 * 1) / 4),
        (None, [1 * 3, 2 * 1]),
    ],
)
@pytest.mark.parametrize("rank", [1, 2])
def test_reduce(reduction, expected, rank):
    weight = np.array([3.0, 1.0]).reshape((2, 1)[:rank])
    loss = MeanCrossEntropy(reduction=reduction)
    result = loss.reduce(ops.convert_to_tensor([1.0, 2.0]), weight)
    result = np.squeeze(ops.convert_to_numpy(result))
    np.testing.assert_allclose(result, expected)


@pytest.mark.parametrize("loss", [TET(), STCL()], ids=["TET", "STCL"])
@pytest.mark.parametrize(
    "labels",
    [
        LABELS.astype("uint8"),
        LABELS.astype("float32"),
        LABELS[:, None],
        one_hot(LABELS),
    ],
    ids=["uint8", "float32", "column", "one-hot"],
)
def test_kinds_of_labels(loss, labels):
    np.testing.assert_allclose(values(loss, labels), values(loss), rtol=1e-6)


def test_labels_beyond_the_precision_of_bfloat16():
    # Even under a bfloat16 policy 1,000 classes must stay 1,000.
    keras.config.set_dtype_policy("mixed_bfloat16")
    logits = np.zeros((1, 1, 1, 1000), "float32")
    logits[..., 999] = 30.0
    assert float(MeanCrossEntropy()(np.array([999]), logits)) < 1e-6
    assert float(MeanCrossEntropy()(np.array([998]), logits)) > 29


def test_last_axis_of_one_means_class_ids():
    logits = np.ones((4, 2, 1), "float32")
    assert float(MeanCrossEntropy()(np.zeros((4, 1)), logits)) == 0
    with pytest.raises(ValueError, match="between 0 and 0"):
        MeanCrossEntropy()(np.ones((4, 1)), logits)


@pytest.mark.parametrize("loss", [TET(0.1), STCL()], ids=["TET", "STCL"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_computes_in_float32(loss, dtype):
    rounded = keras.tree.map_structure(
        lambda x: ops.convert_to_tensor(x, dtype), outputs()
    )
    exact = keras.tree.map_structure(
        lambda x: ops.convert_to_numpy(ops.cast(x, "float32")), rounded
    )
    result = values(loss, y_pred=rounded)
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, values(loss, y_pred=exact), rtol=1e-6)


@every_loss
def test_compiled_equals_eager(loss):
    y_pred = outputs()
    eager = loss(LABELS, y_pred)
    result = compiled(lambda y, p: loss(y, p))(
        LABELS, keras.tree.map_structure(ops.convert_to_tensor, y_pred)
    )
    np.testing.assert_allclose(float(result), float(eager), rtol=1e-5)


@pytest.mark.parametrize("labels", [LABELS, one_hot(LABELS)])
def test_unknown_batch_size(labels):
    loss = STCL()
    y_pred = outputs()
    result = traced_with_unknown_batch(lambda y, p: loss(y, p))(labels, y_pred)
    np.testing.assert_allclose(
        float(result), np.mean(values(loss, y_pred=y_pred)), rtol=1e-5
    )


@every_loss
def test_round_trip(loss):
    config = keras.saving.serialize_keras_object(loss)
    assert config["registered_name"] == f"keras_tcl>{type(loss).__name__}"
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(loss) and repr(copy) == repr(loss)
    np.testing.assert_array_equal(values(copy), values(loss))
    assert copy.get_config() == loss.get_config()
    assert type(loss).from_config(loss.get_config()).name == loss.name


def test_config_holds_every_argument():
    settings = {
        "temperature": 0.2,
        "weight": 2.0,
        "normalization": "paper",
        "per_step": 0.25,
        "supervised": False,
        "reduction": "sum",
        "name": "mine",
    }
    assert TCL(**settings).get_config() == settings
    assert STCL(**settings).get_config() == settings
    settings = {
        "regularization": 0.05,
        "target": 0.5,
        "reduction": None,
        "name": "mine",
    }
    assert TET(**settings).get_config() == settings


@pytest.mark.parametrize("loss", [MeanCrossEntropy(), TET(0.1)])
def test_trains_and_reopens_with_a_plain_keras_model(loss, tmp_path):
    model = keras.Sequential([keras.Input((2, 4)), keras.layers.Dense(3)])
    model.compile(optimizer="sgd", loss=loss)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(10, 2, 4)).astype("float32")
    y = generator.integers(3, size=10)
    weight = np.ones(10, "float32")
    before = model.evaluate(x, y, verbose=0)
    # The last batch is smaller than the others.
    model.fit(x, y, sample_weight=weight, batch_size=4, epochs=3, verbose=0)
    after = model.evaluate(x, y, verbose=0)
    assert after < before
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert copy.loss.get_config() == loss.get_config()
    np.testing.assert_allclose(copy.evaluate(x, y, verbose=0), after, rtol=1e-6)


def test_base_class_is_abstract():
    with pytest.raises(NotImplementedError):
        TemporalLoss().terms(LABELS, outputs())


# --- Faults --------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 3, 0, 0], r"0 and 2.*Received: y_true\[2\]=3.*1 such"),
        ([0, -1, 2, -1, 0], r"0 and 2.*Received: y_true\[1\]=-1.*2 such.*of 5"),
        ([[0], [1], [5], [0], [0]], r"0 and 2.*y_true\[2\]=5"),
        ([0, 1.5, 0, 0, 0], r"whole numbers.*y_true\[1\]=1.5"),
        ([0, np.nan, 0, 0, 0], r"whole numbers.*y_true\[1\]=nan"),
        ([0, np.inf, 0, 0, 0], r"0 and 2.*y_true\[1\]=inf"),
        (np.zeros((5, 4)), r"\(batch, 3\) for 3 classes.*shape \(5, 4\)"),
        (np.zeros((5, 1, 1)), r"shape \(5, 1, 1\)"),
        (0, r"shape \(\)"),
        (np.zeros((5, 3)), r"sum to 1.*y_true\[0\]=\[0. 0. 0.\]"),
        (np.ones((5, 3)), r"sum to 1"),
        ([[2.0, -1.0, 0.0]] * 5, r"sum to 1"),
        (["cat", "dog", "cat", "dog", "cat"], "must be numbers"),
    ],
)
@pytest.mark.parametrize("call", ["validate_labels", "loss"])
def test_refuses_labels(labels, message, call):
    loss = TCL()
    with pytest.raises(ValueError, match=message):
        if call == "loss":
            loss(labels, outputs())
        else:
            loss.validate_labels(labels, CLASSES)


def test_refuses_labels_in_an_eager_tensor():
    with pytest.raises(ValueError, match=r"y_true\[0\]=7"):
        STCL()(ops.convert_to_tensor([7, 0, 0, 0, 0]), outputs())


SOFT = np.array([[0.1, 0.8, 0.1]] * 5, "float32")


@pytest.mark.parametrize("loss", [TCL(), STCL()])
def test_supervised_contrast_refuses_soft_labels(loss):
    message = r"term needs one certain class.*`supervised="
    with pytest.raises(ValueError, match=message):
        loss.validate_labels(SOFT, CLASSES)
    with pytest.raises(ValueError, match=message):
        loss(SOFT, outputs())
    # Where the values cannot be seen, mask and values say so.
    assert not ops.convert_to_numpy(loss.valid(SOFT, CLASSES)).any()
    assert np.isnan(ops.convert_to_numpy(loss.call(SOFT, outputs()))).all()


@pytest.mark.parametrize(
    "loss", [MeanCrossEntropy(), TET(), TCL(weight=0), STCL(supervised=False)]
)
def test_other_losses_take_soft_labels(loss):
    loss.validate_labels(SOFT, CLASSES)
    classification = values(
        type(loss)(**{**loss.get_config(), "weight": 0, "per_step": 0})
        if isinstance(loss, TCL)
        else loss,
        SOFT,
    )
    mixture = sum(
        share * values(MeanCrossEntropy(), np.full(5, k))
        for k, share in enumerate(SOFT[0])
    )
    if not isinstance(loss, TET):
        np.testing.assert_allclose(classification, mixture, rtol=1e-5)
    assert np.isfinite(values(loss, SOFT)).all()


@every_loss
def test_invalid_labels_in_compiled_code_are_nan(loss):
    labels = np.array([3, 0, -1, 0.5, np.nan, 2, 4e9], "float32")
    y_pred = keras.tree.map_structure(ops.convert_to_tensor, outputs(samples=7))
    run = compiled(
        lambda y, p: (
            loss.call(y, p),
            loss.valid(y, CLASSES),
            sum(loss.terms(y, p).values()),
        )
    )
    value, valid, plain = map(
        ops.convert_to_numpy, run(ops.convert_to_tensor(labels), y_pred)
    )
    expected = [False, True, False, False, False, True, False]
    np.testing.assert_array_equal(np.isfinite(value), expected)
    np.testing.assert_array_equal(valid, expected)
    assert np.isfinite(plain).all()
    np.testing.assert_allclose(value[expected], plain[expected], rtol=1e-6)


def test_terms_may_be_overridden():
    class Doubled(MeanCrossEntropy):
        def terms(self, y_true, y_pred):
            terms = super().terms(y_true, y_pred)
            return {name: 2 * values for name, values in terms.items()}

    assert float(Doubled()(LABELS, outputs())) == pytest.approx(
        2 * float(MeanCrossEntropy()(LABELS, outputs())), rel=1e-6
    )


def test_any_subclass_has_a_text():
    class Odd(MeanCrossEntropy):
        def __init__(self, matrix):
            super().__init__()
            self.matrix = matrix

        def get_config(self):
            return {**super().get_config(), "matrix": self.matrix, "more": 1}

    assert repr(Odd(np.ones(2))) == "Odd(matrix=array([1., 1.]))"


@pytest.mark.parametrize("shape", [(5, 3), (5,), (5, 1, 1, 2, 3)])
def test_refuses_logits_of_other_rank(shape):
    with pytest.raises(ValueError, match=r"logits of every time step"):
        MeanCrossEntropy()(LABELS, np.zeros(shape, "float32"))


def test_refuses_another_number_of_labels():
    with pytest.raises(ValueError, match="10 labels, logits of shape"):
        STCL()(np.concatenate([LABELS, LABELS]), outputs())


def test_refuses_missing_logits():
    with pytest.raises(ValueError, match=r"\"logits\".*keys \['features'\]"):
        MeanCrossEntropy()(LABELS, {"features": np.zeros((5, 2, 3))})


@pytest.mark.parametrize(
    "y_pred",
    [
        outputs()["logits"],
        {"logits": outputs()["logits"]},
        {"logits": outputs()["logits"], "embeddings": {}},
        {"logits": outputs()["logits"], "embeddings": None},
        {"logits": outputs()["logits"], "embeddings": outputs()["logits"]},
    ],
    ids=["plain", "absent", "empty", "none", "tensor"],
)
def test_refuses_missing_embeddings(y_pred):
    with pytest.raises(ValueError, match=r"term of STCL needs.*\"embeddings\""):
        STCL()(LABELS, y_pred)
    assert np.isfinite(float(STCL(weight=0)(LABELS, y_pred)))


@pytest.mark.parametrize(
    "shape", [(5, 1, 2, 3), (4, 2, 2, 3), (5, 2, 3), (5, 2, 2, 3, 1)]
)
def test_refuses_embeddings_unlike_the_logits(shape):
    y_pred = outputs()
    y_pred["embeddings"]["stage3"] = np.ones(shape, "float32")
    with pytest.raises(ValueError, match="stage 'stage3' must share all axes"):
        TCL()(LABELS, y_pred)


def test_refuses_unknown_reduction():
    with pytest.raises(ValueError, match="reduction"):
        TCL(reduction="median")
