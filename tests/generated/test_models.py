"""Model calls: right numbers by NumPy, or a refusal that changes no weight."""

import functools
import warnings

import hypothesis
import keras
import numpy as np
from hypothesis import strategies as st
from keras import ops

import keras_tcl
from keras_tcl import layers, losses, models
from tests.generated.calls import assert_refused, calls
from tests.generated.test_losses import (
    CLASSES,
    LABELS,
    is_refused,
    labels_of,
    value_of,
)
from tests.generated.values import anything, is_value_range, is_whole
from tests.kernels import reference

SAMPLES = 4
IMAGE = (2, 2, 1)

seeds = st.integers(0, 2**32 - 1)


class OneBatch(keras.utils.PyDataset):
    """A data set of one batch, whose values nobody sees before."""

    def __init__(self, *batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


@functools.cache
def one_layer(timesteps):
    """A convolution of single pixels and neurons: NumPy can do it."""
    keras.utils.set_random_seed(timesteps)
    inputs = keras.Input(IMAGE)
    x = layers.DirectEncoding(timesteps)(inputs)
    x = layers.EachStep(layers.Conv2D(3, 1))(x)
    x = layers.LIF()(x)
    network = models.classification_network(
        keras.Model(inputs, {"stage1": x}), CLASSES, std=0.1
    )
    model = keras_tcl.TCLModel(network, augmenter=None)
    model.compile("sgd", losses.MeanCrossEntropy(), metrics=["accuracy"])
    return model


def steps_in_numpy(model, x):
    """Logits `[B, T, classes]`, and which samples do not sit on the fence."""
    network = model.network
    (convolution,) = [
        layer for layer in network.layers if isinstance(layer, layers.EachStep)
    ]
    kernel, bias = (w.astype("float64") for w in convolution.get_weights())
    current = (np.asarray(x, "float64") / 255 - 0.5) / 0.1
    current = current @ kernel[0, 0] + bias
    sequence = np.stack([current] * model.timesteps, axis=1)
    potentials, spikes = reference.lif(sequence, 0.5, 1.0, "hard")
    known = (np.abs(potentials - 1) > 1e-4).all((1, 2, 3, 4))
    dense = network.get_layer("classifier").dense_layers[0]
    kernel, bias = (w.astype("float64") for w in dense.get_weights())
    return spikes.mean((2, 3)) @ kernel + bias, known


def quietly(call):
    """Call with warnings of dark pixels, and Keras' of tensors, left out."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The input never exceeds 1")
        return call()


@functools.cache
def plain(timesteps):
    return one_layer(timesteps).inference_model()


def hits_by_latency(steps, targets):
    """Right answers `[B, T]`, and which samples leave no doubt."""
    sums = np.cumsum(steps, axis=1)
    best = np.sort(sums, axis=-1)
    clear = (best[..., -1] - best[..., -2] > 1e-3).all(1)
    return sums.argmax(-1) == targets.argmax(1)[:, None], clear


@calls(
    700,
    timesteps=st.sampled_from([1, 3]),
    dtype=st.sampled_from(
        ["uint8", "int16", "int64", "float16", "float32", "float64", "bool"]
    ),
    seed=seeds,
    bad=st.none() | st.sampled_from([np.nan, np.inf, -np.inf]),
    way=st.sampled_from(
        [
            "predict",
            "predict a data set",
            "predict_on_batch",
            "predict_timesteps",
            "evaluate_timesteps",
            "evaluate_timesteps of a data set",
            "inference_model",
        ]
    ),
    labels=st.sampled_from(["ids", "column", "one-hot"]),
)
def test_predictions_are_those_of_numpy(
    timesteps, dtype, seed, bad, way, labels
):
    model = one_layer(timesteps)
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2 if dtype == "bool" else 256, (SAMPLES, *IMAGE))
    x = x.astype(dtype)
    steps, known = steps_in_numpy(model, x)
    y, targets = labels_of(labels, SAMPLES, seed)
    finite = np.ones(SAMPLES, bool)
    if bad is not None and "float" in dtype:
        x[seed % SAMPLES, 1, 0, 0] = bad
        finite[seed % SAMPLES] = False
        # A plain network is told nothing of it.
        hypothesis.assume(way != "inference_model")
    calls_of_way = {
        "predict": lambda: model.predict(x, batch_size=3, verbose=0),
        "predict a data set": lambda: model.predict(OneBatch(x), verbose=0),
        "predict_on_batch": lambda: model.predict_on_batch(x),
        "predict_timesteps": lambda: model.predict_timesteps(x, batch_size=3),
        "evaluate_timesteps": lambda: model.evaluate_timesteps(x, y),
        "evaluate_timesteps of a data set": lambda: model.evaluate_timesteps(
            OneBatch(x, y)
        ),
        "inference_model": lambda: plain(timesteps)(ops.cast(x, "float32")),
    }
    is_array = way in ("predict", "predict_timesteps", "evaluate_timesteps")
    if is_array and not finite.all():
        assert_refused(calls_of_way[way], "NaN or infinite values")
        return
    result = ops.convert_to_numpy(quietly(calls_of_way[way]))
    good = known & finite
    if "evaluate" in way:
        hits, clear = hits_by_latency(steps, targets)
        hypothesis.assume((known & clear).all())
        expected = (hits & finite[:, None]).mean(0)
        np.testing.assert_allclose(result, expected, atol=1e-6)
        return
    expected = steps if way == "predict_timesteps" else steps.mean(1)
    assert np.isnan(result[~finite]).all()
    np.testing.assert_allclose(
        result[good], expected[good], rtol=1e-4, atol=1e-4
    )


LOSSES = {
    "mean": losses.MeanCrossEntropy,
    "tet": lambda: losses.TET(0.05),
    "tcl": losses.TCL,
    "stcl": losses.STCL,
    "keras": lambda: "sparse_categorical_crossentropy",
}


# Keras decides by the first labels which accuracy is meant, for good.
ROWS = ("one-hot", "bool", "soft", "bad rows", "wide")


@functools.cache
def residual(loss, takes_rows=False):
    """A small SEW-ResNet, and the values of its variables."""
    keras.utils.set_random_seed(3)
    model = keras_tcl.sew_resnet(
        [1],
        [2],
        (4, 4, 1),
        CLASSES,
        timesteps=2,
        augmenter=None,
        projection_dimension=3,
    )
    kind = "categorical" if takes_rows else "sparse_categorical"
    model.compile(
        keras.optimizers.SGD(0.1), LOSSES[loss](), metrics=[f"{kind}_accuracy"]
    )
    return model, [ops.convert_to_numpy(v) for v in model.variables]


def bad_pixels(kind, seed):
    """Images of a kind that no network of 4 x 4 x 1 pixels takes."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (SAMPLES, 4, 4, 1)).astype("float32")
    place = tuple(rng.integers(0, n) for n in x.shape)
    values = {"NaN": np.nan, "inf": np.inf, "absurd": 1e10, "no data": -3e38}
    if kind in values:
        x[place] = values[kind]
        return x
    return {
        "empty": x[:0],
        "vector": x[:, 0, 0, 0],
        "one image": x[0],
        "frames": x[:, None],
        "colours": np.repeat(x, 3, axis=-1),
        "small": x[:, :3],
        "words": x.astype(str),
        "objects": x.astype("O"),
        "complex": x.astype("complex64"),
        "missing": None,
        "number": 3.0,
    }[kind]


PIXELS = [
    "NaN",
    "inf",
    "absurd",
    "no data",
    "empty",
    "vector",
    "one image",
    "frames",
    "colours",
    "small",
    "words",
    "objects",
    "complex",
    "missing",
    "number",
]
ONLY_ARRAYS = ("empty", "words", "objects", "complex", "missing", "number")
WAYS = ["fit", "fit a data set", "train_on_batch", "evaluate", "test_on_batch"]


def run(model, way, x, y):
    """Use the model; return the logs, by name."""
    if way == "fit":
        history = model.fit(x, y, batch_size=SAMPLES, verbose=0, shuffle=False)
        return {name: values[0] for name, values in history.history.items()}
    if way == "fit a data set":
        batch = OneBatch(x, y)
        try:
            history = model.fit(batch, verbose=0, shuffle=False)
        except ValueError as error:
            # TensorFlow lost it, over labels of more axes; but only once.
            if "The number of axes of" not in str(error):
                raise
            history = model.fit(batch, verbose=0, shuffle=False)
        return {name: values[0] for name, values in history.history.items()}
    if way == "evaluate":
        return model.evaluate(
            x, y, batch_size=SAMPLES, verbose=0, return_dict=True
        )
    return getattr(model, way)(x, y, return_dict=True)


def reset(model, values):
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)


