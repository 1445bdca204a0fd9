import pickle
import shutil
import sys
import types
import urllib.error

import numpy as np
import pytest

from keras_tcl.data.catalogue import DATASETS
from keras_tcl.data.events.framing import Framing
from tests.data.events.test_readers import real
from tests.data.events.writers import (
    WRITERS,
    random_events,
    write_aedat2,
    write_nmnist,
)

pytestmark = pytest.mark.once
NAMES = ("cifar10_dvs", "nmnist", "event_folder")
CLASSES = DATASETS["cifar10_dvs"].info.class_names
INCOMPLETE = pytest.mark.filterwarnings("ignore:.*published ones:UserWarning")


def open_dataset(name, split, data_dir, **options):
    return DATASETS[name].open(split, data_dir, **options)


@pytest.fixture
def nmnist_dir(tmp_path):
    for folder, number in (("Train", 3), ("Test", 2)):
        for digit in range(10):
            for i in range(number):
                path = tmp_path / "NMNIST" / folder / str(digit) / f"{i:05}.bin"
                write_nmnist(path, random_events(100 * digit + i, 20 + digit))
    return tmp_path


@pytest.fixture
def cifar10_dvs_dir(tmp_path):
    """The older release, with the numbers on which the splits turn."""
    for label, name in enumerate(CLASSES):
        for number in (0, 99, 100, 899, 900, 999):
            write_aedat2(
                tmp_path
                / "CIFAR10DVS"
                / name
                / f"cifar10_{name}_{number}.aedat",
                random_events(label, 1 + number, sensor_size=(128, 128)),
            )
    return tmp_path


@INCOMPLETE
@pytest.mark.parametrize("place", ["NMNIST", "nmnist", "."])
def test_nmnist(nmnist_dir, place):
    shutil.move(nmnist_dir / "NMNIST", nmnist_dir / "moved")
    shutil.copytree(
        nmnist_dir / "moved", nmnist_dir / "data" / place, dirs_exist_ok=True
    )
    for split, number in (("train", 3), ("test", 2)):
        source = open_dataset("nmnist", split, nmnist_dir / "data")
        assert source.labels.tolist() == np.repeat(range(10), number).tolist()
        assert source.info.splits == {split: 10 * number}
        assert source.element_shape == source.info.shape == (4, 34, 34, 2)
        x, y = source.read([0, 10 * number - 1])
        assert x.shape == (2, *source.element_shape)
        assert (x.dtype, y.dtype) == ("float32", "int32")
        assert y.tolist() == [0, 9]
        assert x.sum(axis=(1, 2, 3, 4)).tolist() == [20, 29]
    assert (nmnist_dir / "data" / ".keras_tcl_cache").is_dir()


@INCOMPLETE
@pytest.mark.parametrize(
    ("split_rule", "numbers"), [("tet", [900, 999]), ("tebn", [0, 99])]
)
def test_cifar10_dvs_splits(cifar10_dvs_dir, split_rule, numbers):
    read = {}
    for split in ("train", "test"):
        source = open_dataset(
            "cifar10_dvs", split, cifar10_dvs_dir, split_rule=split_rule
        )
        assert source.info.splits == {"train": 40, "test": 20}
        assert source.info.notes["split_rule"] == split_rule
        # The number of events tells the recording's number; area averages
        # keep their mean.
        source = open_dataset(
            "cifar10_dvs",
            split,
            cifar10_dvs_dir,
            split_rule=split_rule,
            interpolation="area",
        )
        x, y = source.read(range(len(source)))
        events = x.sum(axis=(1, 2, 3, 4), dtype="float64") * (128 / 48) ** 2
        number = np.round(events).astype(int) - 1
        read[split] = set(zip(y.tolist(), number.tolist(), strict=True))
    expected = {(label, number) for label in range(10) for number in numbers}
    assert read["test"] == expected
    assert len(read["train"]) == 40
    assert not read["train"] & read["test"]


@INCOMPLETE
def test_cifar10_dvs_random_split(cifar10_dvs_dir):
    def labels(**options):
        source = open_dataset(
            "cifar10_dvs",
            "test",
            cifar10_dvs_dir,
            split_rule="random",
            **options,
        )
        return source.labels.tolist(), source.rows.tolist(), source.info.notes

    of_0, rows_0, notes = labels()
    of_1, rows_1, _ = labels(split_seed=1)
    assert of_0 == of_1 == list(range(10))
    assert rows_0 != rows_1
    assert (notes["split_seed"], notes["test_fraction"]) == (0, 0.1)


