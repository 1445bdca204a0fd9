"""The four built-in derivatives against what their docstrings promise."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import surrogates
from tests.surrogates import closed_forms

SURROGATES = [
    surrogates.Triangle(),
    surrogates.Triangle(gamma=0.5),
    surrogates.ATan(),
    surrogates.ATan(alpha=5.0),
    surrogates.Sigmoid(),
    surrogates.Sigmoid(alpha=1.0),
    surrogates.Rectangle(),
    surrogates.Rectangle(width=2.5),
]
every_surrogate = pytest.mark.parametrize("surrogate", SURROGATES, ids=repr)
PARAMETERS = [
    (surrogates.Triangle, "gamma"),
    (surrogates.ATan, "alpha"),
    (surrogates.Sigmoid, "alpha"),
    (surrogates.Rectangle, "width"),
]
# The largest slope, and the full width at half of it, as documented.
PEAK_AND_WIDTH = {
    surrogates.Triangle: lambda s: (1 / s.gamma, s.gamma),
    surrogates.ATan: lambda s: (s.alpha / 2, 4 / (np.pi * s.alpha)),
    surrogates.Sigmoid: lambda s: (
        s.alpha / 4,
        4 * np.log(1 + np.sqrt(2)) / s.alpha,
    ),
    surrogates.Rectangle: lambda s: (1 / s.width, s.width),
}
every_class = pytest.mark.parametrize("surrogate_class, name", PARAMETERS)


def evaluate(surrogate, v):
    v = ops.convert_to_tensor(np.asarray(v, "float32"))
    slope = surrogate(v)
    assert keras.backend.standardize_dtype(slope.dtype) == "float32"
    assert tuple(slope.shape) == tuple(v.shape)
    return ops.convert_to_numpy(slope)


@pytest.mark.parametrize("name", closed_forms.BY_NAME)
def test_default_is_its_closed_form(name):
    v = np.concatenate([np.linspace(-3, 3, 385), [-100.0, 100.0]])
    np.testing.assert_allclose(
        evaluate(surrogates.get(name), v),
        closed_forms.BY_NAME[name](v),
        rtol=2e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "surrogate, v, slope",
    [
        (surrogates.Triangle(gamma=2.0), 1.0, 0.25),
        (surrogates.ATan(alpha=4 / np.pi), 0.5, 1 / np.pi),
        (surrogates.Sigmoid(alpha=np.log(3)), 1.0, 3 / 16 * np.log(3)),
        (surrogates.Rectangle(width=4.0), 1.5, 0.25),
        (surrogates.Rectangle(width=4.0), 2.0, 0.0),
    ],
    ids=repr,
)
def test_other_parameters_by_hand(surrogate, v, slope):
    np.testing.assert_allclose(evaluate(surrogate, v), slope, rtol=1e-6)


@every_surrogate
def test_peak_is_at_the_threshold(surrogate):
    peak, _ = PEAK_AND_WIDTH[type(surrogate)](surrogate)
    slopes = evaluate(surrogate, np.linspace(-4, 4, 1025))
    assert slopes.max() == slopes[512]
    np.testing.assert_allclose(slopes[512], peak, rtol=1e-6)
    assert slopes.min() >= 0
    # It never rises with the distance from the threshold, on either side.
    assert np.diff(slopes[512:]).max() < 1e-6
    np.testing.assert_allclose(slopes, slopes[::-1], atol=1e-6)


@every_surrogate
def test_width_is_the_full_width_at_half_of_the_peak(surrogate):
    peak, width = PEAK_AND_WIDTH[type(surrogate)](surrogate)
    v = np.linspace(-4, 4, 80_001)
    above = v[evaluate(surrogate, v) > peak / 2]
    np.testing.assert_allclose(above[-1] - above[0], width, atol=3e-4)


@every_surrogate
def test_area_is_one(surrogate):
    # v = tan(angle) brings the slow tails of the arctangent into reach.
    edges = np.linspace(-np.pi / 2, np.pi / 2, 200_001)
    angle = (edges[1:] + edges[:-1]) / 2
    slopes = evaluate(surrogate, np.tan(angle)).astype("float64")
    area = np.sum(slopes / np.cos(angle) ** 2) * (edges[1] - edges[0])
    np.testing.assert_allclose(area, 1.0, atol=2e-4)


@every_surrogate
def test_is_finite_far_from_the_threshold(surrogate):
    slopes = evaluate(surrogate, [-3e38, -1e20, -1e4, 1e4, 1e20, 3e38])
    assert np.isfinite(slopes).all()
    np.testing.assert_allclose(slopes, 0.0, atol=1e-6)


@pytest.mark.parametrize("name", closed_forms.BY_NAME)
@pytest.mark.parametrize("shape", [(), (2, 0), (2, 3, 4)])
def test_keeps_the_shape(name, shape):
    evaluate(surrogates.get(name), np.zeros(shape))


def test_default_peaks_are_one():
    # A lower peak makes the gradient vanish with depth.
    for surrogate_class, _ in PARAMETERS:
        assert evaluate(surrogate_class(), 0.0) == 1.0


@every_class
def test_config_restores_the_parameter(surrogate_class, name):
    surrogate = surrogate_class(**{name: 0.75})
    assert surrogate.get_config() == {name: 0.75}
    assert surrogate_class.from_config({name: 0.75}) == surrogate
    assert repr(surrogate) == f"{surrogate_class.__name__}({name}=0.75)"


@every_class
def test_equality_is_of_class_and_parameter(surrogate_class, name):
    assert surrogate_class() == surrogate_class()
    assert hash(surrogate_class()) == hash(surrogate_class())
    assert surrogate_class() != surrogate_class(**{name: 0.75})
    assert surrogate_class() != "triangle"
    assert surrogates.ATan(alpha=4.0) != surrogates.Sigmoid(alpha=4.0)


@every_class
@pytest.mark.parametrize(
    "value", [0, -1.0, float("inf"), float("nan"), "1", None]
)
def test_refuses_the_parameter(surrogate_class, name, value):
    with pytest.raises(
        ValueError, match=f"`{name}` must be .*Received: {name}={value!r}"
    ):
        surrogate_class(**{name: value})


@every_class
def test_takes_numpy_numbers(surrogate_class, name):
    parameter = surrogate_class(**{name: np.float32(0.5)}).get_config()[name]
    assert type(parameter) is float and parameter == 0.5
