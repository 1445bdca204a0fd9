"""Presets: folders written and read, and the ones that are shipped."""

import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_tcl
from keras_tcl.losses import TCL
from keras_tcl.models import presets
from tests.models import tiny

ROOT = pathlib.Path(keras_tcl.__file__).parents[1]
GOLDEN = pathlib.Path(__file__).parent / "golden" / "presets"
FILES = ["README.md", "config.json", "metadata.json", "model.weights.h5"]
SHIPPED = keras_tcl.list_presets()


@pytest.fixture
def preset(tmp_path):
    """The folder of a preset, and the model that it was written from."""
    model = tiny.network(augmenter=keras_tcl.augmentation.RandomCrop(2))
    model.save_to_preset(tmp_path / "tiny")
    return tmp_path / "tiny", model


def logits(model, count=6):
    return model.predict_timesteps(tiny.images(count)[0])


def changed(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def signed(folder):
    """Has the checksum of what the configuration is now."""
    facts = json.loads((folder / "metadata.json").read_text())
    changed(
        folder / "metadata.json",
        sha256={**facts["sha256"], **presets.checksums(folder)},
    )


def nothing_changed(folder, before):
    return {p.name: p.read_bytes() for p in folder.iterdir()} == before


# --- Written and read ---------------------------------------------------------


def test_round_trip_of_a_trained_model(tmp_path):
    model = tiny.network(augmenter=keras_tcl.augmentation.RandomCrop(2))
    model.compile(keras.optimizers.SGD(0.05, 0.9), TCL())
    x, y = tiny.images()
    model.fit(x, y, batch_size=6, verbose=0)
    model.timesteps = 2
    before = [keras.ops.convert_to_numpy(v) for v in model.variables]
    model.save_to_preset(tmp_path / "deep" / "tiny")
    after = [keras.ops.convert_to_numpy(v) for v in model.variables]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    expected = logits(model)
    # Its optimizer and heads are as they were.
    model.fit(x, y, batch_size=6, verbose=0)
    folder = tmp_path / "deep" / "tiny"
    assert sorted(p.name for p in folder.iterdir()) == FILES
    loaded = keras_tcl.TCLModel.from_preset(folder)
    assert type(loaded) is keras_tcl.TCLModel and not loaded.compiled
    assert loaded.timesteps == 2 and loaded.augmenter.padding == 2
    assert loaded.embedding_stages == model.embedding_stages
    np.testing.assert_array_equal(logits(loaded), expected)
    loaded.compile("sgd", TCL())
    loaded.fit(x, y, batch_size=6, verbose=0)


def test_the_file_has_the_network_alone(tmp_path):
    """So it fits whatever the loss and the augmenter are."""
    model = tiny.network(augmenter=keras_tcl.augmentation.RandomCrop(2))
    model.compile("sgd", TCL())
    model.save_to_preset(tmp_path / "tiny")
    path = tmp_path / "tiny" / "model.weights.h5"
    count = []
    with h5py.File(path) as file:
        assert not {"augmenter", "optimizer"} & set(file)
        file.visititems(
            lambda _, item: (
                count.append(item.size) if hasattr(item, "size") else None
            )
        )
    assert sum(count) == model.network.count_params()
    for augmenter in ("auto", None, keras_tcl.augmentation.RandomCrop(1)):
        other = tiny.network(augmenter=augmenter, weights=str(path))
        np.testing.assert_allclose(logits(other), logits(model), atol=1e-5)


def test_events_and_a_neuron_of_ones_own(tmp_path):
    model = tiny.network(
        input_shape=(None, 8, 8, 2), neuron=keras_tcl.layers.PLIF()
    )
    model.save_to_preset(tmp_path / "events")
    loaded = keras_tcl.TCLModel.from_preset(str(tmp_path / "events"))
    x, _ = tiny.recordings(4)
    np.testing.assert_allclose(
        loaded.predict_timesteps(x), model.predict_timesteps(x), atol=1e-5
    )
    card = (tmp_path / "events" / "README.md").read_text()
    assert "| input | 8x8x2, event counts |" in card


def test_without_weights(preset):
    folder, model = preset
    (folder / "model.weights.h5").unlink()
    loaded = keras_tcl.TCLModel.from_preset(folder, load_weights=False)
    assert loaded.output_shape == model.output_shape
    assert np.abs(logits(loaded) - logits(model)).max() > 1e-3


def test_metadata_and_card(preset, tmp_path):
    folder, model = preset
    facts = json.loads((folder / "metadata.json").read_text())
    assert facts["keras_version"] == keras.__version__
    assert facts["keras_tcl_version"] == keras_tcl.__version__
    assert facts["backend"] == keras.config.backend()
    assert facts["parameter_count"] == keras_tcl.models.count_parameters(model)
    assert (facts["classes"], facts["timesteps"]) == (3, 3)
    assert facts["sample_shape"] == [8, 8, 1]
    assert "## Results" not in (folder / "README.md").read_text()
    # A card is the user's; facts are not.
    (folder / "README.md").write_text("mine")
    (folder / "notes.txt").write_text("mine too")
    model.save_to_preset(
        folder, {"description": "Tiny.", "parameter_count": -1}
    )
    assert (folder / "README.md").read_text() == "mine"
    assert (folder / "notes.txt").read_text() == "mine too"
    again = json.loads((folder / "metadata.json").read_text())
    assert again["description"] == "Tiny."
    assert again["parameter_count"] == facts["parameter_count"]
    card = keras_tcl.models.model_card(again, "tiny")
    assert "\nTiny.\n" in card


# --- What is refused ----------------------------------------------------------


class Unregistered(keras_tcl.layers.LIF):
    """A neuron that a reader of the file would not know."""


@pytest.mark.parametrize(
    "kind",
    ["class", "lambda", "metadata", "text", "surrogate", "nested", "file"],
)
def test_what_could_not_be_read_is_not_written(kind, tmp_path):
    folder, metadata = tmp_path / "tiny", None
    model = tiny.network()
    if kind == "class":
        model = tiny.network(neuron=Unregistered())
        match = "uses 'Unregistered'.*register_keras_serializable"
    elif kind == "lambda":
        x = keras.Input((8, 8, 1))
        doubled = keras.layers.Lambda(lambda x: x * 2)(x)
        model = keras_tcl.TCLModel(
            keras.Model(x, model.network(doubled)), augmenter=None
        )
        match = "Python code"
    elif kind == "metadata":
        metadata, match = {"shape": np.arange(3)}, "what JSON knows"
    elif kind == "text":
        metadata, match = "SGD 0.1", "must be a dictionary.*'SGD 0.1'"
    elif kind == "surrogate":
        metadata, match = {"recipe": "\ud800"}, "what JSON knows"
    elif kind == "nested":
        metadata, match = {"recipe": []}, "what JSON knows"
        for _ in range(100_000):
            metadata["recipe"] = [metadata["recipe"]]
    else:
        folder.write_text("mine")
        match = "is a file"
    with pytest.raises(ValueError, match=match):
        model.save_to_preset(folder, metadata)
    if kind == "file":
        assert folder.read_text() == "mine"
    else:
        assert not folder.exists()


def damage(folder, kind):
    """Spoils a preset; returns what the error is to say."""
    config, weights = folder / "config.json", folder / "model.weights.h5"
    if kind in FILES:
        (folder / kind).unlink()
        return kind
    if kind == "truncated config":
        config.write_bytes(config.read_bytes()[:500])
        return "config.json: "
    if kind == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:4000])
        return "model.weights.h5 is not what metadata.json"
    if kind == "a flipped bit":
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
        return "model.weights.h5 is not what metadata.json"
    if kind == "without a checksum":
        changed(folder / "metadata.json", sha256=None)
        return "has no checksum"
    if kind == "a list":
        (folder / "metadata.json").write_text("[1, 2]")
        return "metadata.json is no dictionary"
    if kind == "nested":
        config.write_text("[" * 100_000)
        return "config.json: "
    if kind == "another library":
        changed(
            config,
            module="keras_hub.src.models.resnet",
            class_name="ResNetBackbone",
            registered_name="keras_hub>ResNetBackbone",
        )
        return "uses 'keras_hub>ResNetBackbone'"
    if kind == "no names":
        changed(config, class_name=["a"], registered_name={"b": 1})
        return "which is neither Keras' nor registered"
    if kind == "empty":
        config.write_text("{}")
        return "it is no TCLModel"
    if kind == "a plain model":
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        config.write_text(
            json.dumps(keras.saving.serialize_keras_object(model))
        )
        return "it is no TCLModel"
    text = config.read_text()
    if kind == "a class of Python":
        config.write_text(
            text.replace("keras_tcl.layers.lif", "subprocess")
            .replace('"LIF"', '"Popen"')
            .replace("keras_tcl>LIF", "Popen")
        )
        return "uses 'Popen'"
    if kind == "a lambda":
        wrapped = json.loads(text)
        wrapped["config"]["augmenter"] = {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {"function": {"class_name": "__lambda__", "config": {}}},
            "registered_name": None,
        }
        config.write_text(json.dumps(wrapped))
        return "Python code"
    assert kind == "a setting out of range"
    config.write_text(text.replace('"timesteps": 3', '"timesteps": -3'))
    return "`timesteps` must be"


