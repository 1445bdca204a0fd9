"""Stages with a T of their own: what runs, what it equals, what is refused."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl import losses
from keras_tcl.callbacks import TimestepSchedule
from keras_tcl.layers import LIF, Classifier, DirectEncoding, EachStep
from keras_tcl.losses import TCL, TET, MeanCrossEntropy
from keras_tcl.training.staged import resampled


def images(count=12):
    rng = np.random.default_rng(0)
    return rng.random((count, 2, 2, 3), "float32"), rng.integers(0, 4, count)


def network(events=False, timesteps=4):
    """Two stages and a classifier."""
    inputs = keras.Input((timesteps, 2, 2, 3) if events else (2, 2, 3))
    x = inputs if events else DirectEncoding(timesteps)(inputs)
    first = LIF(threshold=0.5)(EachStep(keras.layers.Dense(6))(x))
    second = LIF(threshold=0.5)(EachStep(keras.layers.Dense(5))(first))
    logits = Classifier(4)(second)
    outputs = {"one": first, "two": second, "logits": logits}
    return keras.Model(inputs, outputs)


def compiled(loss=None, seed=0, **kwargs):
    keras.utils.set_random_seed(seed)
    model = keras_tcl.TCLModel(
        network(**kwargs), value_range=(0, 1), augmenter=None
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss or TET())
    return model


def weights(model):
    return [ops.convert_to_numpy(w) for w in model.network.weights]


@pytest.mark.parametrize("given", range(1, 6))
@pytest.mark.parametrize("timesteps", range(1, 6))
def test_resampled(given, timesteps):
    """Each step is the mean over its share of the time."""
    x = np.random.default_rng(0).random((2, given, 3)).astype("float32")
    found = ops.convert_to_numpy(resampled(ops.convert_to_tensor(x), timesteps))
    fine = np.repeat(x, timesteps, axis=1)  # T T' moments.
    expected = fine.reshape(2, timesteps, given, 3).mean(axis=2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    if timesteps % given == 0:  # Repeated spikes stay 0 and 1.
        repeated = np.repeat(x, timesteps // given, axis=1)
        np.testing.assert_array_equal(found, repeated)


@pytest.mark.parametrize("loss", [TET(), TCL()], ids=["TET", "TCL"])
def test_one_timestep_for_all_equals_the_plain_training(loss):
    models = [compiled(loss), compiled(loss)]
    models[0].stage_timesteps = (4, 4)
    for model in models:
        model.fit(*images(), epochs=3, batch_size=4, shuffle=False, verbose=0)
    for one, other in zip(*map(weights, models), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("events", [False, True])
@pytest.mark.parametrize("steps", [(1, 4), (2, 3), (3, 1), (6, 4)])
def test_outputs_are_those_of_the_layers_by_hand(steps, events):
    model = compiled(TCL(), events=events)
    x = ops.convert_to_tensor(images()[0])
    if events:
        rng = np.random.default_rng(1)
        x = ops.convert_to_tensor(rng.random((3, 4, 2, 2, 3), "float32"))
    model.stage_timesteps = steps
    found = model(x, training=True)
    layers = [
        layer
        for layer in model.network.layers
        if isinstance(layer, (LIF, EachStep, Classifier))
    ]
    if not events:
        x = ops.repeat(x[:, None], steps[0], axis=1)
    first = layers[1](layers[0](resampled(x, steps[0])))
    second = layers[3](layers[2](resampled(first, steps[1])))
    logits = ops.convert_to_numpy(layers[4](second))
    assert found["logits"].shape == (len(x), 1, steps[1], 4)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found["logits"])[:, 0], logits, atol=1e-6
    )
    embedded = {k: v.shape[2] for k, v in found["embeddings"].items()}
    assert embedded == {"one": steps[0], "two": steps[1]}
    # Inference is of the model's own T.
    assert model.predict_timesteps(x if events else images()[0]).shape[1] == 4


def test_a_setting_is_taken_up_again():
    """Two settings in turn train as in two models with one setting each."""
    model, other = compiled(), compiled()
    x, y = images(4)
    found = []
    for steps in [(1, 2), (4, 1), (1, 2), None, (4, 1)]:
        model.stage_timesteps = steps
        found.append(float(model.train_on_batch(x, y)))
    for number, steps in enumerate([(1, 2), (4, 1), (1, 2), None, (4, 1)]):
        other.compile(other.optimizer, TET())  # Compiles all anew.
        other.stage_timesteps = steps
        loss = float(other.train_on_batch(x, y))
        assert loss == pytest.approx(found[number], rel=1e-5)
    assert found[0] != found[2]


class Seen(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.steps, self.others = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.stage_timesteps)

    def on_test_batch_begin(self, batch, logs=None):
        self.others.append(self.model.stage_timesteps)

    on_epoch_end = on_train_end = on_test_batch_begin


@pytest.mark.parametrize("events", [False, True])
def test_schedule_draws_for_each_batch(events):
    drawn = []
    for seed in (0, 0, 1):
        model, seen = compiled(seed=seed, events=events), Seen()
        x, y = images(24)
        if events:
            x = np.repeat(x[:, None], 4, axis=1)
        schedule = TimestepSchedule(range(1, 5), per_stage=True, draws=3)
        model.fit(
            x, y, 4, epochs=4, verbose=0, callbacks=[schedule, seen],
            validation_data=(x[:4], y[:4]),
        )  # fmt: skip
        assert set(seen.others) == {None}
        assert model.stage_timesteps is None
        assert 1 < len(set(seen.steps)) <= 3
        assert all(1 <= t <= 4 for steps in seen.steps for t in steps)
        drawn.append(seen.steps)
    assert drawn[0] == drawn[1] != drawn[2]


def test_curriculum_of_stages_begins_with_few_steps():
    model, seen = compiled(MeanCrossEntropy()), Seen()
    schedule = TimestepSchedule({0: 1, 1: (2, 4)}, per_stage=True)
    model.fit(
        *images(8), 4, epochs=3, verbose=0, callbacks=[schedule, seen]
    )  # fmt: skip
    assert seen.steps[:2] == [(1, 1), (1, 1)]
    assert {t for steps in seen.steps[2:] for t in steps} <= {2, 4}


def test_failed_fit_puts_back_the_setting():
    class Fails(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = compiled()
    schedule = TimestepSchedule((1, 2), per_stage=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*images(), verbose=0, callbacks=[schedule, Fails()])
    assert model.stage_timesteps is None


@pytest.mark.parametrize(
    "loss",
    [
        TCL(),
        TET() + losses.TemporalDistillation() + losses.TemporalContrast(),
        TET() + losses.SpatialSelfDistillation(["stage1"]),
    ],
    ids=lambda loss: loss.name,
)
def test_sew_resnet_learns_with_mixed_timesteps(loss):
    """Four images, until they are known by heart."""
    keras.utils.set_random_seed(0)
    model = keras_tcl.models.sew_resnet(
        [1, 1], [8, 16], (8, 8, 1), 10, augmenter=None
    )
    model.compile(keras.optimizers.Adam(0.02), loss)
    x, y = keras_tcl.data.load("digits", "train[:4]", 4)[0]
    x, y = np.repeat(x, 4, axis=0), np.repeat(y, 4)
    settings = [(1, 3), (4, 2)]
    for step in range(60):
        model.stage_timesteps = settings[step % 2]
        model.train_on_batch(x, y)
    model.stage_timesteps = None
    model.calibrate(x)
    assert model.evaluate_timesteps(x, y)[-1] == 1


@pytest.mark.parametrize(
    "value", [4, (1,), (1, 2, 3), (0, 1), (1.5, 2), "12", (True, 2)]
)
def test_other_settings_are_refused(value):
    model = compiled()
    with pytest.raises(ValueError, match=r"each of the stages \['one', 'two'"):
        model.stage_timesteps = value
    assert model.stage_timesteps is None


def test_remat_is_refused():
    model = compiled()
    model.compile("sgd", TET(), remat="stage")
    model.stage_timesteps = (1, 2)
    with pytest.raises(ValueError, match="Compile without it"):
        model.fit(*images(), verbose=0)


def test_network_that_cannot_be_cut_is_refused():
    inputs = keras.Input((2, 2, 3))
    x = DirectEncoding(4)(inputs)
    first = LIF(threshold=0.5)(x)
    second = LIF(threshold=0.5)(ops.concatenate([first, x], axis=-1))
    outputs = {"one": first, "two": second, "logits": Classifier(4)(second)}
    model = keras_tcl.TCLModel(
        keras.Model(inputs, outputs), value_range=(0, 1), augmenter=None
    )
    with pytest.raises(ValueError, match=r"can be cut after \['two'\]"):
        model.stage_timesteps = (1, 2)
