"""TCLModel: training, latency, what it does with each loss and input."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl import augmentation, graph
from keras_tcl.losses import STCL, TCL, TET, MeanCrossEntropy
from tests.models import tiny

BACKEND = keras.config.backend()
# Where compiling a step costs more than the few steps of a test, most tests
# run eagerly. JAX is the other way round.
EAGER = BACKEND == "tensorflow"
LOSSES = {
    "mean_cross_entropy": MeanCrossEntropy,
    "tet": TET,
    "tcl": TCL,
    "stcl": STCL,
    "stcl_without_contrast": lambda: STCL(weight=0.0),
    "unsupervised": lambda: STCL(supervised=False),
}


def weights_of(model):
    return [
        ops.convert_to_numpy(v.value).copy() for v in model.trainable_variables
    ]


def number(tensor):
    return float(ops.convert_to_numpy(ops.stop_gradient(tensor)))


def brightness(images):
    """An augmenter by whose traces a test sees whether it ran."""
    return images * 0.0 + 1.0


class Batches(keras.utils.PyDataset):
    """Arrays as a data set whose content cannot be seen beforehand."""

    def __init__(self, x, y, batch_size=4):
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return len(self.y) // self.batch_size

    def __getitem__(self, i):
        rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
        return self.x[rows], self.y[rows]


# --- Forward ---------------------------------------------------------------


def test_inference_returns_mean_logits_of_the_time_steps():
    model = tiny.network()
    x, _ = tiny.images(5)
    steps = model.predict_timesteps(x)
    assert steps.shape == (5, 3, tiny.CLASSES)
    logits = ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(logits, steps.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), logits, atol=1e-5)


@pytest.mark.parametrize("views", [1, 2])
def test_training_call_returns_all_views_steps_and_stages(views):
    model = tiny.network(projection_dimension=6)
    model.compile("sgd", STCL() if views == 2 else TCL(), run_eagerly=EAGER)
    x, _ = tiny.images(4)
    outputs = model(x, training=True)
    assert tuple(outputs["logits"].shape) == (4, views, 3, tiny.CLASSES)
    assert set(outputs["embeddings"]) == {"stage1", "stage2"}
    for embeddings in outputs["embeddings"].values():
        assert tuple(embeddings.shape) == (4, views, 3, 6)


def test_views_are_augmented_independently_and_samples_too():
    model = tiny.network(augmenter=augmentation.RandomCrop(2))
    model.compile("sgd", STCL())
    x = np.tile(tiny.images(1)[0], (6, 1, 1, 1))
    views, count = model._views(ops.convert_to_tensor(x))
    views = ops.convert_to_numpy(views)
    assert count == 2 and views.shape == (12, 8, 8, 1)
    distinct = {view.tobytes() for view in views.reshape(12, -1)}
    assert len(distinct) > 6  # Of 12 draws out of 25 offsets.


def test_ready_made_views_are_not_augmented():
    model = tiny.network(augmenter=brightness)
    model.compile("sgd", STCL())
    x, _ = tiny.images(4)
    kept, count = model._views((x, 255 - x))
    expected = np.stack([x, 255 - x], axis=1).reshape(8, 8, 8, 1)
    assert count == 2
    np.testing.assert_array_equal(ops.convert_to_numpy(kept), expected)
    changed, count = model._views(x)
    assert count == 2
    np.testing.assert_array_equal(
        ops.convert_to_numpy(changed), np.ones((8, 8, 8, 1))
    )


def test_auto_augmenter_is_light_or_that_of_events():
    def steps(model):
        return [type(layer).__name__ for layer in model.augmenter.layers]

    images = tiny.network(input_shape=(8, 8, 3))
    assert steps(images) == ["RandomCrop", "RandomFlip"]
    events = tiny.network(input_shape=(None, 12, 12, 2))
    assert steps(events) == ["RandomCrop", "RandomFlip", "RandomRoll"]
    assert tiny.network(augmenter=None).augmenter is None


def test_pixels_are_rescaled_and_normalised_per_channel():
    model = tiny.network(
        input_shape=(8, 8, 3),
        value_range=(-1, 3),
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.25, 2.0),
    )
    x = np.random.default_rng(0).uniform(-1, 3, (2, 8, 8, 3))
    expected = ((x + 1) / 4 - (0.1, 0.2, 0.3)) / (0.5, 0.25, 2.0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(
            model.network.get_layer("rescaling")(x.astype("float32"))
        ),
        expected,
        atol=1e-5,
    )


def test_stem_runs_once_per_image_and_equals_repeated_images():
    """T equal copies through the stem would give the same current."""
    model = tiny.network(timesteps=3)
    names = [layer.name for layer in model.network.layers]
    assert names.index("stem_bn") < names.index("direct_encoding")
    assert names.index("direct_encoding") < names.index("stem_spike")


# --- Training ---------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_every_weight(name):
    model = tiny.network()
    model.compile(
        "sgd", LOSSES[name](), metrics=["accuracy"], run_eagerly=EAGER
    )
    x, y = tiny.images()
    before = weights_of(model)
    history = model.fit(x, y, batch_size=6, verbose=0).history
    shown = {"loss", "accuracy", "classification_loss"}
    if model.loss.needs_embeddings:
        shown.add("contrastive_loss")
    assert set(history) == shown
    assert all(np.isfinite(v[0]) for v in history.values())
    after = weights_of(model)
    for variable, a, b in zip(
        model.trainable_variables, before, after, strict=True
    ):
        assert np.abs(a - b).max() > 0, variable.path


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
def test_shown_terms_add_up_to_the_loss(reduction):
    """Over batches of unequal size, of weighted samples, and in evaluation."""
    model = tiny.network()
    model.compile(
        keras.optimizers.SGD(0.0),
        STCL(weight=3.0, reduction=reduction),
        run_eagerly=EAGER,
    )
    x, y = tiny.images(7)
    weight = np.array([1, 0, 2, 0.5, 0, 1, 3], "float32")
    data = {"batch_size": 4, "sample_weight": weight, "verbose": 0}
    trained = model.fit(x, y, **data).history
    evaluated = model.evaluate(x, y, **data, return_dict=True)
    for logs in (trained, evaluated):
        loss, *terms = (
            np.ravel(logs[name])[0]
            for name in ("loss", "classification_loss", "contrastive_loss")
        )
        assert min(terms) > 0.1
        assert loss == pytest.approx(sum(terms), rel=1e-5)


def test_training_learns():
    model = tiny.network(augmenter=None, classes=3)
    model.compile(keras.optimizers.Adam(0.01), TCL(), metrics=["accuracy"])
    x, y = tiny.images(48)
    model.fit(x, y, batch_size=16, epochs=15, verbose=0)
    assert model.evaluate_timesteps(x, y)[-1] > 0.8


def test_objective_of_a_step_is_the_compiled_loss():
    """One SGD step equals one computed from the outputs by hand."""
    model = tiny.network(augmenter=None)
    loss = TCL()
    model.compile(keras.optimizers.SGD(0.0), loss, run_eagerly=EAGER)
    x, y = tiny.images(6)
    expected = number(loss(y, model(x, training=True)))
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)


def test_sample_weights_reach_the_loss():
    x, y = tiny.images(6)
    weight = np.array([1, 1, 1, 0, 0, 0], "float32")
    losses = []
    for kept in (slice(None), slice(0, 3)):
        keras.utils.set_random_seed(0)
        model = tiny.network(augmenter=None)
        model.compile(
            "sgd", MeanCrossEntropy(reduction="sum"), run_eagerly=EAGER
        )
        # Moving statistics: batch statistics would see the other samples.
        model.network.trainable = False
        logs = model.test_on_batch(
            x[kept], y[kept], weight[kept], return_dict=True
        )
        losses.append(float(logs["loss"]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "SparseCategoricalCrossentropy",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ],
)
def test_any_keras_loss_sees_mean_logits(loss):
    model = tiny.network(augmenter=None)
    model.compile(
        keras.optimizers.SGD(0.0), loss, metrics=["accuracy"], run_eagerly=EAGER
    )
    x, y = tiny.images(6)
    outputs = model(x, training=True)
    logs = model.train_on_batch(x, y, return_dict=True)
    expected = number(MeanCrossEntropy()(y, outputs))
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)
    assert set(logs) == {"loss", "accuracy"}


@pytest.mark.parametrize("name", LOSSES)
def test_validation_loss_is_the_compiled_loss_of_one_view(name):
    x, y = tiny.images(6)
    model = tiny.network()
    loss = LOSSES[name]()
    model.compile("sgd", loss, metrics=["accuracy"], run_eagerly=EAGER)
    outputs = graph.run(model.network, x.astype("float32"), training=False)
    y_pred = {
        "logits": outputs["logits"][:, None],
        "embeddings": {
            stage: head(outputs[stage])[:, None]
            for stage, head in model.heads.items()
        },
    }
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(number(loss(y, y_pred)), rel=1e-4)
    terms = loss.terms(y, y_pred)
    for term, values in terms.items():
        expected = number(ops.mean(values))
        assert logs.pop(f"{term}_loss") == pytest.approx(expected, rel=1e-4)
    assert set(logs) == {"loss", "accuracy"}
    expected = [logs["loss"], logs["accuracy"]]
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected)
    assert model.test_on_batch(x, y) == pytest.approx(expected, rel=1e-5)


def test_loss_and_validation_loss_compare():
    """Of a frozen network on the views it is trained on, they are equal."""
    regularizer = keras.regularizers.L2(0.1)
    model = tiny.network(augmenter=None)
    for layer in graph.layers(model.network, keras.layers.Dense):
        layer.kernel.regularizer = regularizer
    model.network.trainable = False
    classifier = tiny.classifier_of(model)
    classifier.trainable = True
    model.compile(keras.optimizers.SGD(0.0), TCL(), run_eagerly=EAGER)
    x, y = tiny.images(6)
    data = {"batch_size": 6, "verbose": 0, "validation_data": (x, y)}
    history = model.fit(x, y, **data).history
    for name in ("loss", "classification_loss", "contrastive_loss"):
        assert history[name] == pytest.approx(history[f"val_{name}"], rel=1e-4)
    (kernel,) = [w.kernel for w in classifier.dense_layers]
    penalty = 0.1 * np.square(ops.convert_to_numpy(kernel.value)).sum()
    assert history["loss"][0] == pytest.approx(
        history["classification_loss"][0]
        + history["contrastive_loss"][0]
        + penalty,
        rel=1e-4,
    )


def test_evaluation_refuses_labels_outside_the_classes():
    x, y = tiny.images(4)
    model = tiny.network()
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    assert np.isfinite(model.evaluate(Batches(x, y), verbose=0))
    y[1] = 7
    with pytest.raises(ValueError, match="1 s"):  # One label or sample.
        model.evaluate(Batches(x, y), verbose=0)


def test_an_evaluation_leaves_no_trace_in_predictions():
    x, y = tiny.images(4)
    model = tiny.network()
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    model.evaluate(x, y, verbose=0)
    assert model.predict(x, verbose=0).shape == (4, tiny.CLASSES)
    assert tuple(model(x).shape) == (4, tiny.CLASSES)


def test_views_as_data():
    model = tiny.network(augmenter=None)
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    x, y = tiny.images()
    history = model.fit((x, 255 - x), y, batch_size=6, verbose=0).history
    assert np.isfinite(history["contrastive_loss"][0])


def test_one_hot_labels_equal_class_ids():
    x, y = tiny.images()
    losses = []
    for labels in (y, np.eye(tiny.CLASSES, dtype="float32")[y]):
        keras.utils.set_random_seed(0)
        model = tiny.network(augmenter=None)
        model.compile("sgd", TCL(), metrics=["accuracy"], run_eagerly=EAGER)
        losses.append(model.train_on_batch(x, labels, return_dict=True))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_heads_exist_only_where_the_loss_wants_them():
    model = tiny.network()
    bare = model.count_params()
    model.compile("sgd", MeanCrossEntropy(), run_eagerly=EAGER)
    assert model.count_params() == bare
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    assert model.count_params() > bare
    heads = weights_of(model)
    model.compile("sgd", MeanCrossEntropy())  # They wait, untouched.
    assert len(model.trainable_variables) < len(heads)
    x, y = tiny.images(4)
    model.fit(x, y, verbose=0)


def test_embedding_stages_can_be_chosen():
    model = tiny.network(embedding_stages=["stage2"])
    model.compile("sgd", TCL(), run_eagerly=EAGER)
    assert set(model(tiny.images(2)[0], training=True)["embeddings"]) == {
        "stage2"
    }


@pytest.mark.parametrize("shape", [(8, 8, 3), (3, 8, 8, 2)])
def test_nothing_is_left_to_build(shape):
    """Else Keras runs the network op by op before JAX's first `predict`."""
    model = tiny.network(input_shape=shape)
    model.compile("sgd", STCL())
    unbuilt = [x.name for x in model._flatten_layers() if not x.built]
    assert not unbuilt


