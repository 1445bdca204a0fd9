"""What Keras needed mending for: threads, files, recordings, what is held."""

import gc
import threading
import time

import keras
import numpy as np
import pytest
from keras import ops

import keras_tcl
from keras_tcl.losses import MeanCrossEntropy
from keras_tcl.training import keras_fixes
from tests.models import tiny

BACKEND = keras.config.backend()
EAGER = BACKEND == "tensorflow"


def network(classes=3, **kwargs):
    settings = {"input_shape": (8, 8, 1), "augmenter": None, **kwargs}
    return keras_tcl.models.sew_resnet(
        [1], [4], classes=classes, timesteps=2, **settings
    )


def trained(classes=3, seed=0):
    keras.utils.set_random_seed(seed)
    model = network(classes)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        MeanCrossEntropy(),
        metrics=["accuracy"],
        run_eagerly=EAGER,
    )
    x, y = tiny.images(12)
    model.fit(x, y, batch_size=6, verbose=0)
    return model


def state_of(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [ops.convert_to_numpy(v.value).copy() for v in variables]


def assert_same(a, b):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)


# --- Threads -----------------------------------------------------------------


def in_threads(function, count=4):
    """Results of a function called in several threads, or their errors."""
    results = [None] * count

    def call(i):
        try:
            results[i] = function()
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=call, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def test_threads_predict_and_evaluate_at_once():
    model = trained()
    before = state_of(model)
    x, y = tiny.images(12)
    calls = {
        "predict": lambda: model.predict(x, batch_size=4, verbose=0),
        "predict_on_batch": lambda: model.predict_on_batch(x),
        "predict_timesteps": lambda: model.predict_timesteps(x),
        "evaluate": lambda: model.evaluate(x, y, 4, verbose=0),
        "test_on_batch": lambda: model.test_on_batch(x, y),
    }
    expected = {name: call() for name, call in calls.items()}

    def all_of_them():
        return {name: call() for name, call in calls.items()}

    for results in in_threads(all_of_them):
        for name, value in results.items():
            np.testing.assert_allclose(
                value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name
            )
    assert_same(before, state_of(model))


def test_who_comes_after_a_waiting_training_is_refused():
    """Else it would wait until the training, which goes first, has ended."""
    turn = keras_fixes._Turn()
    evaluates, may_end, outcomes = threading.Event(), threading.Event(), []

    def evaluate():
        with turn.taken(trains=False):
            evaluates.set()
            may_end.wait()
            with turn.taken(trains=False):  # As `evaluate` calls others.
                outcomes.append("evaluated")

    def fit():
        with turn.taken(trains=True):
            outcomes.append("trained")

    first = threading.Thread(target=evaluate)
    first.start()
    evaluates.wait()
    second = threading.Thread(target=fit)
    second.start()
    while turn._trainer is None:
        time.sleep(0.01)
    with pytest.raises(RuntimeError, match="Another thread is training"):
        with turn.taken(trains=False):
            pass
    may_end.set()
    first.join()
    second.join()
    assert outcomes == ["evaluated", "trained"]
    with turn.taken(trains=False):
        pass


def test_validation_of_another_number_of_steps_compiles_once():
    model = network(input_shape=(None, 8, 8, 2))
    model.compile("sgd", MeanCrossEntropy(), run_eagerly=EAGER)
    data = [tiny.recordings(4, timesteps) for timesteps in (2, 3)]
    made = []
    make = model.make_train_function
    model.make_train_function = lambda force=False: (
        made.append(force),
        make(force),
    )[1]
    model.fit(*data[0], validation_data=data[1], epochs=3, verbose=0)
    model.fit(*data[0], validation_data=data[1], epochs=3, verbose=0)
    assert not any(made)


