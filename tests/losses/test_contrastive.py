import numpy as np
import pytest
from keras import ops

from keras_tcl.losses import temporal_contrastive
from tests.gradients import value_and_gradient
from tests.losses.compiled import compiled, traced_with_unknown_batch
from tests.losses.reference import (
    equation_6,
    equation_7,
    equation_10,
    finite_differences,
    mean_over_positives,
)

# Two classes with two images, one image alone in its class.
LABELS = np.array([3, 0, 3, 7, 0])
# Unequal, so that a value credited to another sample shows in the sum.
WEIGHTS = np.linspace(0.5, 2.0, 5).astype("float32")

with_and_without_labels = pytest.mark.parametrize(
    "labels", [LABELS, None], ids=["labels", "images"]
)


# Few shapes in all: to JAX each operation on a new shape is a compilation.
def embeddings(views, timesteps, samples=5, features=3, seed=0):
    generator = np.random.default_rng(seed)
    shape = (samples, views, timesteps, features)
    # Rounded so that float32 holds them exactly.
    return generator.normal(size=shape).astype("float32").astype("float64")


def values(x, labels=None, dtype="float32", normalization="paper", **settings):
    settings["normalization"] = normalization
    x = ops.convert_to_tensor(x, dtype)
    return ops.convert_to_numpy(temporal_contrastive(x, labels, **settings))


def objective(x, labels=None, normalization="paper", **settings):
    settings["normalization"] = normalization
    loss = temporal_contrastive(x, labels, **settings)
    return ops.sum(ops.multiply(loss, WEIGHTS[: x.shape[0]]))


def differentiate(x, labels=None, dtype="float32", **settings):
    """Weighted sum of the values and its gradient."""
    return value_and_gradient(
        lambda x: objective(x, labels, **settings), x, dtype
    )


def assert_agrees(reference, x, labels=None, **settings):
    """Values to 1e-5 and gradients to 1e-4 of the loops in float64."""
    expected = reference(x).mean(axis=1)
    result = values(x, labels, **settings)
    assert result.shape == expected.shape
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)

    _, gradient = differentiate(x, labels, **settings)
    expected = finite_differences(
        lambda x: WEIGHTS[: len(x)] @ reference(x).mean(axis=1), x
    )
    np.testing.assert_allclose(
        gradient, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max()
    )


def test_simclr_is_equation_6():
    assert_agrees(
        lambda x: equation_6(x, 0.5),
        embeddings(views=2, timesteps=1),
        temperature=0.5,
    )


@pytest.mark.parametrize(("views", "timesteps"), [(1, 3), (2, 2)])
def test_same_image_over_time_is_equation_7(views, timesteps):
    assert_agrees(lambda x: equation_7(x, 0.07), embeddings(views, timesteps))


@pytest.mark.parametrize(
    ("views", "timesteps"), [(1, 3), (2, 2), (2, 1), (1, 1)]
)
def test_same_class_is_equation_10(views, timesteps):
    assert_agrees(
        lambda x: equation_10(x, LABELS, 0.07),
        embeddings(views, timesteps),
        LABELS,
    )


@with_and_without_labels
@pytest.mark.parametrize(("views", "timesteps"), [(1, 3), (2, 2)])
def test_mean_is_supcon(views, timesteps, labels):
    assert_agrees(
        lambda x: mean_over_positives(x, labels, 0.07),
        embeddings(views, timesteps),
        labels,
        normalization="mean",
    )


def test_small_temperature():
    assert_agrees(
        lambda x: equation_10(x, LABELS, 0.01),
        embeddings(views=1, timesteps=3),
        LABELS,
        temperature=0.01,
    )


def test_batch_of_one_class():
    labels = np.zeros(5, "int64")
    x = embeddings(views=2, timesteps=2)
    assert_agrees(lambda x: equation_10(x, labels, 0.07), x, labels)
    assert_agrees(
        lambda x: mean_over_positives(x, labels, 0.07),
        x,
        labels,
        normalization="mean",
    )


