"""Losses equal loops over samples, views and steps in float64."""

import functools

import keras
import numpy as np
from hypothesis import strategies as st
from keras import ops

from keras_tcl import losses
from tests.generated.calls import assert_refused, calls
from tests.losses import reference
from tests.losses.compiled import compiled
from tests.losses.reference import over_views
from tests.losses.test_distillation import BY_ITSELF

CLASSES = 3
# Batch, views, time steps, features. Few: see `test_layers`.
EMBEDDINGS = [(3, 2, 2, 4), (4, 1, 3, 2), (1, 1, 1, 2), (2, 2, 1, 3)]
LOGITS = [(3, 2, 2, CLASSES), (4, 1, 3, CLASSES), (1, 1, 1, CLASSES)]

seeds = st.integers(0, 2**32 - 1)


def to_numpy(tensor):
    return ops.convert_to_numpy(tensor)


def embeddings_of(shape, seed, scale, kind):
    """Embeddings; some of them zero, equal to or the opposite of others."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    flat = x.reshape(-1, shape[-1])
    if kind == "zeros":
        flat[rng.integers(0, len(flat), 2)] = 0
    elif kind == "twins":
        flat[0] = flat[-1]
    elif kind == "opposite":
        flat[0] = -flat[-1]
    elif kind == "alike":
        flat[:] = flat[0]
    return (x * scale).astype("float32")


def contrast(x, labels, temperature, normalization):
    """The value of each image by the equations' loops."""
    x = x.astype("float64")
    if normalization == "mean":
        terms = reference.mean_over_positives(x, labels, temperature)
    elif labels is None:
        terms = reference.equation_7(x, temperature)
    else:
        terms = reference.equation_10(x, labels, temperature)
    return terms.mean(axis=1)


ids = st.one_of(
    st.integers(0, 2),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 2**31, 2**32, 2**53, 2**53 + 1, -1]),
)


@calls(
    600,
    shape=st.sampled_from(EMBEDDINGS),
    seed=seeds,
    scale=st.sampled_from([1.0, 1e-3, 1e4, 1e18]),
    kind=st.sampled_from(["any", "zeros", "twins", "opposite", "alike"]),
    labels=st.none() | st.lists(ids, min_size=4, max_size=4),
    column=st.booleans(),
    temperature=st.sampled_from([0.05, 0.07, 0.5, 10.0]),
    normalization=st.sampled_from(["mean", "paper"]),
)
def test_contrast_follows_the_equations(
    shape, seed, scale, kind, labels, column, temperature, normalization
):
    x = embeddings_of(shape, seed, scale, kind)
    given = None
    if labels is not None:
        given = np.array(labels[: shape[0]], "int64")
        labels = given.tolist()
        given = given[:, None] if column else given
    result = to_numpy(
        losses.temporal_contrastive(x, given, temperature, normalization)
    )
    expected = contrast(x, labels, temperature, normalization)
    assert result.dtype == "float32"
    np.testing.assert_allclose(
        result, expected, rtol=1e-4, atol=3e-6 * (1 + 1 / temperature)
    )


@calls(
    200,
    shape=st.sampled_from(EMBEDDINGS),
    seed=seeds,
    kind=st.sampled_from(["any", "zeros", "twins"]),
    dtype=st.sampled_from(
        ["int8", "uint8", "int32", "uint64", "float32", "float64", "bool", "U3"]
    ),
)
def test_labels_of_any_dtype_tell_classes_apart(shape, seed, kind, dtype):
    x = embeddings_of(shape, seed, 1.0, kind)
    labels = np.random.default_rng(seed).integers(0, 2, shape[0])
    expected = contrast(x, labels.tolist(), 0.1, "mean")
    result = losses.temporal_contrastive(x, labels.astype(dtype), 0.1)
    np.testing.assert_allclose(to_numpy(result), expected, rtol=1e-4, atol=1e-4)


