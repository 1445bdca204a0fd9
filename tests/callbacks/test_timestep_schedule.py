"""The T of every step, and that it is the model's own everywhere else."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl.callbacks import TimestepSchedule
from keras_tcl.layers import LIF, DirectEncoding, EachStep
from keras_tcl.losses import (
    TET,
    LatencyCrossEntropy,
    TemporalLoss,
    TemporalSelfDistillation,
)
from tests.models import tiny

IS_COMPILED = keras.config.backend() != "torch"


class Seen(keras.callbacks.Callback):
    """Notes T in every step, and what of `epoch_end` and `test`."""

    def __init__(self):
        super().__init__()
        self.steps, self.others = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.timesteps)

    def on_test_batch_begin(self, batch, logs=None):
        self.others.append(self.model.timesteps)

    on_epoch_end = on_train_end = on_test_batch_begin


def images(count=12):
    rng = np.random.default_rng(0)
    return rng.random((count, 2, 2, 3), "float32"), rng.integers(0, 4, count)


def compiled(seed=0):
    """A model of T = 3 that is compiled in a moment."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((2, 2, 3))
    x = LIF(threshold=0.5)(DirectEncoding(3)(inputs))
    x = EachStep(keras.layers.Dense(4))(x)
    outputs = {"stage": x, "logits": ops.mean(x, axis=(2, 3))}
    model = keras_tcl.TCLModel(
        keras.Model(inputs, outputs), value_range=(0, 1), augmenter=None
    )
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, TET(), metrics=["accuracy"])
    return model


def fit(model, timesteps, epochs=1, seen=None, **kwargs):
    callbacks = [TimestepSchedule(timesteps), *([seen] if seen else [])]
    settings = {"batch_size": 4, "verbose": 0, "shuffle": False, **kwargs}
    return model.fit(*images(), epochs=epochs, callbacks=callbacks, **settings)


@pytest.mark.parametrize(
    "timesteps, expected",
    [
        ({0: 1, 1: 2, 3: 3}, [1, 2, 2, 3]),
        ({2: np.int64(1)}, [3, 3, 1, 1]),
        (lambda epoch: min(1 + epoch, 3), [1, 2, 3, 3]),
        (2, [2, 2, 2, 2]),
    ],
)
def test_curriculum(timesteps, expected):
    model, seen = compiled(), Seen()
    fit(model, timesteps, 4, seen, validation_data=images(4))
    assert seen.steps == list(np.repeat(expected, 3))
    # Validation, the end of an epoch, and that of the training.
    assert seen.others == [3] * (4 * 2 + 1)
    assert model.timesteps == 3


def test_random_timesteps_are_of_each_batch_and_of_the_seed():
    drawn = []
    for seed in (0, 0, 1):
        model, seen = compiled(seed), Seen()
        fit(model, {0: range(1, 4), 4: (1, 3)}, 6, seen)
        drawn.append(seen.steps)
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[0][:12]) == {1, 2, 3}
    assert set(drawn[0][12:]) == {1, 3}


def test_random_timesteps_leave_other_random_numbers_as_they_are():
    """The order of the data is that of a training at one T."""
    orders = []
    for timesteps in (3, (3,), range(3, 4)):
        model = compiled()
        history = fit(model, timesteps, shuffle=True).history
        orders.append(history["loss"])
    assert orders[0] == orders[1] == orders[2]


def test_equals_a_training_whose_timesteps_are_set_between_epochs():
    x, y = images()
    models = [compiled(), compiled()]
    scheduled = fit(
        models[0], {0: 1, 1: 3, 2: 1}, 3, validation_data=(x, y)
    ).history
    losses = []
    for epoch, timesteps in enumerate([1, 3, 1]):
        models[1].timesteps = timesteps
        history = models[1].fit(
            x, y, batch_size=4, verbose=0, shuffle=False,
            epochs=epoch + 1, initial_epoch=epoch,
        ).history  # fmt: skip
        losses += history["loss"]
    np.testing.assert_allclose(scheduled["loss"], losses, rtol=1e-5)
    for one, other in zip(
        models[0].variables, models[1].variables, strict=True
    ):
        np.testing.assert_allclose(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other), atol=1e-5
        )
    models[1].timesteps = 3
    result = models[1].evaluate(x, y, 4, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        scheduled["val_loss"][-1], result["loss"], rtol=1e-4
    )


