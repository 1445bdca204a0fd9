"""Bad data: seen in any form, under any loss, before it does harm."""

import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl import analysis
from keras_tcl.losses import TCL, TET, MeanCrossEntropy
from keras_tcl.training import guard
from tests.models import tiny

BACKEND = keras.config.backend()
EAGER = BACKEND == "tensorflow"
FORMATS = ["arrays", "PyDataset", "generator", "tf.data", "DataLoader"]
METHODS = ["fit", "evaluate", "predict"]
# Of the same classes, by every name they have.
KERAS_LOSSES = [
    "sparse_categorical_crossentropy",
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
]

pytestmark = [
    # Keras says so of data sets that it cannot shuffle.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed"),
    # And so of a generator that ends.
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
    # PyTorch 2.13 under NumPy 2.4.
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),
]


def network(**kwargs):
    """The least there is: it is compiled for every test."""
    settings = {
        "input_shape": (8, 8, 1),
        "classes": 3,
        "timesteps": 2,
        "augmenter": None,
        **kwargs,
    }
    return keras_tcl.models.sew_resnet([1], [4], **settings)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size=4):
        super().__init__()
        self.batches = [
            (x[i : i + size], y[i : i + size]) for i in range(0, len(y), size)
        ]

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


def data_of(x, y, format):
    """Positional arguments of `fit`, in batches of 4."""
    if format == "arrays":
        return x, y
    if format == "PyDataset":
        return (Batches(x, y),)
    if format == "generator":
        return ((batch for batch in Batches(x, y).batches),)
    if format == "tf.data":
        tf = pytest.importorskip("tensorflow")
        return (tf.data.Dataset.from_tensor_slices((x, y)).batch(4),)
    torch = pytest.importorskip("torch")
    pairs = list(zip(torch.tensor(x), torch.tensor(y), strict=True))
    return (torch.utils.data.DataLoader(pairs, batch_size=4),)


def compiled(loss=None, optimizer=None, **kwargs):
    model = network(**kwargs)
    model.compile(
        optimizer or keras.optimizers.SGD(0.1),
        loss or MeanCrossEntropy(),
        metrics=["accuracy"],
        run_eagerly=EAGER,
    )
    return model


def run(model, method, data):
    if method == "predict" and len(data) == 2:
        data = data[:1]
    options = {"batch_size": 4} if len(data) == 2 else {}
    if method == "fit":
        options["shuffle"] = False
    return getattr(model, method)(*data, verbose=0, **options)


def state_of(model):
    """Weights, moving statistics, seeds, optimizer; all that is learned."""
    variables = [*model.variables, *model.optimizer.variables]
    return {v.path: ops.convert_to_numpy(v.value).copy() for v in variables}


def assert_same(before, after):
    assert before.keys() == after.keys()
    for path, value in before.items():
        np.testing.assert_array_equal(value, after[path], err_msg=path)


# --- Pixels in [0, 1] ------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("method", METHODS)
def test_dark_pixels_are_warned_of_once(format, method):
    x, y = tiny.images(8)
    x = (x / 255).astype("float32")
    model = compiled()
    with pytest.warns(UserWarning, match=r"value_range=\(0, 1\)") as warned:
        run(model, method, data_of(x, y, format))
        run(model, method, data_of(x, y, format))
    assert sum("never exceeds 1" in str(w.message) for w in warned) == 1


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_dark_pixels_of_one_batch(method):
    x, y = tiny.images(4)
    model = compiled()
    with pytest.warns(UserWarning, match="would see black images"):
        getattr(model, method)((x / 255).astype("float32"), y)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("method", METHODS)