@calls(
    200,
    shape=st.sampled_from(
        [(), (3,), (3, 4), (3, 2, 4), (3, 2, 2, 4), (3, 1, 2, 2, 4), (0, 2, 4)]
    ),
    labels=st.sampled_from(
        [(), (2,), (3,), (3, 1), (1, 3), (3, 4), (3, 1, 1), (0,), None]
    ),
    temperature=st.sampled_from([0.1, 0, -1, np.nan, None, "0.1"]),
)
def test_contrast_of_other_shapes_is_refused(shape, labels, temperature):
    x = np.ones(shape, "float32")
    y = None if labels is None else np.zeros(labels, "int32")

    def call():
        return losses.temporal_contrastive(x, y, temperature)

    good = len(shape) in (3, 4) and temperature == 0.1
    if labels is not None:
        good &= labels[:1] == shape[:1] and labels[1:] in ((), (1,))
    if not good:
        assert_refused(call)
    else:
        assert to_numpy(call()).shape == shape[:1]
        assert np.isfinite(to_numpy(call())).all()


def labels_of(kind, batch, seed):
    """Labels of a kind, and the rows of probabilities they stand for.

    `None` for those that no loss can learn from.
    """
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, CLASSES, batch)
    hard = np.eye(CLASSES)[ids]
    soft = rng.dirichlet([1.0] * CLASSES, batch)
    bad = ids.astype("float64")
    bad[rng.integers(0, batch)] = rng.choice([-1, CLASSES, 0.5, 1e9, 2**40])
    bad_rows = hard.copy()
    bad_rows[0] = [
        [0.7, 0.7, 0.0],
        [0.0, 0.0, 0.0],
        [1.5, -0.5, 0.0],
        [np.nan, 1.0, 0.0],
        [np.inf, 0.0, 0.0],
    ][rng.integers(5)]
    return {
        "ids": (ids.astype(rng.choice(["int32", "int64", "uint8"])), hard),
        "column": (ids[:, None], hard),
        "float ids": (ids.astype("float32"), hard),
        "list": (ids.tolist(), hard),
        "one-hot": (hard.astype(rng.choice(["float32", "int64"])), hard),
        "bool": (hard.astype("bool"), hard),
        "soft": (soft, soft),
        "bad": (bad, None),
        "NaN": (np.where(np.arange(batch) == 0, np.nan, ids), None),
        "bad rows": (bad_rows, None),
        "words": (ids.astype(str), None),
        "missing": (np.array([None] * batch), None),
        "wide": (np.eye(CLASSES + 1)[ids], None),
        "too many": (np.zeros(batch + 1, "int32"), None),
        "scalar": (np.int32(0), None),
        "cube": (np.zeros((batch, 1, 1), "int32"), None),
    }[kind]


LABELS = [
    "ids",
    "column",
    "float ids",
    "list",
    "one-hot",
    "bool",
    "soft",
    "bad",
    "NaN",
    "bad rows",
    "words",
    "missing",
    "wide",
    "too many",
    "scalar",
    "cube",
]


def cross_entropies(logits, targets):
    """Of the mean over time, and the mean of each step's: `[B, V]` each."""
    batch, views, timesteps, _ = logits.shape
    of_mean, per_step = np.zeros((2, batch, views))
    for i, v in np.ndindex(batch, views):
        of_mean[i, v] = reference.cross_entropy(
            logits[i, v].mean(0), targets[i]
        )
        per_step[i, v] = np.mean(
            [
                reference.cross_entropy(logits[i, v, t], targets[i])
                for t in range(timesteps)
            ]
        )
    return of_mean, per_step


def value_of(loss, logits, stages, targets):
    """What a loss is for each sample, by its formula."""
    of_mean, per_step = cross_entropies(logits, targets)
    if isinstance(loss, losses.TET):
        r = loss.regularization
        distance = np.square(logits - loss.target).mean((2, 3))
        return ((1 - r) * per_step + r * distance).mean(1)
    if not isinstance(loss, losses.TCL):
        return of_mean.mean(1)
    share = loss.per_step
    value = ((1 - share) * of_mean + share * per_step).mean(1)
    if loss.normalization == "paper":
        value = value * logits.shape[1]
    if loss.weight:
        labels = targets.argmax(1).tolist() if loss.supervised else None
        value = value + loss.weight * np.mean(
            [
                contrast(x, labels, loss.temperature, loss.normalization)
                for x in stages.values()
            ],
            axis=0,
        )
    return value


