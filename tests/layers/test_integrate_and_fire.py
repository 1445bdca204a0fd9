import numpy as np

from keras_tcl.layers import IF
from tests.kernels import reference
from tests.kernels.reference import to_numpy
from tests.layer_checks import run_layer_checks


def test_layer(tmp_path):
    settings = {"threshold": 0.5, "reset": "soft", "surrogate": "atan"}
    shape = (2, 3, 4)
    run_layer_checks(IF, settings, shape, shape, folder=tmp_path)


def test_forgets_nothing():
    x = np.random.default_rng(0).integers(-32, 128, (2, 20, 5)) / 64
    for reset in ("hard", "soft"):
        _, expected = reference.lif(x, 1.0, 0.75, reset)
        np.testing.assert_array_equal(to_numpy(IF(0.75, reset)(x)), expected)


def test_a_soft_reset_counts_the_input():
    x = np.full((1, 64, 1), 0.3125)
    assert to_numpy(IF(reset="soft")(x)).sum() == 64 * 0.3125


def test_has_no_decay_to_configure():
    assert "decay" not in IF().get_config()