@INCOMPLETE
def test_cifar10_dvs_rules_share_a_cache(cifar10_dvs_dir):
    paths = {
        open_dataset(
            "cifar10_dvs", split, cifar10_dvs_dir, split_rule=rule
        ).cache.path
        for split in ("train", "test")
        for rule in ("tet", "tebn", "random")
    }
    assert len(paths) == 1


@INCOMPLETE
def test_cifar10_dvs_of_the_older_release_is_turned_upright(tmp_path):
    events = random_events(0, 300, (128, 128))
    for name in CLASSES:
        write_aedat2(tmp_path / name / "0.aedat", events)
    source = open_dataset(
        "cifar10_dvs", "test", tmp_path, split_rule="tebn", frame_size=None
    )
    upright = events.copy()
    upright["x"], upright["y"] = events["y"], events["x"]
    expected = Framing()(upright, (128, 128))
    np.testing.assert_array_equal(source.read([4])[0][0], expected)


@INCOMPLETE
def test_cifar10_dvs_reads_aedat4(tmp_path):
    """A real file, of another camera: found, decoded and told apart."""
    pytest.importorskip("aedat")
    recording = real("recordings/sample.aedat4")
    for name in CLASSES:
        (tmp_path / name).mkdir()
        shutil.copy(recording, tmp_path / name / f"cifar10_{name}_7.aedat4")
    with pytest.raises(ValueError, match="240 x 320 pixels, 128 x 128 exp"):
        open_dataset("cifar10_dvs", "train", tmp_path)


def test_real_recordings_in_a_folder(tmp_path):
    pytest.importorskip("aedat")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            shutil.copy(
                real("recordings/sample.aedat4"),
                tmp_path / name / f"{i}.aedat4",
            )
    source = open_dataset("event_folder", "train", tmp_path, test_fraction=0.5)
    assert source.element_shape == (4, 240, 320, 2)
    x, _ = source.read([0, 1])
    assert x.sum(axis=(1, 2, 3, 4)).tolist() == [111_954, 111_954]


@pytest.mark.parametrize("suffix", WRITERS)
def test_folder_split_at_random(tmp_path, suffix):
    for label, name in enumerate(("cat", "dog", "emu")):
        (tmp_path / name).mkdir()
        for i in range(5):
            events = random_events(label, 10 + label)
            WRITERS[suffix](tmp_path / name / f"{i}{suffix}", events)
    size = None if suffix == ".aedat" else (34, 34)
    for split, number in (("train", 4), ("test", 1)):
        source = open_dataset("event_folder", split, tmp_path, sensor_size=size)
        assert source.info.class_names == ("cat", "dog", "emu")
        assert source.info.classes == 3
        assert source.labels.tolist() == np.repeat(range(3), number).tolist()
        x, y = source.read(range(3 * number))
        assert x.sum(axis=(1, 2, 3, 4)).tolist() == (10 + y).tolist()


def test_folder_with_splits_of_its_own(tmp_path):
    for split, number in (("train", 3), ("test", 1)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(number):
                np.save(tmp_path / split / name / f"{i}.npy", random_events(i))
    for split, number in (("train", 3), ("test", 1)):
        source = open_dataset("event_folder", split, tmp_path, sensor_size=34)
        assert source.labels.tolist() == [0] * number + [1] * number
        assert source.info.splits == {"train": 6, "test": 2}


def test_folder_whose_test_split_lacks_a_class(tmp_path):
    for split, names in (("train", ["cat", "dog"]), ("test", ["dog"])):
        for name in names:
            path = tmp_path / split / name / "0.NPY"
            path.parent.mkdir(parents=True)
            with open(path, "wb") as stream:
                np.save(stream, random_events(0, 10))
    source = open_dataset("event_folder", "test", tmp_path, sensor_size=34)
    assert source.labels.tolist() == [1] and source.info.classes == 2
    assert source.read([0])[0].sum() == 10
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "emu")
    with pytest.raises(ValueError, match="test has the class 'emu', which"):
        open_dataset("event_folder", "test", tmp_path, sensor_size=34)


def test_folder_in_all_of_it(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(3):
            np.save(tmp_path / name / f"{i}.npy", random_events(i))
    source = open_dataset("event_folder", "all", tmp_path, sensor_size=34)
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 1]