def test_jax_compiles_with_every_augmentation_on():
    model = tiny.network(input_shape=(8, 8, 3))
    model.compile("sgd", STCL())
    assert all(layer.supports_jit for layer in model._flatten_layers())
    assert model.jit_compile is (BACKEND == "jax")


@pytest.mark.skipif(BACKEND == "torch", reason="XLA is not for PyTorch")
def test_trains_under_xla():
    model = tiny.network(input_shape=(8, 8, 3))
    model.compile("sgd", STCL(), jit_compile=True, metrics=["accuracy"])
    x, y = tiny.images(8, (8, 8, 3))
    history = model.fit(x, y, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert model.evaluate_timesteps(x, y).shape == (3,)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains(policy):
    keras.config.set_dtype_policy(policy)
    model = tiny.network(input_shape=(8, 8, 3))
    optimizer = keras.optimizers.SGD(0.1)
    if policy == "mixed_float16":
        # The default scale, 2^15, skips the first steps of any model.
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, initial_scale=8.0
        )
    model.compile(optimizer, STCL(weight=0.1), run_eagerly=EAGER)
    x, y = tiny.images(8, (8, 8, 3))
    before = weights_of(model)
    history = model.fit(x, y, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"][0])
    moved = [
        np.abs(a - b).max()
        for a, b in zip(before, weights_of(model), strict=True)
    ]
    assert np.median(moved) > 1e-4
    assert model.predict(x, verbose=0).dtype == "float32"
    assert all(v.dtype == "float32" for v in model.trainable_variables)


def test_gradient_accumulation_trains():
    model = tiny.network()
    model.compile(
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=2), TCL()
    )
    x, y = tiny.images(8)
    before = weights_of(model)
    model.fit(x, y, batch_size=4, verbose=0)
    assert any(
        np.abs(a - b).max() > 0
        for a, b in zip(before, weights_of(model), strict=True)
    )