FOREIGN = [
    "another library",
    "no names",
    "empty",
    "a plain model",
    "a class of Python",
    "a lambda",
    "a setting out of range",
]


@pytest.mark.parametrize(
    "kind",
    [
        *FILES[1:],
        "truncated config",
        "truncated weights",
        "a flipped bit",
        "without a checksum",
        "a list",
        "nested",
        *FOREIGN,
    ],
)
def test_damaged_and_foreign_folders(preset, kind):
    folder, _ = preset
    expected = damage(folder, kind)
    if kind in FOREIGN:  # Refused for what it says, of whatever checksum.
        signed(folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(ValueError) as caught:
        keras_tcl.TCLModel.from_preset(folder)
    assert expected in str(caught.value)
    assert str(folder) in str(caught.value)
    assert nothing_changed(folder, before)


EDITS = {
    "decay": ('"decay": 0.5', '"decay": 0.6'),
    "connection": ('"connection": "add"', '"connection": "and"'),
    "value range": (" 255.0\n", " 128.0\n"),
}


@pytest.mark.parametrize("load_weights", [True, False])
@pytest.mark.parametrize("kind", EDITS)
def test_another_network_of_equal_shapes(preset, kind, load_weights):
    folder, model = preset
    config, (old, new) = folder / "config.json", EDITS[kind]
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=r"config.json is not what metadata"):
        keras_tcl.TCLModel.from_preset(folder, load_weights)
    # The test can fail: without a checksum, it is loaded, and is another.
    facts = json.loads((folder / "metadata.json").read_text())
    del facts["sha256"]["config.json"]
    changed(folder / "metadata.json", sha256=facts["sha256"])
    loaded = keras_tcl.TCLModel.from_preset(folder)
    assert np.abs(logits(loaded) - logits(model)).max() > 1e-4


