"""Two processes train as one does, on every backend."""

import keras
import numpy as np
import pytest

from keras_tcl.distribution import Process, arguments
from keras_tcl.training import fingerprint
from tests.distribution import launch

pytestmark = pytest.mark.slow
BACKEND = keras.config.backend()
# The last batch has three samples, two of process 0. JAX divides evenly.
UNEVEN = 36 if BACKEND == "jax" else 35


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def check_equal(tmp_path, devices=1, **settings):
    (alone,) = launch.run(tmp_path / "one", 1, **settings)
    both = launch.run(tmp_path / "two", 2, virtual=devices, **settings)
    assert alone[0] == 0, alone[1]
    batches = np.array_split(alone[2]["predicted"], range(8, 36, 8))
    for index, (code, text, results) in enumerate(both):
        assert code == 0, text
        launch.check_equal(alone[2], results)
        for name in ("history", "results"):  # The same in all processes.
            assert results[name] == both[0][2][name]
        # Each process predicts its part of each batch.
        own = [np.array_split(batch, 2)[index] for batch in batches]
        np.testing.assert_allclose(
            results["predicted"], np.concatenate(own), atol=1e-5
        )


def test_a_contrast_of_two_views_with_clipping(tmp_path):
    check_equal(tmp_path, size=UNEVEN, optimizer="clipped")


def test_epochs_of_another_order_each(tmp_path):
    # On PyTorch, each device has a process of its own.
    devices = 1 if BACKEND == "torch" else 2
    settings = {"epochs": 3, "shuffle": True, "loss": "TCL", "monitor": True}
    check_equal(tmp_path, devices, size=36, **settings)


def test_event_frames_by_plain_arrays(tmp_path):
    check_equal(
        tmp_path, family="vgg", events=True, loss="TCL", arrays=True, size=20
    )


@pytest.mark.parametrize(
    "fault, words",
    [
        ("nan", "NaN or infinite"),
        ("data", "All processes must have the same settings"),
        ("batch_size", "batch size 8"),
    ],
)
def test_all_processes_are_told_of_what_one_was_given(tmp_path, fault, words):
    both = launch.run(tmp_path, 2, size=16, fault=fault, loss="TCL")
    assert all(code for code, _, _ in both)
    told = [words in text for _, text, _ in both]
    # JAX aborts a process whose peer has ended, maybe before it can say why.
    assert any(told) if BACKEND == "jax" else all(told)


def test_a_network_of_other_settings_is_refused(tmp_path):
    both = launch.run(tmp_path, 2, changes={"threshold": 0.5})
    assert all(code for code, _, _ in both)
    text = "".join(text for _, text, _ in both)
    assert "All processes must have the same settings" in text
    assert '"threshold": 0.5' in text and '"threshold": 1.0' in text


def test_arrays_are_divided_in_an_evaluation_within_fit(tmp_path):
    settings = {"size": 16, "loss": "TCL", "evaluate": True}
    if BACKEND == "tensorflow":
        pytest.skip("Keras' loop of TensorFlow divides them itself.")
    (alone,) = launch.run(tmp_path / "one", 1, **settings)
    both = launch.run(tmp_path / "two", 2, **settings)
    for code, text, found in both:
        assert code == 0, text
        own, expected = found["history"]["own"], alone[2]["history"]["own"]
        np.testing.assert_allclose(own, expected, 1e-4)