def test_batch_of_one():
    labels = np.array([4])
    assert_agrees(
        lambda x: equation_10(x, labels, 0.07),
        embeddings(views=2, timesteps=2, samples=1),
        labels,
    )


@pytest.mark.parametrize("normalization", ["paper", "mean"])
@with_and_without_labels
@pytest.mark.parametrize("samples", [1, 5])
def test_anchors_without_positives_count_nothing(
    samples, labels, normalization
):
    # One embedding a sample, no two of a class; one sample: no candidates.
    x = embeddings(views=1, timesteps=1, samples=samples)
    labels = labels if labels is None else np.arange(samples)
    value, gradient = differentiate(x, labels, normalization=normalization)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(x))


@with_and_without_labels
def test_zero_embedding_gets_no_gradient(labels):
    x = embeddings(views=1, timesteps=3)
    x[1, 0, 2] = 0
    reference = (
        equation_7(x, 0.07) if labels is None else equation_10(x, labels, 0.07)
    )
    value, gradient = differentiate(x, labels)
    np.testing.assert_allclose(
        value, WEIGHTS @ reference.mean(axis=1), rtol=1e-5
    )
    np.testing.assert_array_equal(gradient[1, 0, 2], np.zeros(3))
    assert np.isfinite(gradient).all()
    assert np.abs(gradient[1, 0, :2]).min() > 0


def test_all_embeddings_zero():
    x = np.zeros((5, 2, 2, 3))
    value, gradient = differentiate(x, LABELS)
    np.testing.assert_allclose(
        value, WEIGHTS @ equation_10(x, LABELS, 0.07).mean(axis=1), rtol=1e-5
    )
    np.testing.assert_array_equal(gradient, np.zeros_like(x))


def test_identical_embeddings():
    # All similarities are equal, so that each positive costs log(N - 1).
    x = np.broadcast_to([1.0, -2.0, 0.5], (5, 2, 2, 3))
    labels = np.array([0, 0, 0, 1, 2])
    cost = np.log(5 * 2 * 2 - 1)
    np.testing.assert_allclose(
        values(x, labels),
        cost * np.array([11, 11, 11, 3, 3]) / [6, 6, 6, 2, 2],
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        values(x, labels, normalization="mean"), cost, rtol=1e-5
    )
    np.testing.assert_allclose(values(x), 3 * cost, rtol=1e-5)
    _, gradient = differentiate(x, labels)
    np.testing.assert_allclose(gradient, np.zeros_like(x), atol=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1e4, 1e30])
