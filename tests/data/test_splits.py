"""The grammar of `split`."""

import numpy as np
import pytest

from keras_tcl.data import ArraySource, DataInfo
from keras_tcl.data.splits import open_split, split_rows, stratified_order

pytestmark = pytest.mark.once
LABELS = np.repeat([0, 1, 2], [100, 40, 10])  # Class by class, unbalanced.


def open_one(name):
    if name not in ("train", "test"):
        raise ValueError("no such split")
    x = np.arange(len(LABELS)).reshape(-1, 1).astype("int32")
    info = DataInfo("mine", classes=3, shape=(1,))
    return ArraySource(info, x if name == "train" else -x, LABELS)


def values(split):
    source = open_split(split, open_one)
    return source.read(range(len(source)))[0][:, 0]


def test_every_prefix_holds_its_share_of_each_class():
    order = stratified_order(LABELS)
    assert sorted(order) == list(range(len(LABELS)))
    share = np.bincount(LABELS) / len(LABELS)
    for size in range(1, len(LABELS)):
        counts = np.bincount(LABELS[order[:size]], minlength=3)
        assert np.abs(counts - share * size).max() < 1.5


def test_balanced_classes_take_turns():
    labels = np.repeat(np.arange(5), 4)
    assert np.all(labels[stratified_order(labels)] == np.tile(range(5), 4))


@pytest.mark.parametrize(
    "split, size, counts",
    [
        ("train", 150, (100, 40, 10)),
        ("train[:15]", 15, (10, 4, 1)),
        ("train[:10%]", 15, (10, 4, 1)),
        ("train[90%:]", 15, (10, 4, 1)),
        ("train[-15:]", 15, (10, 4, 1)),
        ("train[:-10%]", 135, (90, 36, 9)),
        ("train[:]", 150, (100, 40, 10)),
        ("train[:15]+test", 165, (110, 44, 11)),
    ],
)
def test_slices(split, size, counts):
    source = open_split(split, open_one)
    assert len(source) == size
    assert tuple(np.bincount(source.labels)) == counts


def test_complements_share_nothing_and_miss_nothing():
    both = np.concatenate([values("train[:37]"), values("train[37:]")])
    assert sorted(both) == list(range(150))


def test_a_slice_keeps_the_order_of_the_release():
    assert np.all(np.diff(values("train[10%:60%]")) > 0)


def test_joined_splits_follow_each_other():
    assert np.all(
        values("train[:3] + test") == [*values("train[:3]"), *(-np.arange(150))]
    )


@pytest.mark.parametrize(
    "split",
    ["train[", "train[1.5:]", "train[::2]", "", "train++test", 3, None],
)
def test_unreadable(split):
    with pytest.raises(ValueError, match="Received: split="):
        open_split(split, open_one)


@pytest.mark.parametrize(
    "split", ["train[:151]", "train[5:5]", "train[-200:]", "train[60%:50%]"]
)
def test_slice_out_of_range(split):
    with pytest.raises(ValueError, match="at least one example"):
        open_split(split, open_one)


RECORDED = np.repeat(np.arange(3), 1000)
NUMBERS = np.tile(np.random.default_rng(0).permutation(1000), 3)


@pytest.mark.parametrize(
    ("split_rule", "lowest", "highest"), [("tet", 900, 999), ("tebn", 0, 99)]
)
def test_rules_of_the_papers(split_rule, lowest, highest):
    splits = split_rows(split_rule, RECORDED, NUMBERS)
    for label in range(3):
        test = NUMBERS[splits["test"]][RECORDED[splits["test"]] == label]
        assert sorted(test) == list(range(lowest, highest + 1))


@pytest.mark.parametrize("split_rule", ["tet", "tebn", "random"])
def test_every_recording_is_in_one_split(split_rule):
    splits = split_rows(split_rule, RECORDED, NUMBERS)
    rows = np.concatenate([splits["train"], splits["test"]])
    assert sorted(rows) == list(range(3000))
    assert (np.diff(splits["train"]) > 0).all()


def test_random_is_stratified_and_seeded():
    labels = np.repeat(np.arange(3), [100, 50, 20])
    splits = split_rows("random", labels)
    assert np.bincount(labels[splits["test"]]).tolist() == [10, 5, 2]
    again = split_rows("random", labels, split_seed=0)
    np.testing.assert_array_equal(splits["test"], again["test"])
    other = split_rows("random", labels, split_seed=1)
    assert (splits["test"] != other["test"]).any()
    half = split_rows("random", labels, test_fraction=0.5)
    assert np.bincount(labels[half["test"]]).tolist() == [50, 25, 10]


@pytest.mark.parametrize("test_fraction", [0.01, 0.99])
def test_random_leaves_either_side_some_of_each_class(test_fraction):
    labels = [0, 0, 1, 1, 1, 2]
    splits = split_rows("random", labels, test_fraction=test_fraction)
    assert set(np.take(labels, splits["train"])) == {0, 1, 2}
    assert set(np.take(labels, splits["test"])) == {0, 1}


def test_bad_rules():
    with pytest.raises(ValueError, match="split_rule='last'"):
        split_rows("last", RECORDED, NUMBERS)
    with pytest.raises(ValueError, match="test_fraction=1"):
        split_rows("random", RECORDED, test_fraction=1)
    with pytest.raises(ValueError, match="test_fraction='half'"):
        split_rows("random", RECORDED, test_fraction="half")
