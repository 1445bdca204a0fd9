import numpy as np
import pytest

from keras_tcl.data.events.splits import check_split, split_rows

LABELS = np.repeat(np.arange(3), 1000)
NUMBERS = np.tile(np.random.default_rng(0).permutation(1000), 3)


@pytest.mark.parametrize(
    ("split_rule", "lowest", "highest"), [("tet", 900, 999), ("tebn", 0, 99)]
)
def test_rules_of_the_papers(split_rule, lowest, highest):
    splits = split_rows(split_rule, LABELS, NUMBERS)
    for label in range(3):
        test = NUMBERS[splits["test"]][LABELS[splits["test"]] == label]
        assert sorted(test) == list(range(lowest, highest + 1))


@pytest.mark.parametrize("split_rule", ["tet", "tebn", "random"])
def test_every_recording_is_in_one_split(split_rule):
    splits = split_rows(split_rule, LABELS, NUMBERS)
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


def test_bad_arguments():
    with pytest.raises(ValueError, match="split_rule='last'"):
        split_rows("last", LABELS, NUMBERS)
    with pytest.raises(ValueError, match="test_fraction=1"):
        split_rows("random", LABELS, test_fraction=1)
    with pytest.raises(ValueError, match=r"\('train', 'test'\).*split='val'"):
        check_split("val", {"train": 1, "test": 2})