def assert_unchanged(model, values, learned_only=False):
    for variable, value in zip(model.variables, values, strict=True):
        if "faults" in variable.path or "metric" in variable.path:
            continue
        if not variable.trainable and (
            learned_only or "moving" not in variable.path
        ):
            continue
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def views_of(loss, x):
    return (x, x[:, ::-1]) if loss == "stcl" else x


@calls(
    900,
    loss=st.sampled_from(sorted(LOSSES)),
    way=st.sampled_from(WAYS),
    kind=st.sampled_from(LABELS + ["none"]),
    seed=seeds,
    dtype=st.sampled_from(["uint8", "float32"]),
)
def test_labels_train_or_are_refused(loss, way, kind, seed, dtype):
    model, values = residual(loss, kind in ROWS)
    reset(model, values)
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (SAMPLES, 4, 4, 1)).astype(dtype)
    y, targets = (None, None)
    if kind != "none":
        y, targets = labels_of(kind, SAMPLES, seed)
    if loss == "keras":
        # It takes ids alone; those in two axes are Keras' own matter.
        refused = kind in ("bad", "NaN", "words", "missing", "too many", "none")
        hypothesis.assume(refused or kind in ("ids", "column", "float ids"))
    else:
        refused = is_refused(model.loss, kind, targets)
    if kind == "list":
        y = np.asarray(y)  # Keras takes no lists.
    if kind in ("words", "missing", "too many"):
        # Elsewhere, Keras and the backend refuse them before we see them.
        hypothesis.assume(way in ("fit", "evaluate"))
    x = views_of(loss, x)
    if refused:
        # That there are no labels is seen after the network has run.
        learned_only = kind in ("none", "scalar")
        check_refusal(model, values, way, x, y, learned_only)
        return
    in_training = way in WAYS[:3]
    outputs = model(x, training=True) if in_training else None
    reset(model, values)
    logs = quietly(lambda: run(model, way, x, y))
    logits = model_logits(model, x, outputs)
    if loss == "keras":
        by_step = logits.mean((1, 2))
        expected = np.mean(
            [
                reference_cross_entropy(row, target)
                for row, target in zip(by_step, targets, strict=True)
            ]
        )
    else:
        stages = embeddings_of(model, x, outputs)
        expected = value_of(model.loss, logits, stages, targets).mean()
    np.testing.assert_allclose(logs["loss"], expected, rtol=1e-3, atol=1e-3)
    for name, value in logs.items():
        assert np.isfinite(value), name
        assert "accuracy" not in name or 0 <= value <= 1
    if not in_training:
        assert_unchanged(model, values)