def test_facts_are_those_of_no_process_alone():
    class Own(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred[:, 0]

        def get_config(self):
            return {"function": lambda x: x, "object": object()}

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    for loss in ("sparse_categorical_crossentropy", Own()):
        model.compile(keras.optimizers.SGD(0.25), loss)
        facts = fingerprint.of_fit(model, {"x": np.ones((4, 3)), "epochs": 2})
        assert "0x" not in repr(facts)
        assert "0.25" in facts["optimizer"] and facts["epochs"] == 2
    other = fingerprint.of_fit(model, {"x": np.zeros((4, 3)), "epochs": 2})
    assert other["data"] != facts["data"]


def test_the_first_process_alone_writes(tmp_path):
    writer = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    stops = keras.callbacks.EarlyStopping()
    for index, here in ((0, [writer, stops]), (1, [stops])):
        for made in ([writer, stops], keras.callbacks.CallbackList()):
            given = {"callbacks": made}
            if isinstance(made, keras.callbacks.CallbackList):
                made.callbacks = [writer, stops]
            with arguments.first_reports(given, Process(index, 2), None):
                seen = given["callbacks"]
                assert getattr(seen, "callbacks", seen) == here
            assert getattr(made, "callbacks", made) == [writer, stops]


@pytest.mark.skipif(BACKEND == "torch", reason="PyTorch restores all of them")
def test_a_restoration_of_one_process_is_refused(tmp_path):
    given = {"callbacks": keras.callbacks.BackupAndRestore(tmp_path)}
    with (
        pytest.raises(ValueError, match="BackupAndResume"),
        arguments.first_reports(given, Process(1, 2), None),
    ):
        pass


@pytest.mark.parametrize("index", [0, 1])
def test_a_process_that_dies_is_named(tmp_path, index):
    settings = {"crops": True, "epochs": 2, "shuffle": True, "loss": "TCL"}
    settings["backup"] = str(tmp_path / "backup")
    ends = launch.run(tmp_path, 2, fault="death", of=index, **settings)
    dead, (code, text, _) = ends[index], ends[1 - index]
    assert dead[0] == -9
    assert code
    if BACKEND == "jax" and "leader task" in text:
        assert index == 0  # JAX aborts at once where the first one has ended.
    else:
        assert f"Process {index} (" in text
        assert "has ended, and this one" in text
    assert f"Process {1 - index} (" not in text
    if index == 1:
        check_resumed(tmp_path, "0 epoch(s) and ", settings)


def test_a_data_set_of_ones_own_resumes_after_an_epoch(tmp_path):
    settings = {"own_data": True, "crops": True, "epochs": 2}
    settings["backup"] = str(tmp_path / "backup")
    ends = launch.run(tmp_path, 2, fault="death", after=1, **settings)
    assert [bool(code) for code, _, _ in ends] == [True, True]
    check_resumed(tmp_path, "1 epoch(s) are done", settings)


def test_folders_of_their_own_are_refused(tmp_path):
    """Such as disks of two hosts: no process would find the other's part."""
    own = [str(tmp_path / "one"), str(tmp_path / "two")]
    both = launch.run(tmp_path, 2, backup=own[0], changes={"backup": own[1]})
    for code, text, _ in both:
        assert code and "1 process(es) do not see" in text


@pytest.mark.parametrize("whole", ["calibrate", "report"])
def test_what_is_made_of_a_part_is_refused(tmp_path, whole):
    """It would differ from process to process."""
    for code, text, _ in launch.run(tmp_path, 2, whole=whole):
        assert code and "each of 2 processes has a part" in text


def check_resumed(tmp_path, words, settings):
    """Started again, they end as if nothing had happened."""
    resumed = launch.run(tmp_path, 2, **settings)
    settings["backup"] = None
    whole = launch.run(tmp_path / "whole", 2, **settings)
    for (code, text, found), (_, _, expected) in zip(
        resumed, whole, strict=True
    ):
        assert code == 0, text
        assert words in text
        assert launch.difference(found, expected) == 0
        assert found["history"] == expected["history"]
        # Of all, whatever a process was given.
        np.testing.assert_array_equal(
            found["timesteps"], resumed[0][2]["timesteps"]
        )


@pytest.mark.skipif(BACKEND == "jax", reason="a variable is one array there")
def test_frozen_weights_stay_to_the_bit(tmp_path):
    """Three shares: a sum of thirds is not what it was."""
    settings = {"all_frozen": True, "loss": "TET", "size": 18, "batch_size": 9}
    if BACKEND == "torch":
        (alone,) = launch.run(tmp_path / "one", 1, **settings)
        code, text, found = launch.run(tmp_path / "three", 3, **settings)[1]
        assert code == 0, text
        alone = alone[2]
    else:
        alone, found = launch.on_devices(tmp_path, [1, 3], **settings)
    moved = 0
    for name, one, other in zip(
        alone["names"], alone["weights"], found["weights"], strict=True
    ):
        if name.endswith(("kernel", "gamma")) and "classifier" not in name:
            np.testing.assert_array_equal(one, other, name)
        elif "classifier" in name:
            moved += np.abs(one).sum()
    assert moved