def test_of_before_the_configuration_had_a_checksum(preset):
    folder, model = preset
    facts = json.loads((folder / "metadata.json").read_text())
    assert list(facts["sha256"]) == ["model.weights.h5", "config.json"]
    del facts["sha256"]["config.json"]
    changed(folder / "metadata.json", sha256=facts["sha256"])
    loaded = keras_tcl.TCLModel.from_preset(folder)
    np.testing.assert_array_equal(logits(loaded), logits(model))
    facts["sha256"]["config.json"] = None  # That is no checksum, and not none.
    changed(folder / "metadata.json", sha256=facts["sha256"])
    with pytest.raises(ValueError, match="config.json is not what"):
        keras_tcl.TCLModel.from_preset(folder)


def test_ends_of_lines_are_no_edit(preset):
    """Git may write them as the system does."""
    folder, model = preset
    config = folder / "config.json"
    config.write_bytes(config.read_bytes().replace(b"\n", b"\r\n"))
    loaded = keras_tcl.TCLModel.from_preset(folder)
    np.testing.assert_array_equal(logits(loaded), logits(model))


def test_safe_though_keras_is_told_not_to_be(preset):
    folder, _ = preset
    damage(folder, "a lambda")
    signed(folder)
    keras.config.enable_unsafe_deserialization()
    try:
        with pytest.raises(ValueError, match="Python code"):
            keras_tcl.TCLModel.from_preset(folder)
    finally:
        keras.utils.clear_session()


