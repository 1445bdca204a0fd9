"""`Source` and the sources made of others."""

import numpy as np
import pytest

import keras_tcl
from keras_tcl.data import ArraySource, DataInfo, Joined, Subset

pytestmark = pytest.mark.once
INFO = DataInfo("mine", classes=3, shape=(2, 2, 1))


def array_source(size=10, shape=(2, 2, 1), start=0):
    values = np.arange(start, start + size, dtype="uint8")
    x = np.broadcast_to(
        values.reshape(-1, *[1] * len(shape)), (size, *shape)
    ).copy()
    return ArraySource(INFO, x, np.arange(size) % 3)


def test_array_source_reads_in_the_order_asked():
    x, y = array_source().read([7, 0, 7])
    assert x.shape == (3, 2, 2, 1) and x.dtype == "uint8"
    assert x[:, 0, 0, 0].tolist() == [7, 0, 7]
    assert y.tolist() == [1, 0, 1] and y.dtype == "int32"


@pytest.mark.parametrize("label", [-1, 3])
def test_label_out_of_range(label):
    labels = np.array([0, 1, label, 2])
    with pytest.raises(ValueError, match=f"label {label} at example 2"):
        ArraySource(INFO, np.zeros((4, 2, 2, 1), "uint8"), labels)


@pytest.mark.parametrize(
    "labels", [[0.9, 1, 2, 0], [0, np.nan, 2, 0], ["0", "1", "2", "0"]]
)
def test_labels_must_be_whole(labels):
    with pytest.raises(ValueError, match=r"whole numbers.*0 to 2.*Received"):
        ArraySource(INFO, np.zeros((4, 2, 2, 1), "uint8"), labels)


def test_whole_labels_of_any_dtype():
    source = ArraySource(INFO, np.zeros((3, 2, 2, 1), "uint8"), [0.0, 2.0, 1])
    assert source.labels.tolist() == [0, 2, 1]
    assert source.labels.dtype == "int32"
    with pytest.raises(ValueError, match="label 4294967296 at example 1"):
        ArraySource(INFO, np.zeros((2, 2, 2, 1), "uint8"), [0, 2**32])


def test_labels_in_one_column_as_keras_datasets_have_them():
    x = np.zeros((3, 2, 2, 1), "uint8")
    source = ArraySource(INFO, x, np.array([[0], [2], [1]], "uint8"))
    assert source.labels.tolist() == [0, 2, 1]


def test_no_examples():
    with pytest.raises(ValueError, match="no examples"):
        ArraySource(INFO, np.zeros((0, 2, 2, 1), "uint8"), [])


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="4 examples and 3 labels"):
        ArraySource(INFO, np.zeros((4, 2, 2, 1), "uint8"), [0, 1, 2])


def test_subset_of_subset():
    subset = Subset(Subset(array_source(), [9, 4, 3, 8]), [3, 1])
    x, y = subset.read([1, 0])
    assert x[:, 0, 0, 0].tolist() == [4, 8]
    assert y.tolist() == subset.labels[[1, 0]].tolist() == [1, 2]


def test_subset_of_a_mask():
    source = array_source()
    subset = Subset(source, source.labels == 1)
    assert subset.read(range(3))[0][:, 0, 0, 0].tolist() == [1, 4, 7]
    for mask in (np.ones(9, bool), np.ones((10, 1), bool)):
        with pytest.raises(ValueError, match="each of the 10 examples"):
            Subset(source, mask)
    with pytest.raises(ValueError, match="no examples"):
        Subset(source, np.zeros(10, bool))


@pytest.mark.parametrize("indices", [[-1], [10], [0, 2**40], [0.5], [[0]]])
def test_subset_of_what_is_not_there(indices):
    with pytest.raises(ValueError, match="whole numbers from 0 to 9.*Received"):
        Subset(array_source(), indices)


@pytest.mark.parametrize("indices", [[], np.zeros(0, int), ()])
def test_subset_of_nothing(indices):
    with pytest.raises(ValueError, match="no examples"):
        Subset(array_source(), indices)


def test_joined_of_nothing():
    with pytest.raises(ValueError, match="at least one"):
        Joined([])


def test_joined_reads_across_its_parts():
    joined = Joined([array_source(4), array_source(3, start=100)])
    assert len(joined) == 7
    x, y = joined.read([6, 0, 4, 3])
    assert x[:, 0, 0, 0].tolist() == [102, 0, 100, 3]
    assert y.tolist() == joined.labels[[6, 0, 4, 3]].tolist()


def test_joined_refuses_mixed_resolutions():
    with pytest.raises(ValueError, match=r"\(2, 2, 1\).*\(3, 2, 1\)"):
        Joined([array_source(), array_source(shape=(3, 2, 1))])


def test_network_arguments_leave_out_what_is_not_known():
    frames = keras_tcl.data.info("nmnist").network_arguments()
    assert frames == {"input_shape": (4, 34, 34, 2), "classes": 10}
    images = keras_tcl.data.info("cifar10").network_arguments()
    model = keras_tcl.sew_resnet([1], [4], **images)
    assert model.sample_shape == (32, 32, 3)
    assert model.value_range == (0, 255)
