"""Arguments: each is kept and saved as given, or refused by its name."""

import json

import hypothesis
import keras
import numpy as np
from hypothesis import strategies as st

from keras_tcl import augmentation, data, layers, losses, surrogates
from keras_tcl.data.events import Framing
from tests.generated.calls import assert_refused, calls
from tests.generated.values import (
    anything,
    is_interval,
    is_number,
    is_value_range,
    is_whole,
    odd,
    pairs,
)

SOURCE = data.ArraySource(
    data.DataInfo("mine", 2, (1,)), np.zeros((40, 1)), np.arange(40) % 2
)


def word(*words):
    return lambda v: type(v) is str and v in words


def number(low=float("-inf"), high=float("inf")):
    return lambda v: is_number(v, low, high)


def positive(value):
    return is_number(value, above=0)


def whole(at_least=1):
    return lambda v: is_whole(v, at_least)


def size(value):
    pair = [value] * 2 if is_whole(value) else value
    return sizes(pair) and len(pair) == 2


def sizes(value):
    is_sequence = isinstance(value, (list, tuple))
    return is_sequence and len(value) > 0 and all(map(is_whole, value))


# Class, argument, what is accepted, what is drawn.
NUMBERS = [
    (layers.LIF, "decay", number(0, 1)),
    (layers.LIF, "threshold", positive),
    (layers.LIF, "reset", word("hard", "soft")),
    (layers.IF, "threshold", positive),
    (layers.PLIF, "decay", lambda v: is_number(v, 0, 1, 0) and v < 1),
    (layers.DirectEncoding, "timesteps", whole()),
    (layers.Classifier, "classes", whole()),
    (layers.ProjectionHead, "dimension", whole()),
    (layers.ProjectionHead, "hidden", lambda v: v is None or is_whole(v)),
    (layers.SpikeElementWise, "connection", word("add", "and", "iand")),
    (layers.ThresholdDependentBatchNormalization, "alpha", positive),
    (layers.ThresholdDependentBatchNormalization, "threshold", positive),
    (surrogates.ATan, "alpha", positive),
    (surrogates.Rectangle, "width", positive),
    (surrogates.Sigmoid, "alpha", positive),
    (surrogates.Triangle, "gamma", positive),
    (losses.TET, "regularization", number(0, 1)),
    (losses.TET, "target", number()),
    (losses.TCL, "temperature", positive),
    (losses.TCL, "weight", number(0)),
    (losses.TCL, "per_step", number(0, 1)),
    (losses.STCL, "normalization", word("mean", "paper")),
    (losses.STCL, "weight", number(0)),
    (augmentation.RandomFlip, "probability", number(0, 1)),
    (augmentation.RandomGray, "probability", number(0, 1)),
    (augmentation.RandomCrop, "padding", whole(0)),
    (augmentation.RandomCrop, "fill_value", number()),
    (augmentation.RandomRoll, "maximum", whole(0)),
    (augmentation.Cutout, "size", whole()),
    (augmentation.Cutout, "fill_value", number()),
    (augmentation.ColorJitter, "brightness", number(0)),
    (augmentation.ColorJitter, "saturation", number(0)),
    (augmentation.ColorJitter, "hue", number(0, 0.5)),
    (augmentation.ColorJitter, "probability", number(0, 1)),
    (Framing, "timesteps", whole()),
    (Framing, "binning", word("count", "time")),
    (Framing, "interpolation", word("bilinear", "area")),
    (Framing, "values", word("count", "binary")),
]
PAIRS = [
    (layers.PixelNormalization, "value_range", is_value_range),
    (layers.Classifier, "hidden_units", lambda v: v in ([], ()) or sizes(v)),
    (augmentation.ColorJitter, "value_range", is_value_range),
    (augmentation.RandomResizedCrop, "scale", lambda v: is_interval(v, 0, 1)),
    (
        augmentation.RandomResizedCrop,
        "ratio",
        lambda v: is_interval(v, above=0),
    ),
    (Framing, "frame_size", lambda v: v is None or size(v)),
]
REQUIRED = {layers.Classifier: {"classes": 3}}


def same(kept, value):
    """Whole numbers of any size to the digit, fractions as floats."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return len(kept) == len(value) and all(map(same, kept, value))
    return kept == value or kept == float(value)


def check_setting(row, value):
    kind, name, accepts = row
    arguments = {**REQUIRED.get(kind, {}), name: value}
    try:
        accepted = accepts(value)
    except (TypeError, ValueError):
        accepted = False
    if not accepted:
        assert_refused(lambda: kind(**arguments), "Received", name)
        return
    made = kind(**arguments)
    kept = getattr(made, name)
    if is_number(value) and name != "frame_size":
        assert kept == float(value)
    elif name != "frame_size":
        assert same(kept, value)
    if not hasattr(made, "get_config"):
        return
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(made)))
    revived = keras.saving.deserialize_keras_object(config)
    assert revived.get_config() == made.get_config()


@calls(900, row=st.sampled_from(NUMBERS), value=anything)
def test_a_setting(row, value):
    check_setting(row, value)


@calls(250, row=st.sampled_from(PAIRS), value=pairs)
def test_a_setting_of_several_numbers(row, value):
    check_setting(row, value)


@calls(
    250,
    name=st.sampled_from(["batch_size", "seed", "initial_epoch"]),
    value=anything,
)
def test_a_setting_of_batches(name, value):
    if is_whole(value, 1 if name == "batch_size" else 0):
        batches = data.Batches(SOURCE, shuffle=True, **{name: value})
        seen = np.concatenate([y for _, y in batches])
        assert len(seen) == 40 and seen.sum() == 20
    else:
        assert_refused(
            lambda: data.Batches(SOURCE, **{name: value}), "Received", name
        )


@calls(100, identifier=odd | st.sampled_from(surrogates.list_surrogates()))
def test_the_name_of_a_surrogate(identifier):
    if isinstance(identifier, str) and (
        identifier in surrogates.list_surrogates()
    ):
        assert surrogates.serialize(surrogates.get(identifier)) == identifier
    else:
        assert_refused(lambda: surrogates.get(identifier))
        assert_refused(lambda: layers.LIF(surrogate=identifier))


@calls(
    200,
    mean=anything | st.lists(st.floats(0, 1), min_size=1, max_size=3),
    std=anything | st.lists(st.floats(0, 1), min_size=1, max_size=3),
    span=st.sampled_from([(0, 255), (0, 1), (-1, 1), (5, 6)]),
)
def test_pixels_are_normalized(mean, std, span):
    low, high = span
    pixels = np.linspace(low, high, 12).reshape(1, 2, 2, 3)

    def fits(value, above):
        values = value if isinstance(value, (list, tuple)) else [value]
        good = all(is_number(v, -1e9, 1e9, above) for v in values)
        return good and len(values) in (1, 3)

    hypothesis.assume(not isinstance(mean, np.ndarray))
    hypothesis.assume(not isinstance(std, np.ndarray))
    if not (fits(mean, float("-inf")) and fits(std, 1e-9)):
        try:
            layer = layers.PixelNormalization(span, mean, std)
            layer(pixels.astype("float32"))
        except ValueError as error:
            assert "Received" in str(error)
        return
    layer = layers.PixelNormalization(span, mean, std)
    result = keras.ops.convert_to_numpy(layer(pixels.astype("float32")))
    mean, std = np.asarray(mean, "float64"), np.asarray(std, "float64")
    expected = ((pixels - low) / (high - low) - mean) / std
    scale = (1 + np.abs(mean).max()) / std.min()
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=2e-6 * scale)
