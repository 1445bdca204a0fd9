"""Augmentations: what a pixel becomes, frame by frame, in NumPy."""

import colorsys

import keras
import numpy as np
from hypothesis import strategies as st
from keras import ops

from keras_tcl import augmentation
from tests.augmentation.compiled import transform
from tests.generated.calls import assert_refused, calls
from tests.generated.values import ODD_VALUES, anything

# Few: see `test_layers`. Frames have one more axis, of time.
SHAPES = [(3, 8, 6, 3), (2, 2, 4, 6, 3), (1, 1, 1, 3), (0, 4, 4, 3)]

seeds = st.integers(0, 2**32 - 1)


def images_of(shape, seed, dtype="uint8", high=256):
    return np.random.default_rng(seed).integers(0, high, shape).astype(dtype)


def call(layer, x, training=True):
    return ops.convert_to_numpy(
        layer(ops.convert_to_tensor(x), training=training)
    )


def made_of(kind, *arguments):
    return st.tuples(st.just(kind), st.tuples(*arguments))


makers = st.one_of(
    made_of(augmentation.RandomFlip, st.floats(0, 1)),
    made_of(augmentation.RandomGray, st.floats(0, 1)),
    made_of(augmentation.RandomCrop, st.integers(0, 5), st.just(300.0)),
    made_of(augmentation.RandomRoll, st.integers(0, 9)),
    made_of(augmentation.Cutout, st.integers(1, 20), st.just(300.0)),
    made_of(
        augmentation.RandomResizedCrop,
        st.sampled_from([(0.08, 1.0), (0.0, 0.0), (1.0, 1.0), (0.0, 0.3)]),
        st.sampled_from([(0.75, 4 / 3), (1e-3, 1e-3), (50.0, 60.0)]),
    ),
    made_of(
        augmentation.ColorJitter,
        st.floats(0, 3),
        st.floats(0, 3),
        st.floats(0, 3),
        st.floats(0, 0.5),
        st.floats(0, 1),
    ),
)


def is_one_of(image, candidates):
    return any(np.array_equal(image, candidate) for candidate in candidates)


def shifted(image, down, right, fill=None):
    """Move `[T, H, W, C]`; around the edge, or with a fill value behind."""
    moved = np.roll(image, (down, right), axis=(1, 2))
    if fill is not None:
        rows = np.arange(image.shape[1])[:, None] - down
        columns = np.arange(image.shape[2])[None] - right
        inside = (rows >= 0) & (rows < image.shape[1])
        inside = inside & (columns >= 0) & (columns < image.shape[2])
        moved = np.where(inside[None, :, :, None], moved, fill)
    return moved


def luma(image):
    gray = image @ np.array([0.299, 0.587, 0.114])
    return np.repeat(gray[..., None], 3, axis=-1)


def check_image(layer, before, after):
    """Compare one sample `[T, H, W, C]` with all that it may have become."""
    kind = type(layer).__name__
    if kind == "RandomFlip":
        assert is_one_of(after, [before, before[:, :, ::-1]])
    elif kind in ("RandomCrop", "RandomRoll"):
        most = layer.padding if kind == "RandomCrop" else layer.maximum
        fill = layer.fill_value if kind == "RandomCrop" else None
        steps = range(-most, most + 1)
        assert is_one_of(
            after,
            (shifted(before, d, r, fill) for d in steps for r in steps),
        )
    elif kind == "Cutout":
        hole = (after == layer.fill_value).all(axis=(0, 3))
        np.testing.assert_array_equal(after[:, ~hole], before[:, ~hole])
        assert hole.any()
        for axis in (0, 1):
            along = np.flatnonzero(hole.any(axis=1 - axis))
            assert len(along) <= layer.size
            assert np.ptp(along) == len(along) - 1
        assert hole.sum() == hole.any(0).sum() * hole.any(1).sum()
    elif kind == "RandomGray":
        gray = luma(before)
        assert np.array_equal(after, before) or np.allclose(
            after, gray, atol=1e-3
        )
    elif kind == "ColorJitter":
        assert after.min(initial=0) >= 0 and after.max(initial=0) <= 255.001
        if layer.probability == 0:
            np.testing.assert_array_equal(after, before)
    else:  # RandomResizedCrop
        low = before.min((0, 1, 2)) - 1e-3
        high = before.max((0, 1, 2)) + 1e-3
        assert (low <= after).all() and (after <= high).all()


