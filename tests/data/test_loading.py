"""`load`, `source`, `info`, `list_datasets`."""

import numpy as np
import pytest

from keras_tcl import data
from keras_tcl.data.catalogue import DATASETS

pytestmark = pytest.mark.once
NAMES = (
    "cifar10 cifar100 cub200 stanford_cars fgvc_aircraft oxford_flowers102 "
    "stanford_dogs digits image_folder"
).split()


def test_the_data_sets_of_the_paper():
    assert set(NAMES) <= set(data.list_datasets())
    assert "cifar10_dvs" in data.list_datasets()


@pytest.mark.parametrize("name", NAMES)
def test_info(name):
    info = data.info(name)
    assert info.name == name
    assert info.where and info.shape[-1] in (1, 3)
    if name != "image_folder":
        assert info.citation and info.licence and info.size
        assert {"train", "test"} <= set(info.splits)
        assert len(info.mean) == len(info.std) == info.shape[-1]
        assert len(info.class_names) in (0, info.classes)


def test_the_numbers_of_the_paper():
    """Table 2 prints the number of classes (and 102 for the aircraft)."""
    classes = {name: data.info(name).classes for name in NAMES}
    assert classes == {
        "cifar10": 10,
        "cifar100": 100,
        "cub200": 200,
        "stanford_cars": 196,
        "fgvc_aircraft": 100,
        "oxford_flowers102": 102,
        "stanford_dogs": 120,
        "digits": 10,
        "image_folder": 0,
    }


def test_training_shuffles_and_drops_nothing_by_default():
    train = data.load("digits", batch_size=100)
    test = data.load("digits", "test", batch_size=100)
    assert [len(y) for _, y in train] == [100] * 14 + [37]
    assert [len(y) for _, y in test] == [100] * 3 + [60]
    first, second = ([np.asarray(y) for _, y in train] for _ in range(2))
    assert any(np.any(a != b) for a, b in zip(first, second, strict=True))
    labels = np.concatenate([np.asarray(y) for _, y in test])
    assert np.array_equal(labels, data.source("digits", "test").labels)


def test_defaults_can_be_turned():
    train = data.load("digits", shuffle=False, batch_size=100)
    labels = np.concatenate([y for _, y in train])
    assert np.array_equal(labels, data.source("digits", "train").labels)
    test = data.load("digits", "test", shuffle=True, drop_remainder=True)
    assert [len(y) for _, y in test] == [128, 128]
    labels = data.source("digits", "test").labels
    assert any(np.any(y != labels[:128]) for _, y in test)


def test_seed():
    def labels(seed):
        batches = data.load("digits", seed=seed)
        return np.concatenate([np.asarray(y) for _, y in batches]).tolist()

    assert labels(1) == labels(1) != labels(2)


def test_a_validation_part_of_the_training_split():
    train = data.source("digits", "train[:90%]")
    held_out = data.source("digits", "train[90%:]")
    assert len(train) + len(held_out) == data.info("digits").splits["train"]
    assert np.bincount(held_out.labels).min() >= 14


@pytest.mark.parametrize("function", [data.info, data.source, data.load])
def test_unknown_name(function):
    arguments = () if function is data.info else ("train",)
    with pytest.raises(
        ValueError, match="'cifar10', .*'digits'.*Received: name='cifar-10'"
    ):
        function("cifar-10", *arguments)


def test_unknown_split():
    with pytest.raises(
        ValueError, match="'train', 'test'. Received: split='valid'"
    ):
        data.load("digits", "valid")


@pytest.mark.parametrize(
    "name, match",
    [
        ("digits", "takes no options. Received: image_size=32"),
        ("cifar100", "the options labels. Received: image_size=32"),
    ],
)
def test_unknown_option(name, match):
    with pytest.raises(ValueError, match=match):
        data.load(name, image_size=32)


def test_each_data_set_says_which_options_it_takes():
    options = {name: DATASETS[name].options for name in data.list_datasets()}
    assert options["digits"] == () and options["cifar100"] == ("labels",)
    assert options["stanford_dogs"] == ("image_size",)
    assert {"timesteps", "binning", "download"} <= set(options["nmnist"])
    assert len(set(options["cifar10_dvs"])) == len(options["cifar10_dvs"])


def test_data_dir_may_be_a_string_with_a_tilde(tmp_path, monkeypatch):
    from tests.data.samples import write_image

    monkeypatch.setenv("HOME", str(tmp_path))
    write_image(tmp_path / "pets" / "cat" / "a.png")
    source = data.source("image_folder", "all", "~/pets")
    assert source.info.class_names == ("cat",)