@pytest.mark.skipif(not IS_COMPILED, reason="PyTorch compiles nothing.")
def test_every_t_is_compiled_once(monkeypatch):
    model = compiled()
    traced = []
    outputs = type(model)._outputs

    def note(self, x, training):
        traced.append((self.timesteps, training))
        return outputs(self, x, training)

    monkeypatch.setattr(type(model), "_outputs", note)
    seen = Seen()
    data = images()
    schedule = [1, 2, 1, 2]
    fit(model, schedule.__getitem__, 4, seen, validation_data=data)
    assert seen.steps == [1] * 3 + [2] * 3 + [1] * 3 + [2] * 3
    training = [t for t, training in traced if training]
    # TensorFlow traces a step twice: once to make the variables it needs.
    assert sorted(set(training)) == [1, 2] and len(training) <= 3
    assert {t for t, training in traced if not training} == {3}
    # So is it kept when T is set by hand, and forgotten by `compile`.
    del traced[:]
    fit(model, {0: 2})
    assert not traced
    model.compile("sgd", TET())
    fit(model, {0: 2})
    assert {t for t, training in traced if training} == {2}


def results_at(model, timesteps, x, y):
    model.timesteps = timesteps
    return model.evaluate(x, y, verbose=0)[0]


def test_functions_are_those_of_the_timesteps_set():
    x, y = images(8)
    model = compiled()
    first = [results_at(model, t, x, y) for t in (1, 2, 3)]
    assert len(set(first)) == 3
    assert [results_at(model, t, x, y) for t in (1, 2, 3)] == first
    # A layer set by itself, which the model cannot know of.
    (encoding,) = model._encodings()
    encoding.timesteps = 1
    assert [results_at(model, t, x, y) for t in (2, 3, 1)] == [
        first[t - 1] for t in (2, 3, 1)
    ]