@calls(
    700,
    maker=makers,
    shape=st.sampled_from(SHAPES),
    seed=seeds,
    dtype=st.sampled_from(["uint8", "float32"]),
)
def test_an_image_becomes_what_its_layer_says(maker, shape, seed, dtype):
    layer = maker[0](*maker[1])
    x = images_of(shape, seed, dtype)
    result = call(layer, x)
    assert result.shape == shape and result.dtype == "float32"
    frames = x if len(shape) == 5 else x[:, None]
    after = result if len(shape) == 5 else result[:, None]
    for one, other in zip(frames.astype("float64"), after, strict=True):
        check_image(layer, one, other)
    plain = call(layer, x, training=False)
    assert plain.dtype == "float32"
    np.testing.assert_array_equal(plain, x)


@calls(
    300,
    seed=seeds,
    padding=st.integers(0, 5),
    roll=st.integers(0, 9),
    hole=st.integers(1, 9),
    shape=st.sampled_from(SHAPES[:3]),
)
def test_geometry_follows_its_parameters(seed, padding, roll, hole, shape):
    rng = np.random.default_rng(seed)
    x = images_of(shape, seed)
    frames = x if len(shape) == 5 else x[:, None]
    count, (height, width) = len(x), frames.shape[2:4]

    def result(layer, **parameters):
        y = transform(layer, x, **parameters)
        return y if len(shape) == 5 else y[:, None]

    flip = rng.integers(0, 2, count).astype(bool)
    top, left = rng.integers(0, 2 * padding + 1, (2, count), "int32")
    down, right = rng.integers(-roll, roll + 1, (2, count), "int32")
    row = rng.integers(0, height, count, "int32")
    column = rng.integers(0, width, count, "int32")
    outcomes = {
        "flip": result(augmentation.RandomFlip(), flip=flip),
        "crop": result(
            augmentation.RandomCrop(padding, -7.0), top=top, left=left
        ),
        "roll": result(augmentation.RandomRoll(roll), down=down, right=right),
        "hole": result(augmentation.Cutout(hole, -7.0), row=row, column=column),
        "gray": result(augmentation.RandomGray(), gray=flip),
    }
    for i, image in enumerate(frames.astype("float64")):
        covered = image.copy()
        y, z = row[i] - hole // 2, column[i] - hole // 2
        covered[
            :, max(y, 0) : max(y + hole, 0), max(z, 0) : max(z + hole, 0)
        ] = -7
        expected = {
            "flip": image[:, :, ::-1] if flip[i] else image,
            "crop": shifted(image, padding - top[i], padding - left[i], -7),
            "roll": shifted(image, down[i], right[i]),
            "hole": covered,
            "gray": luma(image) if flip[i] else image,
        }
        for name, array in expected.items():
            np.testing.assert_allclose(
                outcomes[name][i], array, atol=1e-3, err_msg=name
            )


def jittered(image, factors, places, low, high):
    """The four operations in their order, in float64 and `colorsys`."""
    x = (image - low) / (high - low)
    order = sorted(range(4), key=lambda n: places[n])
    for operation in order:
        f = factors[operation]
        if operation == 0:
            x = f * x
        elif operation == 1:
            x = f * x + (1 - f) * luma(x).mean(axis=(1, 2), keepdims=True)
        elif operation == 2:
            x = f * x + (1 - f) * luma(x)
        else:
            flat = x.reshape(-1, 3)
            turned = []
            for rgb in flat:
                h, s, v = colorsys.rgb_to_hsv(*rgb)
                turned.append(colorsys.hsv_to_rgb((h + f) % 1.0, s, v))
            x = np.array(turned).reshape(x.shape)
        x = np.clip(x, 0, 1)
    return low + (high - low) * x


@calls(
    300,
    seed=seeds,
    shape=st.sampled_from(SHAPES[:2]),
    value_range=st.sampled_from([(0, 255), (0.0, 1.0), (-1.0, 1.0)]),
)
def test_colours_follow_their_parameters(seed, shape, value_range):
    rng = np.random.default_rng(seed)
    low, high = value_range
    x = low + (high - low) * rng.uniform(size=shape)
    x = x.astype("float32")
    if rng.integers(2):
        x[0] = x[0].round(1 if high <= 1 else -2)  # Equal channels, limits.
        x = np.clip(x, low, high)
    count = len(x)
    factors = rng.uniform([0, 0, 0, -0.5], [2, 2, 2, 0.5], (count, 4))
    places = np.stack([rng.permutation(4) for _ in range(count)])
    apply = rng.integers(0, 2, count).astype(bool)
    layer = augmentation.ColorJitter(1, 1, 1, 0.5, value_range=value_range)
    result = transform(
        layer,
        x,
        brightness=factors[:, 0].astype("float32"),
        contrast=factors[:, 1].astype("float32"),
        saturation=factors[:, 2].astype("float32"),
        hue=factors[:, 3].astype("float32"),
        places=places.astype("int32"),
        apply=apply,
    )
    frames = x if len(shape) == 5 else x[:, None]
    result = result if len(shape) == 5 else result[:, None]
    for i, image in enumerate(frames.astype("float64")):
        if apply[i]:
            image = jittered(image, factors[i], places[i], low, high)
        np.testing.assert_allclose(result[i], image, atol=2e-4 * (high - low))