def test_length_of_embeddings_does_not_matter(scale):
    x = embeddings(views=2, timesteps=2)
    value, gradient = differentiate(x, LABELS)
    scaled_value, scaled_gradient = differentiate(x * scale, LABELS)
    np.testing.assert_allclose(scaled_value, value, rtol=1e-5)
    np.testing.assert_allclose(
        scaled_gradient.astype("float64") * scale,
        gradient,
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_computes_in_float32(dtype):
    x = embeddings(views=2, timesteps=2)
    rounded = ops.cast(ops.convert_to_tensor(x, dtype), "float32")
    rounded = ops.convert_to_numpy(rounded)
    assert values(x, LABELS, dtype).dtype == "float32"
    value, gradient = differentiate(x, LABELS, dtype)
    expected_value, expected = differentiate(rounded, LABELS)
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    np.testing.assert_allclose(
        gradient, expected, rtol=0.01, atol=0.01 * np.abs(expected).max()
    )


def test_order_of_samples_does_not_matter():
    x = embeddings(views=2, timesteps=2)
    order = np.array([4, 2, 0, 1, 3])
    np.testing.assert_allclose(
        values(x[order], LABELS[order]), values(x, LABELS)[order], rtol=1e-5
    )


def test_one_view_needs_no_axis():
    x = embeddings(views=1, timesteps=3)
    np.testing.assert_allclose(
        values(x[:, 0], LABELS), values(x, LABELS), rtol=1e-6
    )


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_label_types(dtype):
    x = embeddings(views=1, timesteps=3)
    labels = LABELS.astype(dtype)[:, None]
    np.testing.assert_allclose(values(x, labels), values(x, LABELS), rtol=1e-6)


def test_large_class_ids_stay_apart():
    x = embeddings(views=1, timesteps=3)
    np.testing.assert_array_equal(values(x, 30_000 + LABELS), values(x, LABELS))
    # To JAX, integers have 32 bits, and floats 24 of precision.
    for distance in (2**32, 1, 2.0**40 + 1):
        np.testing.assert_array_equal(
            values(x, 10**9 + distance * LABELS), values(x, LABELS)
        )


def test_nan_is_not_hidden():
    x = embeddings(views=1, timesteps=3).astype("float32")
    x[2, 0, 1] = np.nan
    for run in (temporal_contrastive, compiled(temporal_contrastive)):
        assert np.isnan(ops.convert_to_numpy(run(x, LABELS))).all()


def test_compiled_equals_eager():
    x = embeddings(views=1, timesteps=3)
    x[0, 0, 0] = 0
    value, gradient = differentiate(x, LABELS)
    compiled_value, compiled_gradient = value_and_gradient(
        compiled(lambda x: objective(x, LABELS)), x
    )
    np.testing.assert_allclose(compiled_value, value, rtol=1e-6)
    np.testing.assert_allclose(
        compiled_gradient, gradient, rtol=1e-5, atol=1e-5
    )


@with_and_without_labels
def test_unknown_batch_size(labels):
    x = embeddings(views=1, timesteps=3).astype("float32")
    arguments = (x,) if labels is None else (x, labels)
    result = traced_with_unknown_batch(temporal_contrastive)(*arguments)
    np.testing.assert_allclose(
        ops.convert_to_numpy(result),
        values(x, labels, normalization="mean"),
        rtol=1e-5,
    )


def test_the_mean_is_the_default():
    x = embeddings(views=2, timesteps=2)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(temporal_contrastive(x.astype("float32"), LABELS)),
        values(x, LABELS, normalization="mean"),
    )


def test_large_batch_keeps_five_digits():
    # 1,024 embeddings, each with 103 positives or less.
    x = embeddings(views=2, timesteps=4, samples=128, features=16)
    labels = np.arange(128) % 10
    z = x / np.linalg.norm(x, axis=-1, keepdims=True)
    z = z.reshape(-1, 16)
    similarity = z @ z.T / 0.07
    np.fill_diagonal(similarity, -np.inf)
    log_total = np.log(np.exp(similarity).sum(axis=1))
    anchor_labels = np.repeat(labels, 8)
    positive = anchor_labels[:, None] == anchor_labels
    np.fill_diagonal(positive, False)
    losses = np.where(positive, log_total[:, None] - similarity, 0.0)
    expected = losses.sum(axis=1) / positive.sum(axis=1)
    np.testing.assert_allclose(
        values(x, labels, normalization="mean"),
        expected.reshape(128, 8).mean(axis=1),
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    "temperature", [0, -1.0, np.inf, np.nan, "low", None, True]
)
def test_refuses_temperature(temperature):
    with pytest.raises(
        ValueError, match=r"greater than 0.*Received: temperature="
    ):
        temporal_contrastive(np.ones((2, 3, 4)), temperature=temperature)


def test_refuses_normalization():
    with pytest.raises(
        ValueError, match=r"one of 'mean', 'paper'.*normalization='sum'"
    ):
        temporal_contrastive(np.ones((2, 3, 4)), normalization="sum")


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 1, 1, 3, 2)])
def test_refuses_embeddings_of_other_rank(shape):
    with pytest.raises(ValueError, match=r"\(batch, views, timesteps, feat"):
        temporal_contrastive(np.ones(shape))


@pytest.mark.parametrize("shape", [(), (4,), (5, 3), (1,), (5, 1, 1)])
def test_refuses_labels_of_other_shape(shape):
    with pytest.raises(ValueError, match="one class id per sample.*batch of 5"):
        temporal_contrastive(np.ones((5, 1, 3, 3)), np.zeros(shape))
