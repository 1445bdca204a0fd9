"""The script that trains the presets, at a size of seconds."""

import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")  # The digits.

import keras_tcl
from benchmarks import presets
from keras_tcl.losses import TCL
from tests.distribution import launch


@pytest.fixture(autouse=True)
def smaller(monkeypatch):
    recipe = dataclasses.replace(
        presets.RECIPES["digits"],
        loss=TCL,
        epochs=2,
        batch_size=128,
        warmup=0.3,
    )
    monkeypatch.setitem(presets.RECIPES, "digits", recipe)


def command(folder, *further):
    places = ("runs", "presets", "golden", "results")
    paths = [w for p in places for w in (f"--{p}", str(folder / p))]
    return ["digits", *paths, *further]


def results(folder):
    return [
        json.loads(k) for k in (folder / "results").read_text().split("\n")[:-1]
    ]


def test_one_command_makes_a_preset(tmp_path):
    presets.main(command(tmp_path))
    folder = tmp_path / "presets" / "digits"
    model = keras_tcl.TCLModel.from_preset(folder)
    golden = np.load(tmp_path / "golden" / "digits.npz")
    np.testing.assert_allclose(
        model.predict_timesteps(golden["x"]), golden["logits"], atol=1e-5
    )
    facts = json.loads((folder / "metadata.json").read_text())
    test = keras_tcl.data.load("digits", "test")
    np.testing.assert_allclose(
        facts["results"]["accuracy"], model.evaluate_timesteps(test)
    )
    energy = facts["results"]["energy"]
    rates = keras_tcl.analysis.firing_rates(model, test, by="model")["model"]
    macs = keras_tcl.models.count_macs(model)
    assert energy["operations"][0] == pytest.approx(macs * rates[0])
    assert energy["joules"][-1] == pytest.approx(0.9e-12 * macs * rates.sum())
    card = (folder / "README.md").read_text()
    assert card == keras_tcl.models.model_card(facts, "digits")
    for part in ("## Results", "## Data", "## Recipe", "## Origin", "## Lim"):
        assert part in card
    (line,) = results(tmp_path)
    assert line["tested_on"] == "test" and line["epochs"] == 2
    # A preset of its own arguments: a network of its name is the same.
    built = keras_tcl.create_model(facts["network"], **facts["arguments"])
    built.load_weights(folder / "model.weights.h5")
    np.testing.assert_allclose(
        built.predict_timesteps(golden["x"]), golden["logits"], atol=1e-5
    )


def test_resumes_where_it_was_interrupted(tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    presets.main(command(whole, "--hold-out"))

    def killed(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(presets.Clock, "on_epoch_begin", killed)
        presets.main(command(broken, "--hold-out"))
    presets.main(command(broken, "--hold-out"))
    (once,), (twice,) = results(whole), results(broken)
    assert once["accuracy"] == twice["accuracy"]
    assert once["tested_on"] == "train[90%:]"
    assert not (broken / "presets").exists()


def test_begins_with_the_preset_before(tmp_path, monkeypatch):
    recipe = dataclasses.replace(
        presets.RECIPES["digits"],
        begins_with="40 epochs.",
        l2=5e-5,
        rate=1e-3,
        epochs=1,
    )
    monkeypatch.setitem(presets.RECIPES, "digits", recipe)
    with pytest.raises(SystemExit):  # It was trained on these images.
        presets.main(command(tmp_path, "--hold-out"))
    presets.main(command(tmp_path))
    (line,) = results(tmp_path)
    assert min(line["accuracy"]) > 0.95  # One epoch alone: about 0.3.
    card = (tmp_path / "presets" / "digits" / "README.md").read_text()
    assert "| begins with | 40 epochs. |" in card and "L2 5e-05" in card
    assert "`python -m benchmarks.presets digits`" in card


def test_processes_share_the_batches(tmp_path):
    words = [sys.executable, "-m", "benchmarks.presets"]
    words += [*command(tmp_path, "--hold-out"), "--epochs", "1"]
    launch.all_of(words, 2, tmp_path)
    (line,) = results(tmp_path)  # One process has written.
    assert line["epochs"] == 1


def test_checksums_for_presets_from_before(tmp_path):
    """What has none gets one; nothing else changes, and nothing is hidden."""
    for name in ("digits", "nmnist"):
        shutil.copytree(presets.SHIPPED / name, tmp_path / name)
    metadata = tmp_path / "digits" / "metadata.json"
    whole = {p: p.read_bytes() for p in tmp_path.glob("*/*")}
    facts = json.loads(whole[metadata])
    del facts["sha256"]["config.json"]
    metadata.write_text(json.dumps(facts))
    presets.rewrite_checksums(tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.glob("*/*")} == whole
    metadata.write_text(json.dumps(facts))
    config = tmp_path / "nmnist" / "config.json"
    config.write_text("{}")
    with pytest.raises(ValueError, match=r"'config.json'.*nmnist"):
        presets.rewrite_checksums(tmp_path)
    assert json.loads(metadata.read_text()) == facts