@calls(
    300,
    name=st.sampled_from(augmentation.list_recipes())
    | st.sampled_from(ODD_VALUES),
    shape=st.sampled_from(
        [
            (8, 8, 3),
            (8, 6, 1),
            (1, 1, 3),
            (2, 8, 8, 2),
            (2, 4, 6, 3),
            [8, 8, 3],
            (8, 8),
            (None, 8, 3),
            (8, 0, 3),
            (8.0, 8, 3),
            None,
            "888",
        ]
    ),
    value_range=st.sampled_from(
        [(0, 255), (0, 1), (-1, 1), (1, 0), (0, 0), None, "01", (0, np.nan)]
    ),
    seed=st.none() | st.integers(0, 9),
)
def test_a_recipe_keeps_images_or_refuses(name, shape, value_range, seed):
    def make():
        return augmentation.recipe(name, shape, value_range, seed)

    known = isinstance(name, str) and name in augmentation.list_recipes()
    good_shape = (
        isinstance(shape, (tuple, list))
        and len(shape) in (3, 4)
        and all(type(n) is int and n > 0 for n in shape)
    )
    good_range = isinstance(value_range, tuple) and (
        value_range[0] < value_range[1]
    )
    good = known and good_shape and good_range
    if good and len(shape) == 4 and "stcl" in name:
        good = False  # Colours of event frames.
    if not good:
        assert_refused(make, "Received")
        return
    low, high = value_range
    x = np.random.default_rng(0).uniform(low, high, (2, *shape))
    x = x.astype("float32")
    result = call(make(), x)
    assert result.shape == x.shape and result.dtype == "float32"
    black = min(low, 0) if len(shape) == 4 else low
    assert result.min() >= black - 1e-3 and result.max() <= high + 1e-3
    if seed is not None:
        np.testing.assert_array_equal(result, call(make(), x))
    np.testing.assert_array_equal(call(make(), x, training=False), x)


@calls(
    150,
    kind=st.sampled_from(
        [
            augmentation.RandomFlip,
            augmentation.RandomGray,
            augmentation.ColorJitter,
            augmentation.RandomResizedCrop,
        ]
    ),
    shape=st.sampled_from(
        [(), (3,), (8, 8, 3), (2, 8, 8, 3), (2, 8, 8, 1), (2, 1, 1, 2, 2, 3)]
    ),
    training=st.booleans(),
    in_pipeline=st.booleans(),
)
def test_images_of_another_rank_are_refused(kind, shape, training, in_pipeline):
    layer = kind()
    if in_pipeline:
        layer = augmentation.Pipeline([layer])
        training = True
    x = images_of(shape, 0)
    colours = kind in (augmentation.RandomGray, augmentation.ColorJitter)
    if len(shape) == 4 and not (colours and shape[-1] != 3):
        assert call(layer, x, training).shape == shape
    else:
        assert_refused(lambda: call(layer, x, training), "Received: ", "shape")


@calls(150, steps=anything | st.lists(anything, max_size=2))
def test_a_pipeline_takes_layers_and_functions(steps):
    accepted = isinstance(steps, (list, tuple)) and all(
        callable(step) and not isinstance(step, type) for step in steps
    )
    if not accepted:
        assert_refused(lambda: augmentation.Pipeline(steps))
        if not isinstance(steps, str) and steps is not None:
            assert_refused(lambda: augmentation.get(steps, (8, 8, 3)))
        return
    x = images_of((2, 4, 4, 3), 0)
    np.testing.assert_array_equal(call(augmentation.Pipeline(steps), x), x)


@calls(100, seed=st.integers(0, 2**31 - 1), maker=makers)
def test_an_equal_seed_draws_equally(seed, maker):
    kind, arguments = maker
    x = images_of((3, 8, 6, 3), seed)
    one, other = (kind(*arguments, seed=seed) for _ in range(2))
    np.testing.assert_array_equal(call(one, x), call(other, x))
    saved = keras.saving.serialize_keras_object(one)
    revived = keras.saving.deserialize_keras_object(saved)
    assert revived.get_config() == one.get_config()
