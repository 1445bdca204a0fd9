"""Sources, splits and batches: each example where it belongs, or a refusal."""

import pathlib
import tempfile

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from keras_tcl import data
from keras_tcl.data.splits import open_split, split_rows, stratified_order
from tests.generated.calls import assert_refused, calls
from tests.generated.values import anything, is_number

seeds = st.integers(0, 2**32 - 1)


def source_of(labels, classes=4):
    """An array whose pixel is the number of the example."""
    x = np.arange(len(labels), dtype="float32").reshape(-1, 1, 1, 1)
    info = data.DataInfo("mine", classes, (1, 1, 1))
    return data.ArraySource(info, x, labels)


some_labels = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@calls(
    500,
    labels=some_labels,
    batch_size=st.integers(1, 50),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**31),
    drop=st.booleans(),
    initial_epoch=st.integers(0, 5),
    peeks=st.lists(st.integers(-60, 60), max_size=3),
)
def test_every_epoch_has_every_example_once(
    labels, batch_size, shuffle, seed, drop, initial_epoch, peeks
):
    source = source_of(labels)

    def make():
        return data.Batches(
            source, batch_size, shuffle, seed, drop, initial_epoch
        )

    if drop and batch_size > len(labels):
        assert_refused(make, str(batch_size), "drop_remainder")
        return
    batches = make()
    size = len(labels) // batch_size * batch_size if drop else len(labels)
    for epoch in (initial_epoch, initial_epoch + 1):
        order = np.arange(len(labels))
        if shuffle:
            order = np.random.default_rng([seed, epoch]).permutation(order)
        for peek in peeks:
            if -len(batches) <= peek < len(batches):
                start = peek % len(batches) * batch_size
                x, _ = batches.read(epoch, peek)
                np.testing.assert_array_equal(
                    x.ravel(), order[start : start + batch_size]
                )
        pairs = list(batches)
        assert len(pairs) == len(batches)
        x = np.concatenate([x for x, _ in pairs]).ravel()
        y = np.concatenate([y for _, y in pairs])
        np.testing.assert_array_equal(x, order[:size])
        np.testing.assert_array_equal(y, np.array(labels)[order[:size]])
        assert all(len(y) == batch_size for _, y in pairs[:-1])
        assert batches.epoch == epoch + 1


@calls(
    300,
    seed=seeds,
    dtype=st.sampled_from(
        [
            "int8",
            "uint64",
            "float16",
            "float64",
            "bool",
            "U3",
            "O",
            "c8",
            "M8[s]",
        ]
    ),
    shape=st.sampled_from([(6,), (6, 1), (5,), (0,), (), (6, 2), (1, 6)]),
    odd=st.sampled_from([None, -1, 4, 0.5, 1e9, np.nan, np.inf]),
)
def test_labels_are_classes_or_refused(seed, dtype, shape, odd):
    plain = np.random.default_rng(seed).integers(0, 2, shape)
    labels = plain.astype(dtype)
    if odd is not None and labels.size and dtype == "float64":
        labels.flat[0] = odd
        plain = None
    if odd is not None and labels.size and dtype == "O":
        labels.flat[0] = odd
        plain = None
    info = data.DataInfo("mine", 4, (1, 1, 1))
    x = np.zeros((6, 1, 1, 1))
    good = shape in ((6,), (6, 1)) and plain is not None
    if not good or dtype in ("U3", "c8", "M8[s]"):
        assert_refused(lambda: data.ArraySource(info, x, labels), "Received")
        return
    if dtype == "O":
        try:
            source = data.ArraySource(info, x, labels)
        except ValueError as error:
            assert "Received" in str(error)
            return
    source = data.ArraySource(info, x, labels)
    assert source.labels.dtype == "int32"
    np.testing.assert_array_equal(source.labels, plain.ravel())


@calls(
    300,
    labels=some_labels,
    indices=st.lists(st.integers(-50, 50), max_size=8)
    | st.lists(st.booleans(), max_size=8)
    | st.lists(st.floats(-1, 9), max_size=3)
    | st.just("mask"),
)
def test_a_subset_is_what_was_asked_for(labels, indices):
    source = source_of(labels)
    if indices == "mask":
        indices = np.array(labels) > 0
        wanted = np.flatnonzero(indices)
    else:
        wanted = np.asarray(indices)
        if wanted.dtype == bool:
            good = len(wanted) == len(labels)
            wanted = np.flatnonzero(wanted) if good else np.array([])
        if wanted.dtype.kind != "i" or (wanted < 0).any():
            wanted = np.array([])
        if (wanted >= len(labels)).any():
            wanted = np.array([])
    if not len(wanted):
        assert_refused(lambda: data.Subset(source, indices), "Received")
        return
    subset = data.Subset(source, indices)
    x, y = subset.read(range(len(subset)))
    np.testing.assert_array_equal(x.ravel(), wanted)
    np.testing.assert_array_equal(y, np.array(labels)[wanted])
    both = data.Joined([subset, source])
    backwards = np.arange(len(both))[::-1]
    x, y = both.read(backwards)
    everything = np.concatenate([wanted, np.arange(len(labels))])[::-1]
    np.testing.assert_array_equal(x.ravel(), everything)
    np.testing.assert_array_equal(y, np.array(labels)[everything])


ends = st.none() | st.integers(-50, 50)


