"""Micro-batches in each of several processes, or on several devices."""

import keras
import pytest

from tests.distribution import launch

pytestmark = pytest.mark.slow
BACKEND = keras.config.backend()


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_contrast_is_that_of_all(tmp_path):
    """Of one device's batch as a whole: the last one has 6 samples."""
    settings = {"size": 22, "frozen": True, "optimizer": "clipped"}
    cached = settings | {"micro_batch_size": 2}
    if BACKEND == "torch":
        (alone,) = launch.run(tmp_path / "one", 1, **settings)
        both = launch.run(tmp_path / "two", 2, **cached)
        for code, text, _ in (alone, *both):
            assert code == 0, text
        for _, _, results in both:
            launch.check_equal(alone[2], results)
        return
    (alone,) = launch.on_devices(tmp_path, [1], **settings)
    (both,) = launch.on_devices(tmp_path, [2], **cached)
    launch.check_equal(alone, both)


@pytest.mark.skipif(BACKEND != "torch", reason="PyTorch's processes")
def test_processes_must_take_as_many(tmp_path):
    """The last batch has 3 samples: two micro-batches, and one."""
    both = launch.run(tmp_path, 2, size=11, micro_batch_size=1)
    for code, text, _ in both:
        assert code and "must take the same micro-batches" in text