temporal_losses = st.one_of(
    st.builds(losses.MeanCrossEntropy, reduction=st.none()),
    st.builds(
        losses.TET,
        regularization=st.sampled_from([0.0, 0.05, 1.0]),
        target=st.sampled_from([1.0, -2.0]),
        reduction=st.none(),
    ),
    st.builds(
        st.sampled_from([losses.TCL, losses.STCL]).flatmap,
        st.just(
            lambda kind: st.builds(
                kind,
                temperature=st.sampled_from([0.07, 1.0]),
                weight=st.sampled_from([0.0, 0.5, 5.0]),
                normalization=st.sampled_from(["mean", "paper"]),
                per_step=st.sampled_from([0.0, 0.5, 1.0]),
                supervised=st.booleans(),
                reduction=st.none(),
            )
        ),
    ).flatmap(lambda strategy: strategy),
)


def is_refused(loss, kind, targets):
    soft_needs = isinstance(loss, losses.TCL) and loss.needs_hard_labels
    return targets is None or (kind == "soft" and soft_needs)


@calls(
    900,
    loss=temporal_losses,
    shape=st.sampled_from(LOGITS),
    seed=seeds,
    kind=st.sampled_from(LABELS),
    scale=st.sampled_from([1.0, 100.0]),
)
def test_a_loss_is_its_formula(loss, shape, seed, kind, scale):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, scale, shape).astype("float32")
    stages = {
        f"stage{n}": rng.normal(size=(*shape[:3], 4)).astype("float32")
        for n in (1, 2)
    }
    y, targets = labels_of(kind, shape[0], seed)
    y_pred = {"logits": logits, "embeddings": stages}
    if is_refused(loss, kind, targets):
        assert_refused(lambda: loss(y, y_pred), "Received")
        return
    expected = value_of(loss, logits.astype("float64"), stages, targets)
    np.testing.assert_allclose(
        to_numpy(loss(y, y_pred)), expected, rtol=2e-4, atol=1e-3
    )


@calls(
    300,
    names=st.lists(st.sampled_from(sorted(BY_ITSELF)), min_size=1, max_size=3),
    weight=st.sampled_from([0.0, 0.5, 3.0]),
    shape=st.sampled_from([(3, 2, 2, CLASSES), (4, 1, 3, CLASSES)]),
    seed=seeds,
    kind=st.sampled_from(["ids", "column", "one-hot", "bad", "words"]),
    scale=st.sampled_from([0.01, 1.0, 2.0, 1000.0]),
)
def test_a_sum_is_the_formulas_of_its_losses(
    names, weight, shape, seed, kind, scale
):
    logits = np.random.default_rng(seed).normal(0, scale, shape)
    logits = logits.astype("float32")
    y, targets = labels_of(kind, shape[0], seed)
    loss, expected = losses.MeanCrossEntropy(reduction=None), 0.0
    for name in names:
        term, settings, function = BY_ITSELF[name]
        loss += weight * term(**settings, reduction=None)
        if targets is not None:
            exact = logits.astype("float64")
            classes = targets.argmax(1)
            expected += weight * over_views(function, exact, classes)
    if targets is None:
        assert_refused(lambda: loss(y, logits), "Received")
        return
    if scale > 2.0:  # Steps that are right have one cross entropy: zero.
        assert np.isfinite(to_numpy(loss(y, logits))).all()
        return
    expected += cross_entropies(logits.astype("float64"), targets)[0].mean(1)
    np.testing.assert_allclose(
        to_numpy(loss(y, logits)), expected, rtol=2e-4, atol=1e-3
    )


@functools.cache
def compiled_loss(name):
    loss = {
        "mean": losses.MeanCrossEntropy(None),
        "tet": losses.TET(0.05, reduction=None),
        "stcl": losses.STCL(reduction=None),
    }[name]

    def call(y, logits, embeddings):
        return loss.call(
            y, {"logits": logits, "embeddings": {"stage1": embeddings}}
        )

    return loss, compiled(call)


