"""The command `keras-tcl-report`."""

import json
import os
import pathlib
import tomllib

import numpy as np
import pytest

import keras_tcl
from keras_tcl import report

pytest.importorskip("sklearn")  # The digits.
ROOT = pathlib.Path(keras_tcl.__file__).parents[1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A `.keras` file of a network for the digits."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    arguments = keras_tcl.data.info("digits").network_arguments()
    keras_tcl.sew_resnet([1], [4], **arguments).save(path)
    return path


def test_it_is_installed_under_its_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"keras-tcl-report": "keras_tcl.report:main"}


def test_of_a_file(saved, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out = tmp_path / "new" / "folder"
    report.main([str(saved), "--data", "digits", "--out", str(out)])
    printed = capsys.readouterr().out
    assert (out / "report.txt").read_text() == printed
    found = json.loads((out / "report.json").read_text())
    assert found["class_names"] == list("0123456789")
    model = keras_tcl.load_model(saved)
    test = keras_tcl.data.load("digits", "test")
    np.testing.assert_allclose(
        found["accuracy"], model.evaluate_timesteps(test)
    )
    assert (out / "report.png").read_bytes().startswith(b"\x89PNG")


def test_of_a_preset_at_fewer_steps(capsys):
    report.main(["digits", "--data", "digits", "--timesteps", "2"])
    printed = capsys.readouterr().out
    assert "t = 2" in printed and "t = 3" not in printed
    expected = keras_tcl.list_presets()["digits"]["results"]["accuracy"]
    line = next(k for k in printed.splitlines() if k.startswith("accuracy"))
    shown = [float(value) for value in line.split()[2:]]
    np.testing.assert_allclose(shown, 100 * np.array(expected[:2]), atol=0.3)


def test_of_a_folder_and_a_part_of_the_data(saved, tmp_path, capsys):
    keras_tcl.load_model(saved).save_to_preset(tmp_path / "mine")
    part = ["--split", "train[:50]", "--batch-size", "20"]
    report.main([str(tmp_path / "mine"), "--data", "digits", *part])
    assert capsys.readouterr().out.startswith("50 samples")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nothing", "--data", "digits"], "neither a file nor a preset"),
        (["digits", "--data", "digit"], "`name` must be one of"),
        (["digits", "--data", "digits", "--split", "testing"], "`split` must"),
        (["digits", "--data", "digits", "--timesteps", "-1"], "`timesteps`"),
        (["digits", "--data", "digits", "--timesteps", "0"], "timesteps=0"),
        (["{damaged}", "--data", "digits"], "is not a whole `.keras` file"),
    ],
)
def test_bad_input_ends_in_a_sentence(arguments, message, tmp_path, capsys):
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(b"no model")
    arguments = [a.format(damaged=damaged) for a in arguments]
    with pytest.raises(SystemExit) as caught:
        report.main(arguments)
    assert message in str(caught.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("out", ["file", "file/deep/er", "link", "locked/new"])
def test_no_folder_is_refused_before_the_work(out, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "locked").mkdir(0o500)
    if out == "locked/new" and os.access(tmp_path / "locked", os.W_OK):
        monkeypatch.setattr(
            os, "access", lambda path, mode: path != tmp_path / "locked"
        )
    monkeypatch.setattr(report, "_model", None)  # Nothing is opened.
    path = str(tmp_path / out)
    with pytest.raises(SystemExit) as caught:
        report.main(["digits", "--data", "digits", "--out", path])
    found = str(tmp_path / out.split("/")[0])
    assert "`--out` must be a folder" in str(caught.value)
    assert f"--out {path}, and {found!r}" in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