def test_no_other_pixels_are_warned_of(format, method):
    """Warnings are errors here."""
    x, y = tiny.images(8)
    bright = x.astype("float32")
    bright[4:] = 0.5  # The first batch tells: a dark one may follow.
    run(compiled(), method, data_of(bright, y, format))
    run(compiled(), method, data_of(x // 255, y, format))  # uint8.
    model = compiled(value_range=(0, 1))
    run(model, method, data_of((x / 255).astype("float32"), y, format))


def test_counts_of_events_may_be_small():
    x, y = tiny.recordings(4)
    model = compiled(input_shape=(3, 8, 8, 2))
    model.fit(Batches(np.minimum(x, 1), y), verbose=0)


# --- Pixels that are none --------------------------------------------------

ABSURD = [np.nan, np.inf, -3.4e38, 2806.0]


@pytest.mark.parametrize("pixel", ABSURD)
def test_arrays_with_an_absurd_pixel_are_refused(pixel):
    x, y = tiny.images(8)
    x = x.astype("float32")
    x[5, 0, 0] = pixel
    model = compiled()
    for method in METHODS:
        with pytest.raises(ValueError, match="in 1 of its 8 .* at index 5"):
            run(model, method, (x, y))


@pytest.mark.parametrize(
    "pixel, loss",
    [(np.nan, TCL), (1e10, TCL), (-3.4e38, lambda: KERAS_LOSSES[0])],
)
def test_a_data_set_with_an_absurd_pixel_teaches_nothing(pixel, loss):
    x, y = tiny.images(8)
    bad = x.astype("float32")
    bad[5, 0, 0] = pixel
    model = compiled(loss(), keras.optimizers.Adam(0.01, weight_decay=0.1))
    model.fit(x, y, batch_size=4, verbose=0)  # There are moments to move by.
    before = state_of(model)
    for method in (
        lambda: model.fit(Batches(bad[4:], y[4:]), verbose=0),
        lambda: model.evaluate(Batches(bad, y), verbose=0),
        lambda: model.train_on_batch(bad[4:], y[4:]),
        lambda: model.test_on_batch(bad[4:], y[4:]),
    ):
        with pytest.raises(ValueError, match="NaN or infinite values in"):
            method()
        assert_same(before, state_of(model))
    # Good batches before it have taught what they can.
    with pytest.raises(ValueError, match="NaN or infinite values in"):
        model.fit(Batches(bad, y), shuffle=False, verbose=0)
    assert model.optimizer.iterations > before["adam/iteration"]
    assert all(np.isfinite(v).all() for v in state_of(model).values())
    assert np.isfinite(model.evaluate(x, y, verbose=0)).all()


@pytest.mark.parametrize("kind", ["events", "integers"])
def test_other_absurd_values(kind):
    if kind == "events":
        model, (x, y) = compiled(input_shape=(3, 8, 8, 2)), tiny.recordings(4)
        x[1, 0, 0, 0] = 1e10
    else:  # Pixels of 16 bits.
        model, (x, y) = compiled(), tiny.images(4)
        x = x.astype("int32")
        x[1, 0, 0] = 2**15
    for data in ((x, y), (Batches(x, y),)):
        with pytest.raises(ValueError, match="NaN or infinite|beyond"):
            model.fit(*data, verbose=0)
    logits = model.predict(Batches(x, y), verbose=0)
    np.testing.assert_array_equal(
        np.isnan(logits).all(axis=1), [False, True, False, False]
    )


# --- Labels ------------------------------------------------------------------


@pytest.mark.parametrize(
    "format, label, loss",
    [
        *[("PyDataset", label, KERAS_LOSSES[0]) for label in (3, -1, 1000)],
        *[("PyDataset", 0.5, loss) for loss in (*KERAS_LOSSES, "TET")],
        *[(format, 3, KERAS_LOSSES[1]) for format in FORMATS],
        ("arrays", 0.5, KERAS_LOSSES[2]),
    ],
)
def test_labels_outside_the_classes(format, label, loss):
    x, y = tiny.images(8)
    y = y.astype("float32" if label == 0.5 else "int64")
    y[6] = label
    model = compiled(TET() if loss == "TET" else loss)
    model.fit(x[:4], y[:4], verbose=0)
    before = state_of(model)
    message = "Class ids must|Labels outside the model's classes"
    with pytest.raises(ValueError, match=message):
        run(model, "evaluate", data_of(x, y, format))
    assert_same(before, state_of(model))
    with pytest.raises(ValueError, match=message):
        run(model, "fit", data_of(x, y, format))
    if format != "arrays":
        before = state_of(model)
        with pytest.raises(ValueError, match=message):
            run(model, "fit", data_of(x[4:], y[4:], format))
        assert_same(before, state_of(model))


@pytest.mark.parametrize("format", ["arrays", "PyDataset"])
def test_negative_soft_labels(format):
    x, _ = tiny.images(8)
    y = np.tile(np.float32([0.5, 0.5, 0.0]), (8, 1))
    run(compiled(), "fit", data_of(x, y, format))
    y[6] = [1.5, -0.5, 0.0]
    message = "rows of probabilities|Labels outside the model's classes"
    for method in ("fit", "evaluate"):
        with pytest.raises(ValueError, match=message):
            run(compiled(), method, data_of(x, y, format))


def test_a_label_that_the_loss_ignores():
    x, y = tiny.images(8)
    y[6] = -1
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-1
    )
    for data in ((x, y), (Batches(x, y),)):
        model = network()
        model.compile("sgd", loss, run_eagerly=EAGER)
        assert np.isfinite(model.fit(*data, verbose=0).history["loss"]).all()
    y[6] = -2
    with pytest.raises(ValueError, match=r"y_true\[6\]=-2"):
        model.fit(x, y, verbose=0)


@pytest.mark.parametrize(
    "loss, targets",
    [
        ("mean_squared_error", [[0.5, -7.0, 99.0]]),
        (keras.losses.BinaryCrossentropy(from_logits=True), [[1.0, 1.0, 0.0]]),
        (
            keras.losses.CategoricalCrossentropy(from_logits=True),
            [[0.2, 0.3, 0.5]],
        ),
        ("categorical_hinge", [[1.0, 0.0, 0.0]]),
        (lambda y, logits: ops.mean(ops.abs(y - logits), axis=-1), [[9.5] * 3]),
    ],
)
def test_targets_that_are_no_class_ids_are_left_alone(loss, targets):
    x, _ = tiny.images(8)
    y = np.repeat(np.float32(targets), 8, axis=0)
    for data in ((x, y), (Batches(x, y),)):
        model = network()
        model.compile("sgd", loss, run_eagerly=EAGER)
        assert np.isfinite(model.fit(*data, verbose=0).history["loss"]).all()
        model.evaluate(*data, verbose=0)


@pytest.mark.parametrize(
    "y, message",
    [
        (np.full(8, 99), "Class ids must lie between 0 and 2"),
        (np.full(8, 0.5), "Class ids must be whole numbers"),
        (np.eye(4)[np.zeros(8, int)], "rows of shape"),
        (np.full((8, 3), [1.5, -0.5, 0.0]), "rows of probabilities"),
    ],
)
def test_accuracy_by_latency_wants_labels(y, message):
    x, _ = tiny.images(8)
    model = network()
    for data in ((x, y), (Batches(x, y),)):
        with pytest.raises(ValueError, match=message):
            model.evaluate_timesteps(*data)
    monitor = analysis.LatencyMonitor(Batches(x, y))
    monitor.set_model(model)
    monitor.on_train_begin()
    with pytest.raises(ValueError, match=message):
        monitor.on_epoch_end(0, {})


# --- What is never right -----------------------------------------------------


def test_nan_logits_are_never_right():
    x, _ = tiny.images(8)
    y = np.zeros(8, int)
    model = network()
    dense = tiny.classifier_of(model).dense_layers[-1]
    dense.bias.assign(np.float32([np.nan, 0, 0]))
    assert model.predict(x, verbose=0).argmax(-1).max() == 0
    np.testing.assert_array_equal(model.evaluate_timesteps(x, y), 0.0)
    np.testing.assert_array_equal(model.evaluate_timesteps(Batches(x, y)), 0.0)
    monitor = analysis.LatencyMonitor(Batches(x, y))
    monitor.set_model(model)
    monitor.on_train_begin()
    logs = {}
    monitor.on_epoch_end(0, logs)
    assert [logs[f"val_accuracy_t{t}"] for t in (1, 2)] == [0.0] * 2


@pytest.mark.parametrize("value", [np.nan, 1e10])
def test_an_invalid_sample_is_never_right(value):
    x = np.full((4, 8, 8, 1), value, "float32")
    batches = [(x, np.full(4, k)) for k in range(3)]
    model = network()
    np.testing.assert_array_equal(model.evaluate_timesteps(batches), 0.0)


# --- Nothing -----------------------------------------------------------------


@pytest.mark.parametrize(
    "method", [*METHODS, "predict_timesteps", "evaluate_timesteps"]
)
@pytest.mark.parametrize("format", ["arrays", "PyDataset", "tf.data"])
def test_no_samples(method, format):
    x, y = tiny.images(8)
    data = data_of(x[:0], y[:0], format)
    if method.startswith("predict"):
        data = data[:1]
    model = compiled()
    with pytest.raises(ValueError, match="[Tt]he data.* is empty"):
        getattr(model, method)(*data)


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_a_batch_has_one_label_of_each_sample(method):
    x, y = tiny.images(6)
    with pytest.raises(ValueError, match=r"Received: .*\(6, .* and \(5,\)"):
        getattr(compiled(), method)(x, y[:5])


@pytest.mark.parametrize("wraps", [list, keras.callbacks.CallbackList])
def test_callbacks_of_any_kind_see_no_counts(wraps):
    seen = []

    class Sees(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.extend(logs)

    x, y = tiny.images(6)
    model = compiled()

    def callbacks():
        if wraps is list:
            return [Sees()]
        return wraps([Sees()], add_history=True, model=model)

    given = callbacks()
    count = len(getattr(given, "callbacks", given))
    model.fit(x, y, 6, 1, 0, given, 0.5)
    assert "loss" in seen and "invalid_inputs" not in seen
    assert len(getattr(given, "callbacks", given)) == count
    x = x.astype("float32")
    x[2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.fit(Listed(x, y), callbacks=callbacks(), verbose=0)


class Listed(keras.utils.PyDataset):
    """One batch."""

    def __init__(self, x, y):
        super().__init__()
        self.batch = x, y

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def test_evaluation_takes_the_arguments_of_keras():
    x, y = tiny.images(6)
    model = compiled()
    model.compile("sgd", TCL(), metrics=["accuracy"], run_eagerly=EAGER)
    named = model.evaluate(x, y, 6, 0, None, None, None, True)
    listed = model.evaluate(x, y, batch_size=6, verbose=0)
    assert listed == pytest.approx([named["loss"], named["accuracy"]])
    assert len(model.metrics_names) == len(listed)
    # By name, in the order of the list; one of them is there twice.
    top2 = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")
    model.compile(
        "sgd",
        TCL(),
        metrics=[top2, "accuracy"],
        weighted_metrics=["accuracy"],
        run_eagerly=EAGER,
    )
    listed = model.evaluate(x, y, 6, 0)
    named = model.evaluate(x, y, 6, 0, return_dict=True)
    names = model.metrics_names
    assert names[:3] == ["loss", "top2", "accuracy"]
    assert listed == pytest.approx([named[name] for name in names])


def test_fit_takes_a_data_set_to_validate_by_position():
    """The 7th argument; without a warning of `shuffle`, which is the 8th."""
    model, (x, y) = compiled(), tiny.images(8)
    (data,) = data_of(x, y, "tf.data")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*shuffle=True")
        fitted = model.fit(data, None, None, 1, 0, None, 0.0, data)
    assert "val_loss" in fitted.history


def test_replicas_are_not_said_to_be_good(monkeypatch):
    model = compiled()
    assert "still good" in model._state_of_weights
    replicas = SimpleNamespace(num_replicas_in_sync=2)
    kind = type(model)
    monkeypatch.setattr(kind, "distribute_strategy", replicas, raising=False)
    assert "start from saved weights" in model._state_of_weights


def test_a_fault_that_one_of_several_replicas_counts():
    """Their logs are means: one bad sample of two replicas is 0.5."""
    for name, message in (("invalid_inputs", "NaN"), ("invalid_labels", "La")):
        with pytest.raises(ValueError, match=f"^{message}.* in it: 1 sample"):
            guard._raise_faults({name: 0.5}, "in it: {} sample(s)")


# --- Order of logs -----------------------------------------------------------


@pytest.mark.parametrize("loss", [TCL, lambda: KERAS_LOSSES[0], None])
def test_a_step_returns_the_loss_first(loss):
    """Then the metrics as `test_on_batch` has them; terms by name alone."""
    x, y = tiny.images(6)
    model = network()
    # Not in the order of the alphabet.
    metrics = [
        keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2"),
        "accuracy",
    ]
    loss = loss() if loss else "sparse_categorical_crossentropy"
    model.compile(
        keras.optimizers.SGD(0.0), loss, metrics=metrics, run_eagerly=EAGER
    )
    named = model.train_on_batch(x, y, return_dict=True)
    listed = model.train_on_batch(x, y)
    assert all(isinstance(value, float) for value in listed)
    assert listed == pytest.approx(list(named.values())[:3])
    shared = list(model.test_on_batch(x, y, return_dict=True))
    assert list(named)[:3] == ["loss", "top2", "accuracy"]
    assert sorted(shared) == sorted(named)
    assert len(model.test_on_batch(x, y)) == 3
    extra = ["classification_loss", "contrastive_loss"]
    assert list(named)[3:] == (extra if isinstance(model.loss, TCL) else [])
    model = network()
    model.compile("sgd", loss, run_eagerly=EAGER)
    alone = model.train_on_batch(x, y)
    assert isinstance(alone, float)