@calls(
    500,
    name=st.sampled_from(["mean", "tet", "stcl"]),
    seed=seeds,
    kind=st.sampled_from(["ids", "one-hot", "soft", "bad", "NaN", "bad rows"]),
)
def test_a_compiled_loss_is_nan_where_it_would_refuse(name, seed, kind):
    shape = LOGITS[0]
    rng = np.random.default_rng(seed)
    loss, call = compiled_loss(name)
    y, targets = labels_of(kind, shape[0], seed)
    y = np.asarray(y, "float32")
    logits = rng.normal(size=shape).astype("float32")
    x = rng.normal(size=(*shape[:3], 4)).astype("float32")
    result = to_numpy(call(*map(ops.convert_to_tensor, (y, logits, x))))
    good = np.ones(shape[0], bool)
    if kind == "soft":
        good[:] = not loss.needs_hard_labels
        if loss.needs_hard_labels:
            good = targets.max(1) >= 0.99
            targets = None
    elif targets is None:
        rows = (
            y
            if y.ndim == 2
            else np.eye(CLASSES + 1)[
                np.where(np.isin(y, range(CLASSES)), y, CLASSES).astype(int)
            ][:, :CLASSES]
        )
        with np.errstate(invalid="ignore"):
            good = (rows >= 0).all(1) & (np.abs(rows.sum(1) - 1) < 0.01)
    np.testing.assert_array_equal(np.isfinite(result), good)
    assert np.isnan(result[~good]).all()
    if targets is not None:
        stages = {"stage1": x}
        expected = value_of(loss, logits.astype("float64"), stages, targets)
        np.testing.assert_allclose(
            result[good], expected[good], rtol=2e-4, atol=1e-3
        )


@calls(
    250,
    seed=seeds,
    reduction=st.sampled_from(
        [
            "sum_over_batch_size",
            "sum",
            "mean",
            "none",
            None,
            "mean_with_sample_weight",
        ]
    ),
    weights=st.sampled_from(["none", "vector", "column", "zeros"]),
)
def test_weights_and_reductions_are_those_of_keras(seed, reduction, weights):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(4, 1, 3, CLASSES)).astype("float32")
    y = rng.integers(0, CLASSES, 4)
    weight = rng.uniform(0, 2, 4).astype("float32") * (weights != "zeros")
    given = {"none": None, "column": weight[:, None]}.get(weights, weight)
    result = losses.MeanCrossEntropy(reduction)(y, logits, given)
    twin = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction=reduction
    )
    expected = twin(y, logits.mean((1, 2)), given)
    np.testing.assert_allclose(
        to_numpy(result), to_numpy(expected), rtol=1e-4, atol=1e-5
    )


@calls(
    100,
    loss=st.sampled_from(
        [losses.MeanCrossEntropy(), losses.TET(), losses.TCL(), losses.STCL()]
    ),
    y_pred=st.sampled_from(
        [
            {},
            {"embeddings": {}},
            {"logits": np.zeros((2, CLASSES))},
            {"logits": np.zeros((2, 2, CLASSES)), "embeddings": None},
            {"logits": np.zeros((2, 2, CLASSES)), "embeddings": {}},
            {
                "logits": np.zeros((2, 2, CLASSES)),
                "embeddings": {"a": np.zeros((2, 3, 4))},
            },
            {
                "logits": np.zeros((2, 1, 2, CLASSES)),
                "embeddings": {"a": np.ones((2, 1, 2, 4))},
            },
            np.zeros((2, CLASSES)),
            np.zeros((2, 1, 2, 1, CLASSES)),
            np.zeros((3, 2, CLASSES)),
            np.zeros(2),
        ]
    ),
)
def test_outputs_that_do_not_fit_are_refused(loss, y_pred):
    y = np.array([0, 1])
    whole = isinstance(y_pred, dict) and "logits" in y_pred
    logits = y_pred["logits"] if whole else None
    good = whole and logits.ndim > 2
    if good and loss.needs_embeddings:
        stages = y_pred["embeddings"]
        good = bool(stages) and stages["a"].ndim == logits.ndim
        # A stage may have time steps of its own.
        good = good and stages["a"].shape[:-2] == logits.shape[:-2]
    if good:
        assert np.isfinite(float(loss(y, y_pred)))
    else:
        assert_refused(lambda: loss(y, y_pred), "Received")
