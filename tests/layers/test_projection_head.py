import keras
import numpy as np
import pytest

from keras_tcl.layers import ProjectionHead
from tests.kernels.reference import to_numpy
from tests.layer_checks import run_layer_checks


def test_layer(tmp_path):
    run_layer_checks(
        ProjectionHead,
        {"dimension": 4, "hidden": 4},
        (2, 3, 2, 2, 4),
        (2, 3, 4),
        expected_weights=4,
        folder=tmp_path,
    )


@pytest.mark.parametrize("shape", [(2, 3, 2, 4, 5), (2, 3, 5)], ids=str)
def test_pools_and_projects_every_step(shape):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    head = ProjectionHead(4, 6)
    y = to_numpy(head(x))
    for weight in head.weights:  # Biases start at zero, where they would hide.
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    assert not np.allclose(to_numpy(head(x)), y)
    kernel_1, bias_1, kernel_2, bias_2 = map(to_numpy, head.weights)
    pooled = x.mean((2, 3)) if len(shape) == 5 else x
    hidden = np.maximum(pooled @ kernel_1 + bias_1, 0)
    assert (hidden == 0).any() and (hidden > 0).any()
    np.testing.assert_allclose(
        to_numpy(head(x)), hidden @ kernel_2 + bias_2, rtol=1e-4, atol=1e-5
    )


def test_defaults():
    head = ProjectionHead()
    head.build((None, 4, 2, 2, 5))
    # As wide between as the features, and 128 at the end.
    assert [tuple(w.shape) for w in head.weights] == [
        (5, 5),
        (5,),
        (5, 128),
        (128,),
    ]


def test_takes_maps_of_any_size():
    y = ProjectionHead(4)(keras.Input((3, None, None, 5)))
    assert y.shape == (None, 3, 4)


@pytest.mark.parametrize("value", [0, -1, 1.5, "4", True], ids=repr)
@pytest.mark.parametrize("name", ["dimension", "hidden"])
def test_refuses_sizes(name, value):
    message = f"`{name}` must be an integer of at least 1.*{name}={value!r}"
    with pytest.raises(ValueError, match=message):
        ProjectionHead(**{name: value})


def test_refuses_to_have_no_dimension():
    with pytest.raises(ValueError, match="dimension=None"):
        ProjectionHead(None)


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 4, 5)])
def test_refuses_other_ranks(shape):
    with pytest.raises(ValueError, match=r"\[B, T, h, w, c\].*shape \(2, "):
        ProjectionHead()(np.zeros(shape))
