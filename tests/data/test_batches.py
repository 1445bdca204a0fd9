"""The order of the examples: a function of seed and epoch."""

import gc
import threading
import time

import numpy as np
import pytest

from keras_tcl.data import ArraySource, Batches, DataInfo, Source

pytestmark = pytest.mark.once

INFO = DataInfo("mine", classes=7, shape=(1,))


def numbers(size=20):
    x = np.arange(size, dtype="int32").reshape(-1, 1)
    return ArraySource(INFO, x, np.arange(size) % 7)


def make(source=None, size=4, shuffle=True, seed=3, drop=True, **options):
    return Batches(source or numbers(), size, shuffle, seed, drop, **options)


def flat(batches):
    return np.concatenate([x[:, 0] for x, _ in batches])


def test_order_is_the_permutation_of_seed_and_epoch():
    batches = make()
    for epoch in range(3):
        expected = np.random.default_rng([3, epoch]).permutation(20)
        assert flat(batches).tolist() == expected.tolist()


def test_seeds_and_epochs_differ():
    orders = [tuple(make(seed=s).order(e)) for s in (0, 1) for e in (0, 1)]
    assert len(set(orders)) == 4


def test_labels_go_with_their_examples():
    for x, y in make():
        assert np.all(y == x[:, 0] % 7)


def test_without_shuffle_every_epoch_is_the_release_order():
    batches = make(shuffle=False)
    for _ in range(2):
        assert flat(batches).tolist() == list(range(20))


@pytest.mark.parametrize(
    "size, drop, lengths",
    [(6, True, [6, 6, 6]), (6, False, [6, 6, 6, 2]), (20, True, [20])],
)
def test_ragged_last_batch(size, drop, lengths):
    batches = make(size=size, drop=drop)
    assert [len(x) for x, _ in batches] == lengths
    assert len(batches) == len(lengths)


def test_a_pass_given_up_early_is_begun_again():
    batches = make()
    first = next(iter(batches))[0]
    for _, _ in zip(range(3), batches, strict=False):
        pass
    again = next(iter(batches))[0]
    assert np.array_equal(first, again)
    assert batches.epoch == 0


def test_a_pass_counts_when_its_last_batch_is_handed_out():
    batches = make()
    reader = iter(batches)
    for _ in range(len(batches)):  # As Keras does: no look beyond the end.
        next(reader)
    assert batches.epoch == 1


def test_passes_side_by_side_are_the_same_epoch():
    batches = make()
    for (x, _), (z, _) in zip(batches, batches, strict=True):
        assert np.array_equal(x, z)
    assert batches.epoch == 1


def test_initial_epoch_resumes():
    batches = make()
    passes = [flat(batches) for _ in range(3)]
    assert np.array_equal(flat(make(initial_epoch=2)), passes[2])


def test_read_by_position():
    batches = make(drop=False, size=6)
    for position, (x, _) in enumerate(batches.read_ahead(5)):
        assert np.array_equal(batches.read(5, position)[0], x)
    with pytest.raises(IndexError):
        batches.read(0, 4)


class Slow(Source):
    """Counts reads; the earlier an example, the slower."""

    def __init__(self, size):
        super().__init__(INFO, np.zeros(size), (1,), "int32")
        self.reads = 0
        self.lock = threading.Lock()

    def read(self, indices):
        with self.lock:
            self.reads += 1
        time.sleep(0.0005 * (len(self) - indices[0]))
        return np.asarray(indices)[:, None], self.labels[indices]


def test_threads_keep_the_order():
    assert flat(make(Slow(24), shuffle=False)).tolist() == list(range(24))


def test_threads_change_nothing():
    source = numbers()
    alone = [flat(make(source, drop=False)) for _ in range(2)]
    source.in_memory = False
    ahead = [flat(make(source, drop=False)) for _ in range(2)]
    assert np.array_equal(alone, ahead)


def test_reading_ahead_is_bounded_and_stops():
    source = Slow(400)
    reader = iter(make(source, size=1))
    next(reader)
    time.sleep(0.3)
    assert source.reads <= 10  # At most 8 threads, and 2.
    threads = threading.active_count()
    reader.close()
    gc.collect()
    reads = source.reads
    time.sleep(0.3)
    assert source.reads <= reads + 8
    assert threading.active_count() <= threads


def test_an_error_while_reading_reaches_the_caller():
    class Broken(Slow):
        def read(self, indices):
            raise ValueError("shelf 7 is on fire")

    with pytest.raises(ValueError, match="shelf 7"):
        list(make(Broken(20)))


@pytest.mark.parametrize(
    "options",
    [
        {"size": 0},
        {"size": 2.0},
        {"size": True},
        {"seed": -1},
        {"seed": None},
        {"initial_epoch": -1},
    ],
)
def test_bad_numbers(options):
    with pytest.raises(ValueError, match="must be an integer of at least"):
        make(**options)


def test_no_whole_batch():
    with pytest.raises(ValueError, match="No whole batch of 21"):
        make(size=21)
    assert len(make(size=21, drop=False)) == 1
