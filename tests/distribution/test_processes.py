"""Two processes train as one does, on every backend."""

import keras
import numpy as np
import pytest

from tests.distribution import launch

pytestmark = pytest.mark.slow
BACKEND = keras.config.backend()
# The last batch has three samples, two of process 0. JAX divides evenly.
UNEVEN = 36 if BACKEND == "jax" else 35


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def check_equal(tmp_path, **settings):
    (alone,) = launch.run(tmp_path / "one", 1, **settings)
    both = launch.run(tmp_path / "two", 2, **settings)
    assert alone[0] == 0, alone[1]
    for code, text, results in both:
        assert code == 0, text
        assert launch.difference(alone[2], results) < 1e-5
        for name in ("history", "results"):
            # The same mapping of names to numbers, in all processes.
            assert results[name] == both[0][2][name]
            assert list(results[name]) == list(alone[2][name])
            for key, value in results[name].items():
                np.testing.assert_allclose(value, alone[2][name][key], 1e-4)
        np.testing.assert_array_equal(
            results["timesteps"], alone[2]["timesteps"]
        )


def test_a_contrast_of_two_views_with_clipping(tmp_path):
    check_equal(tmp_path, size=UNEVEN, optimizer="clipped")


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
    for code, text, _ in both:
        assert code == 1
        assert words in text.splitlines()[-1]


@pytest.mark.skipif(BACKEND != "torch", reason="the others have their own way")
def test_a_process_that_dies_is_named(tmp_path):
    (code, text, _), (dead, _, _) = launch.run(tmp_path, 2, fault="death")
    assert dead == -9
    assert code == 1
    assert "Process 1 (" in text.splitlines()[-1]
    assert "has ended" in text.splitlines()[-1]
