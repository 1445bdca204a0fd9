"""Host and device give the same answer to one question."""

import numpy as np
import pytest
from keras import ops

from keras_tcl.losses.labels import (
    are_valid,
    targets_of,
    validate_labels,
    visible_values,
)
from tests.losses.compiled import compiled

CLASSES = 3
IDS = [0, 2, 1.0, -1, 3, 0.5, np.nan, np.inf, -np.inf, 4e9]
ROWS = [
    [0, 1, 0],
    [0.995, 0, 0],
    [0.1, 0.8, 0.1],
    [0, 0, 0],
    [1, 1, 1],
    [0.97, 0, 0],
    [2, -1, 0],
    [1, -0.5, 0.5],
    [np.nan, 1, 0],
    [np.inf, 0, 0],
]


def is_refused(label, hard):
    try:
        validate_labels(np.array([label]), CLASSES, hard)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize(
    "labels",
    [IDS, [[i] for i in IDS], ROWS],
    ids=["ids", "column", "rows"],
)
def test_host_and_device_agree(labels, hard):
    valid = compiled(lambda y: are_valid(y, CLASSES, hard))(
        ops.convert_to_tensor(np.array(labels, "float32"))
    )
    refused = [is_refused(label, hard) for label in labels]
    np.testing.assert_array_equal(
        ops.convert_to_numpy(valid), ~np.array(refused)
    )
    # Of each kind, three are good; of the rows, the third is soft.
    soft = labels is ROWS and hard
    assert refused == [i >= 3 - soft for i in range(len(labels))]


@pytest.mark.parametrize(
    "labels", [[2, 0], [[2], [0]], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_targets(labels, dtype):
    targets = targets_of(np.array(labels, dtype), CLASSES)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(targets), [[0, 0, 1], [1, 0, 0]]
    )


def test_an_id_that_is_no_class_has_no_target():
    targets = ops.convert_to_numpy(targets_of(np.array([-1, 3, 0.5]), CLASSES))
    np.testing.assert_array_equal(targets, np.zeros((3, 3)))


@pytest.mark.parametrize("shape", [(), (5, 4), (5, 1, 1)])
def test_refuses_shapes(shape):
    for function in (targets_of, validate_labels, are_valid):
        settings = () if function is targets_of else (False,)
        with pytest.raises(ValueError, match=r"\(batch, 3\) for 3 classes"):
            function(np.zeros(shape), CLASSES, *settings)


def test_visible_values():
    np.testing.assert_array_equal(visible_values([1, 2]), [1, 2])
    tensor = ops.convert_to_tensor([1, 2])
    np.testing.assert_array_equal(visible_values(tensor), [1, 2])
    seen = []

    def trace(y):
        seen.append(visible_values(y))
        return y

    compiled(trace)(tensor)
    assert (seen[0] is None) == (compiled(trace) is not trace)