def test_class(preset):
    """Of a subclass, registered or not, and of its parent."""
    folder, _ = preset

    class Mine(keras_tcl.TCLModel):
        pass

    with pytest.raises(ValueError, match="it is no Mine"):
        Mine.from_preset(folder)
    with pytest.raises(ValueError, match="uses 'Mine'.*nor registered"):
        Mine(tiny.network().network).save_to_preset(folder)
    keras.saving.register_keras_serializable("tests")(Mine)
    Mine(tiny.network().network).save_to_preset(folder)
    assert type(keras_tcl.TCLModel.from_preset(folder)) is Mine


@pytest.mark.parametrize("name", ["nothing", 3, None, "hf://user/digits"])
def test_no_preset_of_this_name(name):
    with pytest.raises(ValueError, match="is neither") as caught:
        keras_tcl.TCLModel.from_preset(name)
    assert str(list(SHIPPED)) in str(caught.value)


# --- weights="name" -----------------------------------------------------------


@pytest.fixture
def shipped(monkeypatch, tmp_path):
    """A tiny network as if it came with the package."""
    arguments = {
        "stackwise_num_blocks": [1, 1],
        "stackwise_num_filters": [8, 16],
        "input_shape": [8, 8, 1],
        "classes": 3,
        "timesteps": 3,
        "value_range": [0, 100],
        "mean": [0.3],
    }
    model = keras_tcl.sew_resnet(**arguments)
    model.save_to_preset(
        tmp_path / "small",
        {"network": "sew_resnet", "arguments": arguments},
    )
    monkeypatch.setattr(presets, "SHIPPED", tmp_path)
    return model


def by_name(**arguments):
    return keras_tcl.sew_resnet([1, 1], [8, 16], weights="small", **arguments)


def test_a_name_brings_its_arguments(shipped):
    for model in (
        by_name(),
        by_name(classes=3, input_shape=(8, 8, 1), value_range=(0, 100.0)),
        by_name(mean=np.array([0.3]), augmenter=None, name="mine"),
        keras_tcl.TCLModel.from_preset("small"),
    ):
        assert model.value_range == (0, 100) and model.timesteps == 3
        np.testing.assert_array_equal(logits(model), logits(shipped))
    assert by_name(timesteps=2).timesteps == 2
    np.testing.assert_allclose(
        logits(by_name(timesteps=2)), logits(shipped)[:, :2], atol=1e-5
    )
    assert by_name(dtype="mixed_bfloat16").dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize(
    "other",
    [
        {"classes": 7},
        {"input_shape": (16, 16, 1)},
        {"input_shape": (3, 8, 8, 1)},
        {"value_range": (0, 255)},
        {"mean": 0.5},
        {"connection": "and"},
        {"neuron": keras_tcl.layers.PLIF()},
    ],
    ids=lambda other: f"{next(iter(other))}",
)
@pytest.mark.usefixtures("shipped")
def test_arguments_of_another_network_are_refused(other):
    (name,) = other
    with pytest.raises(ValueError, match=rf"was trained with {name}=.*skip_mi"):
        by_name(**other)


def test_what_fits_on_request(shipped):
    with pytest.warns(UserWarning, match="dense"):
        seven = by_name(classes=7, skip_mismatch=True)
    assert seven.classes == 7 and seven.value_range == (0, 100)
    stem = [m.network.weights[0] for m in (seven, shipped)]
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, stem))
    larger = by_name(input_shape=(16, 16, 1), skip_mismatch=True)
    assert larger.input_shape == (None, 16, 16, 1)