def test_a_thread_may_not_use_a_model_in_training():
    """It would wait for hours; or for ever, where training waits for it."""
    model = trained()
    x, y = tiny.images(12)
    seen = []

    class Other(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises(RuntimeError, match="Another thread is train"):
                in_threads(lambda: model.evaluate(x, y, verbose=0), 1)
            seen.append(model.evaluate(x, y, verbose=0))  # This one may.

    model.fit(x, y, verbose=0, callbacks=[Other()])
    assert len(seen) == 1
    in_threads(lambda: model.evaluate(x, y, verbose=0), 1)


def test_two_models_do_not_wait_for_each_other():
    model, teacher = trained(), trained()
    x, y = tiny.images(12)

    class Other(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            in_threads(lambda: teacher.evaluate(x, y, verbose=0), 1)

    model.fit(x, y, verbose=0, callbacks=[Other()])


# --- Weights from a file -----------------------------------------------------


@pytest.mark.parametrize("fault", ["classes", "bits"])
def test_weights_that_fail_leave_the_optimizer_alone(tmp_path, fault):
    path = tmp_path / "model.weights.h5"
    other = trained(4 if fault == "classes" else 3, seed=5)
    other.save_weights(path)
    good = path.read_bytes()
    if fault == "bits":
        path.write_bytes(good[: len(good) // 2])
    model = trained()
    before = state_of(model)
    with pytest.raises(ValueError, match="skip_mismatch=True"):
        model.load_weights(path)
    assert_same(before, state_of(model))
    # A good file in its place is read, not the one that failed.
    if fault == "bits":
        path.write_bytes(good)
        model.load_weights(path)
        assert_same(state_of(other), state_of(model))
    else:
        with pytest.warns(UserWarning):
            model.load_weights(path, skip_mismatch=True)


@pytest.mark.parametrize("name", ["none.weights.h5", "none.keras"])
def test_a_file_that_is_not_there(tmp_path, name):
    model = trained()
    before = state_of(model)
    with pytest.raises(ValueError, match=f"no file .*{name}"):
        model.load_weights(tmp_path / name)
    assert_same(before, state_of(model))


# --- Recordings of several lengths -------------------------------------------


def test_batches_of_another_number_of_steps():
    model = network(input_shape=(None, 8, 8, 2))
    model.compile("sgd", MeanCrossEntropy(), run_eagerly=EAGER)
    batches = [tiny.recordings(4, timesteps) for timesteps in (4, 8)]
    for x, y in batches:
        assert np.isfinite(model.train_on_batch(x, y)).all()
        assert model.predict_on_batch(x).shape == (4, 3)
        assert model.evaluate_timesteps([(x, y)]).shape == (x.shape[1],)
    with pytest.raises(ValueError, match="T = 4 and T = 8"):
        model.evaluate_timesteps(batches)
    batches = [tiny.recordings(4, timesteps) for timesteps in (1, 3)]
    with pytest.raises(ValueError, match="T = 1 and T = 3"):
        model.evaluate_timesteps(batches)


@pytest.mark.slow  # It compiles on TensorFlow, as eager code knows all shapes.
def test_labels_of_another_number_of_axes():
    model = network()
    model.compile("sgd", MeanCrossEntropy())
    x, y = tiny.images(4)
    for labels in (y, y[:, None], np.eye(3)[y]):
        assert np.isfinite(model.fit(x, labels, verbose=0).history["loss"])
        assert np.isfinite(model.train_on_batch(x, labels))
        assert np.isfinite(model.evaluate(x, labels, verbose=0))


# --- Progress ----------------------------------------------------------------


@pytest.mark.parametrize("verbose", ["auto", 1])
def test_a_file_gets_lines_unless_a_bar_is_asked_for(verbose, capsys):
    """Keras takes any output of a Unix system for a terminal."""
    model = trained()
    x, y = tiny.images(12)
    model.fit(x, y, batch_size=6, verbose=verbose)
    model.evaluate(x, y, verbose=verbose)
    model.predict(x, verbose=verbose)
    output = capsys.readouterr().out
    assert "loss" in output
    is_bar = any(control in output for control in "\b\r\x1b")
    assert is_bar == (verbose == 1)


# --- Memory ------------------------------------------------------------------


def test_training_holds_nothing():
    """Objects and arrays that are alive, after epochs and after more."""
    model = trained()
    x, y = tiny.images(24)

    def alive():
        model.fit(x, y, batch_size=6, epochs=3, verbose=0)
        gc.collect()
        arrays = 0
        if BACKEND == "jax":
            import jax

            arrays = len(jax.live_arrays())
        return len(gc.get_objects()), arrays

    alive()
    objects, arrays = alive()
    for _ in range(3):
        more_objects, more_arrays = alive()
    # 36 steps: one object held by each would show.
    assert more_objects - objects < 30
    assert more_arrays <= arrays


# --- What is trained ---------------------------------------------------------


def test_trainable_counts_from_the_next_compile():
    model = trained()
    x, y = tiny.images(4)
    frozen = keras.Model(model.inputs, model.stages)  # Shares the layers.
    frozen.trainable = False
    before = state_of(model)
    for train in (model.train_on_batch, model.fit):
        with pytest.raises(ValueError, match=r"Call `compile\(\)` again"):
            train(x, y)
    assert_same(before, state_of(model))
    model.compile("sgd", MeanCrossEntropy(), run_eagerly=EAGER)
    model.fit(x, y, verbose=0)
    frozen.trainable = True
    with pytest.raises(ValueError, match=r"trainable variables, and the model"):
        model.fit(x, y)
