"""The embedded digits."""

import numpy as np
import pytest

from keras_tcl import data

pytestmark = pytest.mark.once


def test_split_is_fixed_stratified_and_whole():
    train, test = (data.source("digits", s) for s in ("train", "test"))
    assert (len(train), len(test)) == (1437, 360)
    assert np.bincount(test.labels).tolist() == [
        36, 36, 35, 37, 36, 37, 36, 36, 35, 36
    ]  # fmt: skip
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    ours = np.concatenate([train.x, test.x]).reshape(-1, 64)
    labels = np.concatenate([train.labels, test.labels])
    both = np.column_stack([ours, labels]).tolist()
    assert sorted(both) == sorted(np.column_stack([x, y]).astype(int).tolist())


def test_pixels_and_statistics_as_the_info_says():
    train = data.source("digits", "train")
    info = train.info
    x, _ = train.read(range(len(train)))
    assert x.dtype == "uint8" and x.shape[1:] == info.shape == (8, 8, 1)
    assert (x.min(), x.max()) == info.value_range == (0, 16)
    assert (x / 16).mean() == pytest.approx(info.mean[0], abs=1e-4)
    assert (x / 16).std() == pytest.approx(info.std[0], abs=1e-4)


def test_small_training_subsets_hold_every_class():
    labels = data.source("digits", "train[:400]").labels
    assert len(labels) == 400
    assert np.bincount(labels).min() >= 39