@pytest.mark.usefixtures("shipped")
def test_names_that_are_none(tmp_path):
    for weights, found in [
        ("smal", "no file, and no preset"),
        (str(tmp_path), "is a folder"),
    ]:
        with pytest.raises(ValueError, match=rf"\['small'\].*{found}"):
            keras_tcl.sew_resnet([1], [4], weights=weights)
    with pytest.raises(ValueError, match=r"are \[\].*another network, sew_res"):
        keras_tcl.sew_resnet8(weights="small")
    with pytest.raises(ValueError, match="Received: weights=5"):
        keras_tcl.sew_resnet8(weights=5)
    with pytest.raises(ValueError, match="There is no file 'no.weights.h5'"):
        keras_tcl.sew_resnet8(weights="no.weights.h5")


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("kind", ["a flipped bit", "another library"])
def test_a_damaged_file_of_the_package(tmp_path, kind):
    damage(tmp_path / "small", kind)
    with pytest.raises(ValueError, match="not a whole preset"):
        by_name()


def test_a_name_may_be_a_path(shipped):
    name = pathlib.Path("small")
    model = keras_tcl.sew_resnet([1, 1], [8, 16], weights=name)
    np.testing.assert_array_equal(logits(model), logits(shipped))
    with pytest.raises(ValueError, match=r"another network, sew_resnet"):
        keras_tcl.sew_resnet8(weights=name)
    with pytest.raises(ValueError, match=r"trained with classes=3"):
        keras_tcl.sew_resnet([1, 1], [8, 16], weights=name, classes=7)


# --- Those that are shipped ---------------------------------------------------


def test_list():
    assert {"cifar10", "digits", "nmnist"} <= set(SHIPPED)
    assert list(keras_tcl.list_presets("sew_resnet8")) == list(SHIPPED)
    assert keras_tcl.list_presets("sew_resnet18") == {}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_preset_says_the_same_everywhere(name):
    """Golden logits, written under one backend, and both ways to open it."""
    facts, golden = SHIPPED[name], np.load(GOLDEN / f"{name}.npz")
    x, expected = golden["x"], golden["logits"]
    assert np.ptp(expected, axis=-1).min() > 0.1
    opened = keras_tcl.TCLModel.from_preset(name)
    built = keras_tcl.create_model(facts["network"], weights=name)
    for model in (opened, built):
        found = model.predict_timesteps(x)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        assert model.classes == facts["classes"]
    assert opened.value_range == built.value_range
    assert opened.input_shape == built.input_shape
    assert opened.timesteps == built.timesteps


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files(name):
    """Small, whole, and a card in which no number was typed."""
    folder = presets.SHIPPED / name
    assert sorted(p.name for p in folder.iterdir()) == FILES
    assert sum(p.stat().st_size for p in folder.iterdir()) < 1e6
    assert SHIPPED[name]["sha256"] == presets.checksums(folder)
    card = (folder / "README.md").read_text("utf-8")
    assert card == keras_tcl.models.model_card(SHIPPED[name], name)
    facts = SHIPPED[name]
    assert "dirty" not in facts["origin"]["commit"]
    for accuracy in facts["results"]["accuracy"]:
        assert f"| {100 * accuracy:.1f} |" in card
    assert facts["data"]["licence"] in card


def test_digits_are_read():
    pytest.importorskip("sklearn")
    model = keras_tcl.sew_resnet8(weights="digits")
    test = keras_tcl.data.load("digits", "test")
    accuracy = model.evaluate_timesteps(test)
    expected = SHIPPED["digits"]["results"]["accuracy"]
    np.testing.assert_allclose(accuracy, expected, atol=1 / 360)


@pytest.mark.once
@pytest.mark.slow
def test_presets_are_in_the_wheel_and_in_the_sdist(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "keras_tcl", tmp_path / "keras_tcl")
    code = (
        "from setuptools import build_meta as build;"
        "build.build_wheel('out'); build.build_sdist('out')"
    )
    (tmp_path / "out").mkdir()
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("out/*.whl")
    (sdist,) = tmp_path.glob("out/*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {n.partition("/")[2] for n in archive.getnames()}
    for name in SHIPPED:
        files = {f"keras_tcl/presets/{name}/{file}" for file in FILES}
        assert files <= in_wheel and files <= in_sdist
