"""Several processes share each batch: every example once, none for two."""

import numpy as np
import pytest

import keras_tcl
from keras_tcl.data import Batches
from tests.data.test_batches import flat, make, numbers

pytestmark = pytest.mark.once


def shards(count, **options):
    return [make(shard=(index, count), **options) for index in range(count)]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    "size, batch_size, count",
    # Even; an even last batch; an uneven one; as many shards as examples.
    [(24, 12, 3), (22, 12, 2), (29, 12, 3), (28, 8, 4)],
)
def test_every_example_once_in_each_epoch(size, batch_size, count, shuffle):
    options = {"size": batch_size, "drop": False, "shuffle": shuffle}
    parts = shards(count, source=numbers(size), **options)
    whole = make(numbers(size), **options)
    for epoch in range(3):
        assert len({len(part) for part in parts}) == 1
        assert len(parts[0]) == len(whole)
        seen = np.concatenate([flat(part) for part in parts])
        assert sorted(seen.tolist()) == list(range(size))
        assert all(part.epoch == epoch + 1 for part in parts)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_parts_in_a_row_are_the_batch_whatever_their_number(count):
    parts = shards(count, source=numbers(60), size=12, drop=False)
    whole = make(numbers(60), size=12, drop=False)
    for position, (x, y) in enumerate(whole):
        of_parts = [part.read(0, position) for part in parts]
        assert {len(y) for _, y in of_parts} == {12 // count}
        assert np.array_equal(np.concatenate([x for x, _ in of_parts]), x)
        assert np.array_equal(np.concatenate([y for _, y in of_parts]), y)
        for part, (x, _) in zip(parts, of_parts, strict=True):
            assert np.array_equal(part.indices(0, position), x[:, 0])


def test_what_does_not_divide_goes_to_the_first_shards():
    parts = shards(3, source=numbers(17), size=12, drop=False)
    assert [[len(y) for _, y in part] for part in parts] == [
        [4, 2],
        [4, 2],
        [4, 1],
    ]


def test_dropping_the_remainder_drops_the_same_of_all():
    parts = shards(3, source=numbers(13), size=12, drop=True)
    seen = np.concatenate([flat(part) for part in parts])
    assert [[len(y) for _, y in part] for part in parts] == [[4]] * 3
    whole = make(numbers(13), size=12, drop=True)
    assert np.array_equal(seen, flat(whole))


def test_a_pass_may_begin_at_a_step():
    whole = [y.tolist() for _, y in make()]
    batches = make()
    batches.step = 3
    assert [y.tolist() for _, y in batches] == whole[3:]
    assert (batches.epoch, batches.step) == (1, 0)
    rest = list(make().read_ahead(0, 2))
    assert [y.tolist() for _, y in rest] == whole[2:]


def test_load_takes_a_shard():
    whole = keras_tcl.data.load("digits", "train[:400]", 64)
    half = keras_tcl.data.load("digits", "train[:400]", 64, shard=(1, 2))
    assert isinstance(half, Batches) and half.shard == (1, 2)
    assert len(half) == len(whole) == 7
    assert np.array_equal(half[0][0], whole[0][0][32:])


@pytest.mark.parametrize(
    "shard", [(2, 2), (-1, 2), (0, 0), 2, (0,), (0, 1, 2), (0.0, 2), "01"]
)
def test_no_such_shard(shard):
    with pytest.raises(ValueError, match="pair of integers .*Received: shard="):
        make(shard=shard)


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="divide by 3, such as 3 or 6.*=4"):
        make(shard=(0, 3))
    with pytest.raises(ValueError, match="such as 8. Received"):
        make(shard=(0, 8))


def test_a_last_batch_without_one_for_each_is_refused():
    options = {"source": numbers(13), "size": 12}
    with pytest.raises(ValueError, match=r"has 1 example\(s\), not one for e"):
        make(shard=(0, 3), drop=False, **options)
    assert len(make(shard=(0, 3), drop=True, **options)) == 1