class Failing(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise RuntimeError("stop")


def test_timesteps_are_restored_after_an_exception():
    model = compiled()
    x, y = images(8)
    with pytest.raises(RuntimeError, match="stop"):
        model.fit(x, y, verbose=0, callbacks=[TimestepSchedule(1), Failing()])
    assert model.timesteps == 3
    fit(model, 1)
    assert model.timesteps == 3


@pytest.mark.parametrize(
    "timesteps",
    [
        0,
        -1,
        1.5,
        True,
        "2",
        None,
        (),
        range(3, 1),
        (1, 0),
        {0: 0},
        {0: (1, "a")},
    ],
)
def test_no_timesteps(timesteps):
    with pytest.raises(ValueError, match="must be an integer of at least 1"):
        TimestepSchedule(timesteps)


@pytest.mark.parametrize("epoch", [-1, 0.5, "a"])
def test_no_epoch(epoch):
    with pytest.raises(ValueError, match="`epoch` must be an integer"):
        TimestepSchedule({epoch: 1})


@pytest.mark.parametrize(
    "timesteps",
    [4, range(1, 5), {9: 4}, lambda epoch: epoch, lambda epoch: 2.0],
)
def test_timesteps_that_do_not_fit_the_model(timesteps):
    model, seen = compiled(), Seen()
    with pytest.raises(ValueError, match="at most model.timesteps=3"):
        fit(model, timesteps, 10, seen)
    assert not seen.steps and model.timesteps == 3


def test_event_frames_have_their_own():
    model = tiny.network(input_shape=(None, 8, 8, 2))
    model.compile("sgd", TET())
    x, y = tiny.recordings()
    with pytest.raises(ValueError, match="T of event frames is their number"):
        model.fit(x, y, verbose=0, callbacks=[TimestepSchedule(1)])


@pytest.mark.parametrize("schedule_first", [True, False])
def test_epochs_end_with_the_models_own_timesteps(schedule_first):
    """Without a validation, that would set them; in any order of callbacks."""
    model, seen = compiled(), Seen()
    callbacks = [TimestepSchedule({0: 1, 1: 2}), seen]
    model.fit(
        *images(),
        epochs=2,
        batch_size=4,
        verbose=0,
        callbacks=callbacks if schedule_first else callbacks[::-1],
    )
    assert seen.others == [3, 3, 3]


@pytest.mark.parametrize("per_stage", [False, True])
def test_state_goes_on_in_a_program_of_another_seed(per_stage):
    def begun(seed):
        keras.utils.set_random_seed(seed)
        schedule = TimestepSchedule((1, 2, 3), per_stage, draws=4)
        schedule.set_model(tiny.network())
        schedule.set_params({"epochs": 1})
        schedule.on_train_begin()
        return schedule

    def drawn(schedule, count=12):
        attribute = "stage_timesteps" if per_stage else "timesteps"
        schedule.on_epoch_begin(0)
        for batch in range(count):
            schedule.on_train_batch_begin(batch)
            yield getattr(schedule.model, attribute)

    one, other = begun(0), begun(1)
    list(drawn(one, 3))
    state = json.loads(json.dumps(one.get_state()))
    other.set_state(state)
    expected = list(drawn(one))
    assert list(drawn(other)) == expected
    assert 1 < len(set(expected)) <= 4


class EvenSteps(TemporalLoss):
    """A loss of one's own that says which T it can take."""

    def check_timesteps(self, timesteps):
        if timesteps % 2:
            raise ValueError("T must be even.")

    def classification(self, targets, logits):
        return ops.mean(ops.square(logits), axis=(2, 3))


@pytest.mark.parametrize("per_stage", [False, True])
@pytest.mark.parametrize(
    "loss, name, timesteps, first",
    [
        (
            lambda: TET() + TemporalSelfDistillation(2),
            r"tet \+ temporal_self_distillation",
            range(1, 4),
            1,
        ),
        (
            lambda: LatencyCrossEntropy([1, 2, 3], name="mine"),
            "mine",
            {0: 3, 9: (2, 3)},
            2,
        ),
        (
            lambda: 0.5 * TET() + 2 * EvenSteps(name="even"),
            r"0.5 \* tet \+ 2 \* even",
            lambda epoch: 2 + epoch // 9,
            3,
        ),
    ],
    ids=["self distillation", "weights", "of one's own"],
)
def test_what_the_loss_cannot_take_is_refused_at_once(
    loss, name, timesteps, first, per_stage
):
    """Not in the epoch, or the batch, that first has such a T."""
    model, seen = compiled(), Seen()
    model.compile("sgd", loss())
    before = [ops.convert_to_numpy(v) for v in model.variables]
    schedule = TimestepSchedule(timesteps, per_stage=per_stage)
    with pytest.raises(ValueError, match=rf"T = {first}, .* loss '{name}' can"):
        model.fit(*images(), epochs=10, verbose=0, callbacks=[schedule, seen])
    assert not seen.steps and model.timesteps == 3
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, ops.convert_to_numpy(variable))


@pytest.mark.parametrize(
    "loss, timesteps",
    [
        (TET() + TemporalSelfDistillation(2), (2, 3)),
        (TET() + 0 * TemporalSelfDistillation(2), range(1, 4)),
        (LatencyCrossEntropy([1, 2]), 2),
        (LatencyCrossEntropy(), range(1, 4)),
        ("sparse_categorical_crossentropy", range(1, 4)),
    ],
    ids=["enough", "weight 0", "weights", "none", "keras"],
)
def test_what_the_loss_can_take_is_trained(loss, timesteps):
    model, seen = compiled(), Seen()
    model.compile("sgd", loss)
    fit(model, timesteps, 1, seen)
    assert len(seen.steps) == 3