@calls(
    400,
    labels=some_labels,
    name=st.sampled_from(["train", "test", " train ", "tra in", "", "all"]),
    start=ends,
    stop=ends,
    percent=st.booleans(),
    suffix=st.sampled_from(["", "+test", "+", "]", "[0]", " + test[:1]"]),
)
def test_a_slice_of_a_split(labels, name, start, stop, percent, suffix):
    unit = "%" if percent else ""
    text = name
    if start is not None or stop is not None:
        ends = ["" if n is None else f"{n}{unit}" for n in (start, stop)]
        text += f"[{':'.join(ends)}]"
    text += suffix
    size = len(labels)

    def open_one(name):
        if name not in ("train", "test"):
            raise ValueError(f"No such split. Received: {name!r}")
        return source_of(labels)

    def position(n, default):
        if n is None:
            return default
        n = n if not percent else round(size * n / 100)
        return n + size if str(n).startswith("-") else n

    whole = start is None and stop is None
    good = name.strip() in ("train", "test") and suffix in (
        "",
        "+test",
        " + test[:1]",
    )
    if not whole and name != name.strip():
        good = False
    begin, end = position(start, 0), position(stop, size)
    if start is not None and start < 0 and percent:
        begin = round(size * start / 100) + size
    if stop is not None and stop < 0 and percent:
        end = round(size * stop / 100) + size
    good = good and (whole or 0 <= begin < end <= size)
    if not good:
        assert_refused(lambda: open_split(text, open_one), "Received")
        return
    source = open_split(text, open_one)
    numbers = source.read(range(len(source)))[0].ravel()
    own = numbers[: end - begin]
    assert (np.diff(own) > 0).all()
    assert set(own) == set(stratified_order(np.array(labels))[begin:end])
    rest = numbers[end - begin :]
    assert len(rest) == {"": 0, "+test": size}.get(suffix, 1)


@calls(200, labels=some_labels)
def test_every_prefix_holds_its_share(labels):
    labels = np.array(labels)
    order = stratified_order(labels)
    assert sorted(order) == list(range(len(labels)))
    for end in range(len(labels) + 1):
        for label in set(labels):
            share = (labels == label).sum() * end / len(labels)
            assert abs((labels[order[:end]] == label).sum() - share) <= 1.5
    for label in set(labels):
        assert (np.diff(order[labels[order] == label]) > 0).all()


@calls(
    200,
    labels=some_labels,
    fraction=st.floats(0.01, 0.99) | anything,
    seed=st.integers(0, 99) | anything,
)
def test_a_random_split_has_both_sides_of_a_class(labels, fraction, seed):
    good = is_number(fraction) and 0 < fraction < 1
    is_seed = not isinstance(seed, bool) and isinstance(seed, (int, np.integer))
    if not (good and is_seed and seed >= 0):
        assert_refused(
            lambda: split_rows("random", labels, None, seed, fraction)
        )
        return
    rows = split_rows("random", labels, None, seed, fraction)
    everything = np.concatenate([rows["train"], rows["test"]])
    assert sorted(everything) == list(range(len(labels)))
    for label in set(labels):
        members = labels.count(label)
        test = sum(labels[row] == label for row in rows["test"])
        wanted = min(max(round(fraction * members), 1), members - 1)
        assert test == wanted


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"]
DEEP = ["I;16", "I", "F"]
SUFFIXES = {
    ".png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    ".bmp": ["1", "L", "P", "RGB"],
    ".tiff": ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"],
    ".gif": ["L", "P"],
}


def is_as_dark(pixels, picture):
    """Whether an image shows a picture of values between 0 and 1."""
    return np.abs(pixels.astype("float64") / 255 - picture).max() < 0.02


@calls(
    250,
    kind=st.sampled_from(
        [(suffix, mode) for suffix, modes in SUFFIXES.items() for mode in modes]
    ),
    size=st.sampled_from([(4, 4), (3, 5), (1, 1)]),
    seed=seeds,
)
def test_a_picture_keeps_its_brightness(kind, size, seed):
    suffix, mode = kind
    gray = np.random.default_rng(seed).integers(0, 2, size) * 255
    if mode in DEEP:
        kinds = {"I;16": "uint16", "I": "int32", "F": "float32"}
        image = Image.fromarray((gray * 257).astype(kinds[mode]))
    else:
        image = Image.fromarray(gray.astype("uint8")).convert(mode)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a" / f"b{suffix}"
        path.parent.mkdir()
        image.save(path)
        try:
            source = data.source("image_folder", "all", folder)
            x, _ = source.read([0])
        except ValueError as error:
            assert path.name in str(error) and mode in DEEP
            return
    assert x.shape == (1, *size, 3) and x.dtype == "uint8"
    assert is_as_dark(x[0], gray[..., None] / 255)


@calls(
    200,
    content=st.binary(max_size=64),
    prefix=st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a"]
    ),
    suffix=st.sampled_from([".png", ".jpg", ".gif", ".bmp", ".tiff", ".webp"]),
    size=st.sampled_from([None, 4]),
)
def test_bytes_that_are_no_picture_are_named(content, prefix, suffix, size):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a" / f"b{suffix}"
        path.parent.mkdir()
        path.write_bytes(prefix + content)

        def read():
            source = data.source("image_folder", "all", folder, image_size=size)
            return source.read([0])

        assert_refused(read, path.name)