def reference_cross_entropy(logits, target):
    shifted = logits - logits.max()
    return np.log(np.exp(shifted).sum()) - (shifted * target).sum()


def model_logits(model, x, outputs):
    """Logits `[B, V, T, classes]`, of training or of one view, in float64."""
    if outputs is not None:
        return ops.convert_to_numpy(outputs["logits"]).astype("float64")
    first = x[0] if isinstance(x, tuple) else x
    return model.predict_timesteps(first)[:, None].astype("float64")


def embeddings_of(model, x, outputs):
    if outputs is not None:
        return {
            name: ops.convert_to_numpy(value)
            for name, value in outputs["embeddings"].items()
        }
    first = x[0] if isinstance(x, tuple) else x
    features = model.network(first.astype("float32"), training=False)
    return {
        name: ops.convert_to_numpy(head(features[name]))[:, None]
        for name, head in model.heads.items()
    }


def check_refusal(model, values, way, x, y, learned_only=False):
    """A ValueError that says what came, and weights as they were."""
    try:
        quietly(lambda: run(model, way, x, y))
    except ValueError as error:
        message = str(error)
        words = (
            "Received: ",
            "Received",
            "sizes:",
            "NaN or infinite",
            "Labels outside",
            "Labels are missing",
            "is empty",
            "x=3.0",
        )
        assert any(word in message for word in words), message
    else:
        raise AssertionError("Nothing was said.")
    assert_unchanged(model, values, learned_only)


