"""What a model does for its loss: terms by name, teachers, weak classifiers."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl.losses import (
    TCL,
    TET,
    Distillation,
    MeanCrossEntropy,
    SpatialSelfDistillation,
    TemporalConsistency,
    TemporalContrast,
    TemporalDistillation,
)
from tests.models import tiny

# Compiling costs more than the few steps of a test.
EAGER = keras.config.backend() == "tensorflow"


def sum_of_losses():
    return (
        TET()
        + 0.5 * TemporalDistillation()
        + 0.3 * TemporalContrast()
        + 0.1 * TemporalConsistency()
    )


def compiled(loss, eager=EAGER, **kwargs):
    model = tiny.network(augmenter=None, **kwargs)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=eager)
    return model


def values(variables):
    return [ops.convert_to_numpy(v.value).copy() for v in variables]


def assert_equal(before, after):
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def teacher_of(classes=tiny.CLASSES, shape=(8, 8, 1), **kwargs):
    """An artificial network with all that changes in training."""
    x = inputs = keras.Input(shape)
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.Conv2D(4, 3)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(classes)(x), **kwargs)


# --- Terms ---------------------------------------------------------------


def test_terms_of_a_sum_are_shown_by_name():
    model = compiled(sum_of_losses())
    x, y = tiny.images(7)
    history = model.fit(
        x, y, batch_size=4, validation_data=(x, y), verbose=0
    ).history
    names = ["classification", "distillation", "contrastive", "consistency"]
    for before in ("", "val_"):
        terms = [history.pop(f"{before}{name}_loss")[0] for name in names]
        assert min(terms) > 0
        total = history.pop(f"{before}loss")[0]
        assert total == pytest.approx(sum(terms), rel=1e-5)
    assert not history
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert set(logs) == {"loss", *(f"{name}_loss" for name in names)}
    assert isinstance(model.evaluate(x, y, verbose=0), float)


def test_terms_shown_are_those_of_the_loss_that_is_compiled():
    model = compiled(sum_of_losses())
    x, y = tiny.images(4)
    model.train_on_batch(x, y)
    for loss, terms in (
        (0.5 * TET(), {"classification_loss"}),
        ("sparse_categorical_crossentropy", set()),
        (TCL(), {"classification_loss", "contrastive_loss"}),
    ):
        model.compile("sgd", loss, run_eagerly=EAGER)
        logs = model.train_on_batch(x, y, return_dict=True)
        assert set(logs) == {"loss", *terms}
        assert logs["loss"] == pytest.approx(
            sum(logs[name] for name in terms) or logs["loss"], rel=1e-5
        )


def test_a_sum_survives_a_file(tmp_path):
    model = compiled(sum_of_losses(), eager=False)
    x, y = tiny.images(8)
    model.fit(x, y, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras_tcl.load_model(tmp_path / "model.keras")
    assert repr(loaded.loss) == repr(model.loss)
    for again in (False, True):
        expected = model.train_on_batch(x, y, return_dict=True)
        received = loaded.train_on_batch(x, y, return_dict=True)
        assert received == pytest.approx(expected, rel=1e-4), again


def test_weights_suit_a_model_of_another_loss(tmp_path):
    path = tmp_path / "model.weights.h5"
    compiled(sum_of_losses()).save_weights(path)
    for loss in (TET(), TET() + SpatialSelfDistillation()):
        model = compiled(loss)
        model.load_weights(path)
    model.save_weights(path)
    compiled(sum_of_losses()).load_weights(path)


# --- A teacher ------------------------------------------------------------


@pytest.mark.parametrize("eager", [EAGER, False])
def test_a_teacher_teaches_and_stays_as_it_is(eager, tmp_path):
    if eager and not EAGER:
        pytest.skip("the same as the other")
    teacher = teacher_of()
    x, y = tiny.images(8)
    model = compiled(TET() + 0.2 * Distillation(teacher), eager)
    before, own = values(teacher.variables), values(model.trainable_variables)
    history = model.fit(
        x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0
    ).history
    assert history["distillation_loss"][1] > 0
    assert history["val_distillation_loss"][1] > 0
    assert_equal(before, values(teacher.variables))
    moved = zip(own, values(model.trainable_variables), strict=True)
    assert all(np.abs(a - b).max() > 0 for a, b in moved)
    names = {variable.path for variable in model.variables}
    assert not names & {variable.path for variable in teacher.variables}
    assert teacher.trainable_variables  # They are still to be trained.


def test_a_teacher_sees_the_views():
    teacher = teacher_of()
    loss = TET() + Distillation(teacher) + TemporalContrast(views=2)
    model = compiled(loss)
    x = tuple(ops.cast(tiny.images(3, seed=i)[0], "float32") for i in (0, 1))
    outputs = model(x, training=True)
    for view, images in enumerate(x):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ops.stop_gradient(outputs["teacher"]))[
                :, view
            ],
            ops.convert_to_numpy(
                ops.stop_gradient(teacher(images, training=False))
            ),
            rtol=1e-4,
            atol=1e-5,
        )


def test_a_step_is_that_of_the_formula():
    teacher = teacher_of()
    loss = Distillation(teacher, temperature=2.0)
    model = compiled(TET() + 0.2 * loss)
    x, y = tiny.images(4)
    outputs = keras.tree.map_structure(
        lambda v: ops.convert_to_numpy(ops.stop_gradient(v)),
        model(ops.convert_to_tensor(x), training=True),
    )
    expected = 0.2 * float(loss(y, outputs))
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["distillation_loss"] == pytest.approx(expected, rel=1e-3)


def test_a_teacher_is_not_saved(tmp_path):
    teacher = teacher_of()
    x, y = tiny.images(4)
    model = compiled(TET() + 0.2 * Distillation(teacher))
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras_tcl.load_model(tmp_path / "model.keras")
    assert loaded.count_params() == model.count_params()
    assert loaded.loss.teachers() == []
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )
    before = values(loaded.variables)
    with pytest.raises(ValueError, match="no teacher.*Compile the model again"):
        loaded.fit(x, y, verbose=0)
    assert_equal(before, values(loaded.variables))
    loaded.compile(
        loaded.optimizer, TET() + 0.2 * Distillation(teacher), run_eagerly=EAGER
    )
    assert int(ops.convert_to_numpy(loaded.optimizer.iterations)) == 1
    expected = model.train_on_batch(x, y)
    assert loaded.train_on_batch(x, y) == pytest.approx(expected, rel=1e-4)


def test_a_spiking_teacher():
    model = compiled(TET() + Distillation(tiny.network(timesteps=2)))
    logs = model.train_on_batch(*tiny.images(4), return_dict=True)
    assert logs["distillation_loss"] > 0


def test_a_spiking_teacher_in_evaluation():
    teacher = tiny.network(timesteps=2)
    model = compiled(TET() + Distillation(teacher))
    x, y = tiny.images(4)
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    y_pred = {
        "logits": model.predict_timesteps(x),
        "teacher": teacher.predict(x, verbose=0),
    }
    expected = float(Distillation()(y, y_pred))
    assert logs["distillation_loss"] == pytest.approx(expected, rel=1e-3)


def test_a_teacher_that_is_the_model_itself():
    model = compiled(TET())
    model.compile("sgd", TET() + Distillation(model), run_eagerly=EAGER)
    logs = model.evaluate(*tiny.images(4), verbose=0, return_dict=True)
    assert np.isfinite(logs["distillation_loss"])


class Square(Distillation):
    def values(self, targets, outputs):
        square = ops.mean(ops.square(outputs.teacher), axis=-1)
        return square + 0.0 * ops.mean(outputs.logits, axis=(2, 3))


def test_no_gradient_reaches_a_teacher_that_shares_the_weights():
    model = compiled(TET())
    teacher = keras.Model(model.input, model.output)
    model.compile(keras.optimizers.SGD(0.1), Square(teacher), run_eagerly=EAGER)
    before = values(model.trainable_variables)
    model.train_on_batch(*tiny.images(4))
    assert_equal(before, values(model.trainable_variables))


def test_a_teacher_keeps_no_losses():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    inner = keras.layers.Dense(4, activity_regularizer="l2")
    teacher = keras.Model(inputs, keras.layers.Dense(tiny.CLASSES)(inner(x)))
    model = compiled(TET() + Distillation(teacher))
    for _ in range(2):
        model.train_on_batch(*tiny.images(4))
    assert not inner._losses


def test_classifiers_of_other_stages_in_one_sum():
    model = compiled(TET())
    loss = SpatialSelfDistillation(["stage1"]) + SpatialSelfDistillation(
        ["stage2"]
    )
    with pytest.raises(ValueError, match="name them all in one loss"):
        model.compile("sgd", loss)


class TwoAnswers(keras.Model):
    def call(self, x):
        return x, x


def softened(teacher):
    outputs = keras.layers.Softmax()(teacher.output)
    return keras.Model(teacher.input, outputs)


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (lambda: teacher_of(5, name="wise"), r"'wise'.*3 classes.*\(None, 5\)"),
        (lambda: teacher_of(shape=(9, 9, 1)), r"samples of shape \(8, 8, 1\)"),
        (lambda: tiny.network().network, "must return logits.*dict"),
        (lambda: TwoAnswers(), "must return logits.*tuple"),
        (lambda: softened(teacher_of()), "returns probabilities"),
    ],
    ids=["classes", "input", "network", "two", "softmax"],
)
def test_refuses_a_teacher_of_another_task(teacher, message):
    model = compiled(TET())
    with pytest.raises(ValueError, match=message):
        model.compile("sgd", MeanCrossEntropy() + Distillation(teacher()))
    assert isinstance(model.loss, TET)


# --- Weak classifiers of stages ------------------------------------------


def test_weak_classifiers_exist_only_where_the_loss_wants_them():
    model = compiled(TET())
    bare = model.count_params()
    assert len(model.weak_classifiers) == 0
    model.compile("sgd", TET() + SpatialSelfDistillation(), run_eagerly=EAGER)
    assert list(model.weak_classifiers) == ["stage1"]
    assert model.count_params() > bare
    x, y = tiny.images(4)
    outputs = model(ops.convert_to_tensor(x), training=True)
    assert tuple(outputs["stage_logits"]["stage1"].shape) == (4, 1, 3, 3)
    before = values(model.weak_classifiers.variables)
    logs = model.train_on_batch(x, y, return_dict=True)
    assert logs["distillation_loss"] > 0
    after = values(model.weak_classifiers.variables)
    assert all(
        np.abs(a - b).max() > 0 for a, b in zip(before, after, strict=True)
    )
    assert model.inference_model().count_params() == bare
    model.compile("sgd", TET(), run_eagerly=EAGER)  # They wait, untouched.
    model.train_on_batch(x, y)
    assert_equal(after, values(model.weak_classifiers.variables))


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_stages_below_a_weak_classifier_learn_from_it():
    """And nothing above: the network's answer is the teacher."""
    model = compiled(SpatialSelfDistillation())
    kernels = {
        name: model.network.get_layer(name).trainable_variables[0]
        for name in ("stage1_block1_1_conv", "stage2_block1_1_conv")
    }
    before = values(kernels.values())
    model.train_on_batch(*tiny.images(4))
    below, above = (
        np.abs(a - b).max()
        for a, b in zip(before, values(kernels.values()), strict=True)
    )
    assert below > 0 and above == 0


def test_weak_classifiers_survive_a_file(tmp_path):
    model = compiled(TET() + SpatialSelfDistillation(["stage1", "stage2"]))
    x, y = tiny.images(4)
    model.train_on_batch(x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras_tcl.load_model(tmp_path / "model.keras")
    assert list(loaded.weak_classifiers) == ["stage1", "stage2"]
    assert_equal(
        values(model.weak_classifiers.variables),
        values(loaded.weak_classifiers.variables),
    )


def test_refuses_stages_that_are_not():
    model = compiled(TET())
    with pytest.raises(ValueError, match=r"stages=\['stem'\].*'stage1'"):
        model.compile("sgd", SpatialSelfDistillation(["stem"]))
    assert isinstance(model.loss, TET)
