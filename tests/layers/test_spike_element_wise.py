import keras
import numpy as np
import pytest

from keras_tcl.layers import SpikeElementWise
from tests.kernels.reference import to_numpy
from tests.layer_checks import run_layer_checks

# Of the spikes and the shortcut of paper Fang et al. 2021, table 1.
SPIKES = np.array([[0.0, 0.0, 1.0, 1.0]])
SHORTCUT = np.array([[0.0, 1.0, 0.0, 1.0]])
TRUTH_TABLES = {
    "add": [[0, 1, 1, 2]],
    "and": [[0, 0, 0, 1]],
    "iand": [[0, 1, 0, 0]],
}


@pytest.mark.parametrize("connection", TRUTH_TABLES)
def test_truth_table(connection):
    layer = SpikeElementWise(connection)
    for pair in ((SPIKES, SHORTCUT), [SPIKES, SHORTCUT]):
        np.testing.assert_array_equal(
            to_numpy(layer(pair)), TRUTH_TABLES[connection]
        )


def test_layer(tmp_path):
    shape = (2, 3, 2, 2, 4)
    run_layer_checks(
        SpikeElementWise,
        {"connection": "iand"},
        [shape, shape],
        shape,
        folder=tmp_path,
    )


def test_adds_by_default():
    assert SpikeElementWise().connection == "add"


@pytest.mark.parametrize("connection", ["ADD", "or", None], ids=repr)
def test_refuses_a_connection(connection):
    message = f"`connection` must be one of.*add.*connection={connection!r}"
    with pytest.raises(ValueError, match=message):
        SpikeElementWise(connection)


@pytest.mark.parametrize(
    "inputs",
    [
        # One tensor of two samples would come apart into a pair.
        np.zeros((2, 3)),
        [np.zeros((2, 3))],
        [np.zeros((2, 3))] * 3,
        # Shapes that broadcasting would accept.
        [np.zeros((2, 3)), np.zeros((2, 1))],
        [np.zeros((2, 3)), np.zeros((2, 2, 3))],
    ],
    ids=lambda inputs: str([np.shape(x) for x in inputs]),
)
def test_refuses_what_is_no_pair_of_one_shape(inputs):
    with pytest.raises(ValueError, match="pair.*of one shape.*Received"):
        SpikeElementWise()(inputs)


def test_refuses_symbolic_shapes_that_differ():
    with pytest.raises(ValueError, match="pair.*of one shape"):
        SpikeElementWise()([keras.Input((4, 3)), keras.Input((4, 2))])