@INCOMPLETE
def test_archives_are_unpacked(nmnist_dir, cifar10_dvs_dir):
    nmnist, cifar10_dvs = nmnist_dir / "NMNIST", nmnist_dir / "CIFAR10DVS"
    expected = open_dataset("nmnist", "train", nmnist_dir).read([7])[0]
    for folder in (nmnist / "Train", nmnist / "Test", *cifar10_dvs.iterdir()):
        shutil.make_archive(folder, "zip", folder.parent, folder.name)
        shutil.rmtree(folder)
    (nmnist / "Train.zip").rename(nmnist / "train.zip")
    source = open_dataset("nmnist", "train", nmnist_dir)
    np.testing.assert_array_equal(source.read([7])[0], expected)
    assert len(open_dataset("cifar10_dvs", "train", cifar10_dvs_dir)) == 40

    archive = nmnist / "Test.zip"
    content = archive.read_bytes()
    for damaged in (content[: len(content) // 2], content[:900] * 2, b""):
        archive.write_bytes(damaged)
        with pytest.raises(ValueError, match="Test.zip is not a whole archive"):
            open_dataset("nmnist", "test", nmnist_dir)
        assert not list(nmnist.glob(".unpack*")) + list(nmnist.glob("Test"))
    shutil.copy(cifar10_dvs / "cat.zip", archive)
    with pytest.raises(
        ValueError, match="Test.zip should bring, but do not, Test"
    ):
        open_dataset("nmnist", "test", nmnist_dir)


@INCOMPLETE
def test_frames_follow_the_options(nmnist_dir):
    source = open_dataset(
        "nmnist",
        "test",
        nmnist_dir,
        timesteps=3,
        binning="time",
        frame_size=(20, 10),
        interpolation="area",
        values="binary",
        cache_dir=nmnist_dir / "elsewhere",
    )
    framing = Framing(3, "time", (20, 10), "area", "binary")
    assert source.info.shape == (3, 20, 10, 2)
    assert source.info.notes["framing"] == str(framing)
    x, _ = source.read([5])
    expected = framing(random_events(201, 22), (34, 34))
    np.testing.assert_array_equal(x[0], expected)
    assert (nmnist_dir / "elsewhere").is_dir()
    assert not (nmnist_dir / ".keras_tcl_cache").exists()


@INCOMPLETE
def test_a_source_can_be_sent_to_another_process(nmnist_dir):
    source = open_dataset("nmnist", "test", nmnist_dir)
    sent = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(sent.read([3])[0], source.read([3])[0])


def test_incomplete_sets_are_named(nmnist_dir, cifar10_dvs_dir):
    with pytest.warns(
        UserWarning,
        match="30 examples in its split 'train'; .* release has 60000",
    ):
        open_dataset("nmnist", "train", nmnist_dir)
    with pytest.warns(UserWarning, match="holds 6 to 6 recordings a class"):
        open_dataset("cifar10_dvs", "train", cifar10_dvs_dir)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nmnist",
            "NMNIST/Train/0 holds no file .* Put Train.zip .* DATA_DIR/NMNIST",
        ),
        ("cifar10_dvs", "Put airplane.zip, .*cifar10_airplane_0.aedat4"),
        ("event_folder", "holds no class. .* DATA_DIR/CLASS"),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_missing_data(tmp_path, name, message, exists):
    folder = tmp_path if exists else tmp_path / "nowhere"
    with pytest.raises(ValueError, match=message):
        open_dataset(name, "train", folder)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("empty", [True, False])
def test_class_without_recordings(nmnist_dir, cifar10_dvs_dir, empty):
    digit = nmnist_dir / "NMNIST" / "Train" / "4"
    deer = cifar10_dvs_dir / "CIFAR10DVS" / "deer"
    for folder, name, match in (
        (digit, "nmnist", f"{digit} holds no file"),
        (
            deer,
            "cifar10_dvs",
            f"{deer} holds no file" if empty else f"{deer.parent} lacks deer",
        ),
    ):
        shutil.rmtree(folder)
        if empty:
            folder.mkdir()
        with pytest.raises(ValueError, match=match):
            open_dataset(name, "train", nmnist_dir)


@INCOMPLETE
def test_a_bad_recording_is_named_and_leaves_no_cache(nmnist_dir):
    bad = nmnist_dir / "NMNIST" / "Train" / "4" / "00001.bin"
    bad.write_bytes(bad.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{bad} is cut off"):
        open_dataset("nmnist", "train", nmnist_dir)
    assert not list((nmnist_dir / ".keras_tcl_cache").iterdir())


@INCOMPLETE
def test_sort_lets_a_clock_run_backwards(nmnist_dir):
    events = random_events(7)
    events[[3, 90]] = events[[90, 3]]
    write_nmnist(nmnist_dir / "NMNIST" / "Train" / "4" / "00001.bin", events)
    with pytest.raises(ValueError, match="Time runs backwards .*sort=True"):
        open_dataset("nmnist", "train", nmnist_dir)
    source = open_dataset("nmnist", "train", nmnist_dir, sort=True)
    assert source.read([13])[0].sum() == len(events)


def test_mixed_releases(cifar10_dvs_dir):
    folder = cifar10_dvs_dir / "CIFAR10DVS" / "cat"
    (folder / "cifar10_cat_5.aedat4").write_bytes(b"")
    with pytest.raises(ValueError, match="mixes .aedat4 and .aedat"):
        open_dataset("cifar10_dvs", "train", cifar10_dvs_dir)


@INCOMPLETE
def test_a_name_without_a_number(cifar10_dvs_dir):
    folder = cifar10_dvs_dir / "CIFAR10DVS" / "cat"
    write_aedat2(folder / "felix.aedat", random_events(0))
    with pytest.raises(ValueError, match="felix.aedat does not end in"):
        open_dataset("cifar10_dvs", "train", cifar10_dvs_dir)


@INCOMPLETE
def test_an_empty_split(tmp_path):
    for name in CLASSES:
        write_aedat2(
            tmp_path / name / f"cifar10_{name}_1.aedat", random_events(0)
        )
    with pytest.raises(ValueError, match="no examples"):
        open_dataset("cifar10_dvs", "test", tmp_path, split_rule="tet")


@pytest.mark.parametrize("name", NAMES)
def test_unknown_split(tmp_path, name):
    for label in ("0", "1"):
        (tmp_path / label).mkdir()
        np.save(tmp_path / label / "a.npy", random_events(0))
    with pytest.raises(ValueError, match=r"'train', 'test'.*split='val'"):
        open_dataset(name, "val", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_bad_framing_is_refused_before_any_file_is_sought(tmp_path, name):
    with pytest.raises(ValueError, match="binning='number'"):
        open_dataset(name, "train", tmp_path, binning="number")


def test_folder_of_mixed_resolutions(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    write_aedat2(tmp_path / "a" / "0.aedat", random_events(0))
    np.save(tmp_path / "b" / "0.npy", random_events(0, 500, (300, 300)))
    with pytest.raises(ValueError, match="outside the sensor of 128 x 128"):
        open_dataset("event_folder", "train", tmp_path)


def test_folder_of_unknown_resolution(tmp_path):
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "0.npy", random_events(0))
    with pytest.raises(ValueError, match="pass `sensor_size="):
        open_dataset("event_folder", "train", tmp_path)


@pytest.mark.parametrize(
    ("name", "tonic_name"),
    [("nmnist", "NMNIST"), ("cifar10_dvs", "CIFAR10DVS")],
)
def test_download(tmp_path, monkeypatch, name, tonic_name):
    called = []

    def fails(save_to, **options):
        called.append((save_to, options))
        raise urllib.error.URLError("no network")

    fake = types.ModuleType("tonic.datasets")
    setattr(fake, tonic_name, fails)
    monkeypatch.setitem(sys.modules, "tonic", types.ModuleType("tonic"))
    monkeypatch.setitem(sys.modules, "tonic.datasets", fake)
    with pytest.raises(ValueError, match="Put "):
        open_dataset(name, "test", tmp_path)
    assert not called
    with pytest.raises(ValueError, match="no network.*By hand: Put "):
        open_dataset(name, "test", tmp_path, download=True)
    options = {"train": False} if name == "nmnist" else {}
    assert called == [(str(tmp_path), options)]


def test_download_without_tonic(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(ImportError, match=r"pip install keras_tcl\[dvs\]"):
        open_dataset("nmnist", "test", tmp_path, download=True)


@pytest.mark.parametrize("name", NAMES)
def test_info(name):
    info = DATASETS[name].info
    assert info.name == name
    assert info.where
    if name != "event_folder":
        assert info.classes == len(info.class_names) == 10
        assert info.licence and info.citation
        assert info.shape[0] == 4 and info.shape[-1] == 2


def test_real_nmnist(tmp_path):
    folder = real("NMNIST/Test").parent.parent
    with pytest.warns(UserWarning, match="official release has 10000"):
        source = open_dataset("nmnist", "test", folder, cache_dir=tmp_path)
    x, y = source.read(np.arange(len(source)))
    recorded = sum(
        path.stat().st_size // 5 for path in folder.glob("NMNIST/Test/*/*.bin")
    )
    assert x.sum(dtype="float64") == recorded
    counts = x.sum(axis=(2, 3, 4))
    assert np.ptp(counts, axis=1).max() <= 1
    assert set(y.tolist()) == set(range(10))