@calls(
    500,
    loss=st.sampled_from(["mean", "tcl", "keras"]),
    way=st.sampled_from(WAYS),
    kind=st.sampled_from(PIXELS),
    seed=seeds,
)
def test_images_that_are_none_are_refused(loss, way, kind, seed):
    model, values = residual(loss)
    reset(model, values)
    x = bad_pixels(kind, seed)
    count = len(x) if np.ndim(x) else SAMPLES
    y = np.arange(count) % CLASSES
    if kind in ONLY_ARRAYS:  # Elsewhere, Keras refuses them before.
        hypothesis.assume(way in ("fit", "evaluate"))
    check_refusal(model, values, way, x, y)


def is_shape(value):
    """Whether it is (H, W, C), or (T or None, H, W, C)."""
    if not isinstance(value, (list, tuple)) or len(value) not in (3, 4):
        return False
    unknown = len(value) == 4 and value[0] is None
    return all(map(is_whole, value[unknown:]))


# Argument of `sew_resnet`, what is accepted.
DRAWING = [
    ("classes", is_whole),
    ("timesteps", is_whole),
    ("connection", lambda v: type(v) is str and v in ("add", "and", "iand")),
    ("stem", lambda v: type(v) is str and v in ("cifar", "imagenet")),
    ("stem_filters", lambda v: v is None or is_whole(v)),
    ("normalization", lambda v: type(v) is str and v == "batch"),
    ("neuron", lambda v: v is None),
    ("value_range", is_value_range),
    ("input_shape", is_shape),
    (
        "stackwise_num_blocks",
        lambda v: (
            isinstance(v, (list, tuple)) and len(v) == 1 and is_whole(v[0])
        ),
    ),
    (
        "stackwise_num_filters",
        lambda v: (
            isinstance(v, (list, tuple)) and len(v) == 1 and is_whole(v[0])
        ),
    ),
    ("projection_dimension", is_whole),
    ("embedding_stages", lambda v: v is None or v in ([], ())),
    ("augmenter", lambda v: v is None),
]


@calls(
    200,
    row=st.sampled_from(DRAWING),
    value=anything | st.lists(st.integers(-1, 3), max_size=5),
)
def test_an_argument_of_a_network(row, value):
    name, accepts = row
    try:
        accepted = bool(accepts(value))
    except (TypeError, ValueError):
        accepted = False
    numbers = np.ravel(np.asarray(value, "O")).tolist()
    # There is not memory enough for more.
    hypothesis.assume(not (accepted and any(is_whole(n, 65) for n in numbers)))
    arguments = {
        "stackwise_num_blocks": [1],
        "stackwise_num_filters": [2],
        "input_shape": (4, 4, 1),
        "classes": CLASSES,
        name: value,
    }

    def make():
        return keras_tcl.sew_resnet(**arguments)

    if not accepted:
        assert_refused(make, "Received")
        return
    model = make()
    assert model.output_shape[-1] == model.classes
    if name in ("classes", "timesteps"):
        assert getattr(model, name) == value