@pytest.mark.parametrize("loss", [TCL, STCL])
@pytest.mark.parametrize(
    "case", ["batch_of_one", "one_class", "all_different", "one_step", "black"]
)
def test_edge_cases_train_with_finite_numbers(loss, case):
    x, y = tiny.images(3)
    y = {"one_class": np.zeros(3, int)}.get(case, np.arange(3))
    if case == "batch_of_one":
        x, y = x[:1], y[:1]
    if case == "black":  # No spikes at all, and embeddings of zero.
        x = np.zeros_like(x)
    model = tiny.network(timesteps=1 if case == "one_step" else 3)
    model.compile("sgd", loss(), run_eagerly=EAGER)
    logs = model.train_on_batch(x, y, return_dict=True)
    assert all(np.isfinite(v) for v in logs.values())
    assert all(np.isfinite(w).all() for w in weights_of(model))


class Curriculum(keras.callbacks.Callback):
    """One more time step after every epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.timesteps += 1


def test_timesteps_may_change_while_training():
    model = tiny.network(timesteps=1)
    model.compile("sgd", TET())
    x, y = tiny.images(8)
    model.fit(x, y, batch_size=4, epochs=3, callbacks=[Curriculum()], verbose=0)
    assert model.predict_timesteps(x).shape == (8, 4, 3)


def test_validation_of_recordings_of_another_length():
    model = tiny.network(input_shape=(None, 8, 8, 2))
    model.compile("sgd", TET())
    history = model.fit(
        *tiny.recordings(timesteps=3),
        validation_data=tiny.recordings(timesteps=2),
        batch_size=4,
        epochs=2,
        verbose=0,
    ).history
    assert np.isfinite(history["val_loss"]).all()


def test_batches_of_recordings_of_any_length():
    model = tiny.network(input_shape=(None, 8, 8, 2))
    model.compile("sgd", TET())
    for timesteps in (3, 2):
        x, y = tiny.recordings(4, timesteps)
        assert np.isfinite(model.train_on_batch(x, y)).all()
        assert np.isfinite(float(model.test_on_batch(x, y)))
        assert model.predict_on_batch(x).shape == (4, 3)


def test_train_on_batch_gives_the_loss_first():
    model = tiny.network()
    model.compile("sgd", TCL(), metrics=["accuracy"], run_eagerly=EAGER)
    x, y = tiny.images(6)
    first, *_ = model.train_on_batch(x, y)
    again = model.test_on_batch(x, y, return_dict=True)
    assert first > 0 and first != float(again["accuracy"])
    logs = model.train_on_batch(x, y, return_dict=True)
    assert next(iter(logs)) == "loss"


def test_the_networks_range_of_pixels_is_the_models():
    network = keras_tcl.sew_resnet.network(
        [1], [4], (8, 8, 3), 3, value_range=(0, 1)
    )
    assert keras_tcl.TCLModel(network).value_range == (0, 1)
    assert tiny.network().value_range == (0, 255)


# --- Event frames -----------------------------------------------------------


def test_event_frames_bring_their_own_timesteps():
    model = tiny.network(input_shape=(None, 8, 8, 2))
    model.compile("sgd", STCL(), metrics=["accuracy"])
    assert model.timesteps is None
    for timesteps in (3, 2):
        x, y = tiny.recordings(timesteps=timesteps)
        model.fit(x, y, batch_size=4, verbose=0)
        assert model.predict_timesteps(x).shape == (8, timesteps, 3)
        assert model.evaluate_timesteps(x, y).shape == (timesteps,)
    with pytest.raises(ValueError, match="for event frames cannot be set"):
        model.timesteps = 2


def test_event_frames_are_not_rescaled():
    model = tiny.network(input_shape=(3, 8, 8, 2), value_range=(0, 1))
    assert "rescaling" not in [layer.name for layer in model.network.layers]


# --- Latency ---------------------------------------------------------------


def test_lower_latency_is_the_mean_of_the_first_steps():
    model = tiny.network()
    model.compile("sgd", STCL(), metrics=["accuracy"])
    x, y = tiny.images()
    model.fit(x, y, batch_size=6, verbose=0)
    steps = model.predict_timesteps(x)
    accuracies = model.evaluate_timesteps(x, y)
    assert accuracies.shape == (3,)
    for t in (1, 2, 5):
        model.timesteps = t
        assert model.timesteps == t
        logits = model.predict(x, verbose=0)
        longer = model.predict_timesteps(x)
        assert longer.shape == (12, t, tiny.CLASSES)
        shared = min(t, 3)  # Causal: later steps change no earlier one.
        np.testing.assert_allclose(
            longer[:, :shared], steps[:, :shared], atol=1e-4
        )
        np.testing.assert_allclose(logits, longer.mean(axis=1), atol=1e-4)
        if t <= 3:
            evaluated = model.evaluate(x, y, verbose=0, return_dict=True)
            assert evaluated["accuracy"] == pytest.approx(accuracies[t - 1])


def test_training_follows_a_change_of_timesteps():
    model = tiny.network(augmenter=None)
    model.compile(keras.optimizers.SGD(0.0), MeanCrossEntropy())
    x, y = tiny.images(6)
    model.train_on_batch(x, y)
    model.timesteps = 1
    expected = number(MeanCrossEntropy()(y, model(x, training=True)))
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["loss"] == pytest.approx(expected, rel=1e-4)


def test_evaluate_timesteps_reads_data_sets_and_one_hot_labels():
    model = tiny.network()
    x, y = tiny.images(8)
    expected = model.evaluate_timesteps(x, y)
    np.testing.assert_allclose(
        model.evaluate_timesteps(Batches(x, y)), expected
    )
    np.testing.assert_allclose(
        model.evaluate_timesteps(x, np.eye(tiny.CLASSES)[y]), expected
    )
    predicted = model.predict_timesteps(x).cumsum(axis=1).argmax(axis=-1)
    np.testing.assert_allclose(expected, (predicted == y[:, None]).mean(axis=0))
    with pytest.raises(ValueError, match="same number of samples"):
        model.evaluate_timesteps(x, y[:-1])


def test_the_network_by_itself_follows_the_timesteps():
    model = tiny.network()
    x, _ = tiny.images(4)
    assert model.network.predict(x, verbose=0)["logits"].shape == (4, 3, 3)
    model.timesteps = 1
    assert model.network.predict(x, verbose=0)["logits"].shape == (4, 1, 3)


def test_nan_is_never_right():
    model = tiny.network()
    x = np.full((4, 8, 8, 1), np.nan, "float32")
    batch = [(x, np.zeros(4, int))]
    np.testing.assert_array_equal(model.evaluate_timesteps(batch), 0.0)


def test_labels_are_missing_for_accuracy():
    with pytest.raises(ValueError, match="Labels are missing"):
        tiny.network().evaluate_timesteps(tiny.images(4)[0])


def test_inference_model_drops_heads_and_augmentation():
    model = tiny.network()
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    x, y = tiny.images()
    model.fit(x, y, verbose=0)
    inference = model.inference_model()
    assert type(inference).__name__ == "Functional"
    assert inference.count_params() == tiny.network().count_params()
    np.testing.assert_allclose(
        inference.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )
    # The weights are shared.
    model.fit(x, y, verbose=0)
    np.testing.assert_allclose(
        inference.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )


def test_inference_model_of_event_frames_takes_a_number_of_steps():
    model = tiny.network(input_shape=(None, 8, 8, 2))
    inference = model.inference_model(timesteps=5)
    assert inference.input_shape == (None, 5, 8, 8, 2)
    x, _ = tiny.recordings(timesteps=5)
    np.testing.assert_allclose(
        inference.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )


# --- Bad input ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 0}, "`classes` must be an integer of at least 1"),
        ({"classes": 2.0}, "Received: classes=2.0"),
        ({"timesteps": 0}, "`timesteps` must be an integer of at least 1"),
        ({"timesteps": None}, "Received: timesteps=None"),
        ({"value_range": (1, 1)}, "`value_range` must be the least and"),
        ({"value_range": 255}, "Received: value_range=255"),
        ({"std": 0.0}, "`std` greater than 0"),
        ({"mean": "grey"}, "`mean` and `std` must be numbers"),
        ({"embedding_stages": ["stage9"]}, "must name some of the network"),
        ({"augmenter": "imagenet"}, "imagenet"),
        ({"connection": "or"}, "`connection` must be one of"),
        ({"stem": "mnist"}, "`stem` must be one of"),
        ({"input_shape": (8, 8)}, "`input_shape` must be"),
        ({"input_shape": (8, None, 3)}, "`input_shape` must be"),
        ({"input_shape": (1, 8, 3)}, "H and W must be at least 2"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny.network(**arguments)


def test_backbone_must_have_stages():
    inputs = keras.Input((4,))
    plain = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    with pytest.raises(ValueError, match="whose outputs are a dictionary"):
        keras_tcl.TCLModel(plain, classes=2)


@pytest.mark.parametrize("value", [0, -1, 1.5, "4", True])
def test_bad_timesteps_leave_the_model_as_it_was(value):
    model = tiny.network()
    with pytest.raises(ValueError, match="`timesteps` must be an integer"):
        model.timesteps = value
    assert model.timesteps == 3


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 9, 8, 1), "uint8"), r"built for samples of \(H, W, C\)"),
        (np.zeros((4, 8, 8, 3), "uint8"), r"Received \(8, 8, 3\)"),
        (np.zeros((4, 3, 8, 8, 2), "uint8"), "This model takes images"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate", "predict", "stream"])
def test_inputs_of_another_shape(x, message, method):
    model = tiny.network()
    model.compile("sgd", MeanCrossEntropy(), run_eagerly=EAGER)
    y = np.zeros(4, int)
    calls = {
        "fit": lambda: model.fit(x, y, verbose=0),
        "evaluate": lambda: model.evaluate(x, y, verbose=0),
        "predict": lambda: model.predict(x, verbose=0),
        "stream": lambda: model.fit(Batches(x, y), verbose=0),
    }
    with pytest.raises(ValueError, match=message):
        calls[method]()


def test_images_for_an_event_model():
    model = tiny.network(input_shape=(None, 8, 8, 2))
    with pytest.raises(ValueError, match="This model takes event frames"):
        model.predict(np.zeros((4, 8, 8, 2), "float32"), verbose=0)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0, 1, 2, 3]), "Class ids must lie between 0 and 2"),
        (np.array([0, 1, -1, 2]), "Class ids must lie between 0 and 2"),
        (np.zeros((4, 2, 2)), "Labels must be class ids"),
        (np.full((4, 3), 1 / 3), "needs one certain class per sample"),
    ],
)
def test_labels_that_do_not_fit(y, message):
    model = tiny.network()
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    with pytest.raises(ValueError, match=message):
        model.fit(tiny.images(4)[0], y, verbose=0)


def test_missing_labels():
    model = tiny.network()
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    with pytest.raises(ValueError, match="[Ll]abels are missing"):
        model.fit(tiny.images(4)[0], verbose=0)


def test_two_view_loss_needs_an_augmenter_or_two_views():
    model = tiny.network(augmenter=None)
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    x, y = tiny.images(4)
    with pytest.raises(ValueError, match="no augmenter to make others"):
        model.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match="their number must agree"):
        model.fit((x, x, x), y, verbose=0)
    with pytest.raises(ValueError, match="built for samples|their shapes"):
        model.fit((x, x[:, :4]), y, verbose=0)


def test_probabilities_loss_is_refused():
    model = tiny.network()
    with pytest.raises(ValueError, match="from_logits=True"):
        model.compile(
            "sgd",
            keras.losses.SparseCategoricalCrossentropy(),
            run_eagerly=EAGER,
        )


@pytest.mark.parametrize("reduction", [None, "none"])
def test_a_loss_of_each_sample_is_refused(reduction):
    with pytest.raises(ValueError, match="must give one number.*reduction="):
        tiny.network().compile("sgd", STCL(reduction=reduction))


def test_loss_weights_count_or_are_refused():
    model = tiny.network()
    with pytest.raises(ValueError, match="such as `weight`.*=0.5"):
        model.compile("sgd", STCL(), loss_weights=0.5)
    x, y = tiny.images(4)
    values = []
    for weights in (None, 0.5):
        model.compile("sgd", "sparse_categorical_crossentropy", weights)
        values.append(model.evaluate(x, y, verbose=0))
    assert values[1] == pytest.approx(0.5 * values[0])


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mse"])
def test_one_output(loss):
    """Two classes told by the sign, or a number."""
    model = tiny.network(classes=1)
    x, y = tiny.images()
    y = (y > 0).astype("float32")
    model.compile(keras.optimizers.Adam(0.01), loss, run_eagerly=EAGER)
    history = model.fit(x, y, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    logits = model.predict(x, verbose=0)[:, 0]
    expected = np.square(y - logits).mean()
    if loss == "binary_crossentropy":
        expected = (np.logaddexp(0, logits) - y * logits).mean()
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="the network has one output"):
        model.compile("sgd", TCL())


def test_several_labels_of_one_sample():
    model = tiny.network()
    x, y = tiny.images()
    labels = np.eye(tiny.CLASSES, dtype="float32")[y]
    labels[:, 0] = 1.0
    model.compile("sgd", "binary_crossentropy", run_eagerly=EAGER)
    assert np.isfinite(model.fit(x, labels, verbose=0).history["loss"][0])
    logits = model.predict(x, verbose=0)
    expected = (np.logaddexp(0, logits) - labels * logits).mean()
    assert model.evaluate(x, labels, verbose=0) == pytest.approx(
        expected, rel=1e-4
    )
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    with pytest.raises(ValueError, match="needs one certain class|sum"):
        model.fit(x, labels, verbose=0)


def test_pixels_between_0_and_1_are_warned_about():
    model = tiny.network()
    x, _ = tiny.images(4)
    with pytest.warns(UserWarning, match=r"value_range=\(0, 1\)"):
        model.predict(x / 255.0, verbose=0)
    # No warning where it is right.
    tiny.network(value_range=(0, 1)).predict(x / 255.0, verbose=0)


def test_nan_in_arrays_is_named():
    model = tiny.network()
    model.compile("sgd", STCL(), run_eagerly=EAGER)
    x, y = tiny.images(4)
    x = x.astype("float32")
    x[2, 0, 0] = np.nan
    for call in (
        lambda: model.fit(x, y, verbose=0),
        lambda: model.evaluate(x, y, verbose=0),
        lambda: model.predict(x, verbose=0),
        lambda: model.fit(x[:2], y[:2], validation_data=(x, y), verbose=0),
    ):
        with pytest.raises(ValueError, match="the first at index 2"):
            call()


@pytest.mark.parametrize("fault", ["pixels", "labels"])
def test_faults_in_a_data_set_stop_training_and_spare_the_weights(fault):
    x, y = tiny.images(8)
    x = x.astype("float32")
    if fault == "pixels":
        x[5, 0, 0] = np.inf
    else:
        y[5] = 7
    model = tiny.network()
    model.compile(keras.optimizers.SGD(0.1), STCL())
    message = {
        "pixels": "NaN or infinite values in the input",
        "labels": "Labels outside the model's classes",
    }[fault]
    with pytest.raises(ValueError, match=message):
        model.fit(Batches(x, y), verbose=0)
    assert all(np.isfinite(w).all() for w in weights_of(model))
    # A step on the faulty batch alone changes no weight at all.
    before = weights_of(model)
    with pytest.raises(ValueError, match=message):
        model.train_on_batch(x[4:], y[4:])
    for a, b in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)
    # And the model is as usable as it was.
    model.fit(Batches(x[:4], y[:4]), verbose=0)


@pytest.mark.parametrize("format", ["tf", "keras"])
def test_fit_takes_what_load_gives(format):
    """Without a warning: warnings are errors here."""
    if format == "tf":
        pytest.importorskip("tensorflow")
    x, y = tiny.images(8)
    data = tiny.data_set(x, y, shuffle=True, format=format)
    model = tiny.network()
    model.compile(keras.optimizers.SGD(0.1), TET(), run_eagerly=EAGER)
    history = model.fit(data, validation_data=data, epochs=2, verbose=0)
    assert len(history.history["val_loss"]) == 2
    assert model.evaluate_timesteps(data).shape == (3,)


class Unreadable(Batches):
    """Batches of which one cannot be read, once it has been read before."""

    def __init__(self, *args, readable):
        super().__init__(*args)
        self.readable = readable

    def __getitem__(self, i):
        self.readable -= 1
        if self.readable < 0:
            raise OSError("shelf 7 is on fire")
        return super().__getitem__(i)


def state_of(model):
    return [
        ops.convert_to_numpy(v.value).copy()
        for v in [*model.variables, *model.optimizer.variables]
    ]


@pytest.mark.parametrize(
    "method", ["fit", "evaluate", "predict", "predict_timesteps"]
)
def test_a_data_set_that_cannot_be_read_costs_no_state(method):
    x, y = tiny.images(8)
    model = tiny.network()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), TCL())
    good = Batches(x, y)
    model.fit(good, validation_data=good, verbose=0)
    before = state_of(model)
    # Keras may look at a first batch before the first step.
    for readable in (0, 1):
        bad = Unreadable(x, y, readable=readable)
        with pytest.raises(Exception, match="shelf 7"):
            getattr(model, method)(bad, verbose=0)
    assert len(state_of(model)) == len(before)
    if method != "fit":
        for a, b in zip(before, state_of(model), strict=True):
            np.testing.assert_array_equal(a, b)
    model.fit(good, verbose=0)


def test_a_step_that_cannot_be_traced_costs_no_state():
    model = tiny.network()
    model.compile(keras.optimizers.SGD(0.1), TET(), run_eagerly=EAGER)
    x, y = tiny.images(4)
    before = state_of(model)
    for wrong, message in (
        ((x, x), "their number must agree"),
        (x[:, :4], "built for samples"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(Pairs(wrong, y), verbose=0)
    for a, b in zip(before, state_of(model), strict=True):
        np.testing.assert_array_equal(a, b)
    model.fit(x, y, verbose=0)


class Pairs(keras.utils.PyDataset):
    """One batch of whatever it was given."""

    def __init__(self, x, y):
        super().__init__()
        self.pair = x, y

    def __len__(self):
        return 1

    def __getitem__(self, i):
        return self.pair


def test_nan_of_a_data_set_shows_in_predictions():
    model = tiny.network()
    x, y = tiny.images(4)
    x = x.astype("float32")
    x[1] = np.nan
    logits = model.predict(Batches(x, y), verbose=0)
    assert np.isnan(logits[1]).all()
    assert np.isfinite(logits[[0, 2, 3]]).all()
