"""`Batches` in `fit`, as they are and as a `tf.data.Dataset`."""

import gc
import importlib.util
import os
import random
import threading

import keras
import numpy as np
import pytest

from keras_tcl import losses
from keras_tcl.data import ArraySource, Batches, DataInfo
from tests.models import tiny

pytestmark = [
    # Keras says so of every tf.data.Dataset, unless `fit(shuffle=False)`.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed"),
    # PyTorch 2.13 under NumPy 2.4.
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),
]

HAS_TF = importlib.util.find_spec("tensorflow") is not None
FORMATS = [
    pytest.param(
        "tf",
        marks=pytest.mark.skipif(not HAS_TF, reason="needs TensorFlow"),
    ),
    "keras",
]
INFO = DataInfo("mine", classes=3, shape=(4, 4, 1), value_range=(0, 255))
SIZE, BATCH = 50, 8


def images():
    x = np.random.default_rng(0).integers(0, 256, (SIZE, 4, 4, 1), "uint8")
    source = ArraySource(INFO, x, np.arange(SIZE) % 3)
    source.in_memory = False  # To be read ahead by threads, as files are.
    return source


def as_format(batches, format):
    return batches.as_tf() if format == "tf" else batches


def dataset(format, shuffle=True, drop_remainder=True):
    batches = Batches(images(), BATCH, shuffle, 5, drop_remainder)
    return as_format(batches, format)


def as_numpy(batches):
    return [(np.asarray(x), np.asarray(y)) for x, y in batches]


def expected(epoch, drop_remainder=True):
    order = np.random.default_rng([5, epoch]).permutation(SIZE)
    stop = SIZE // BATCH * BATCH if drop_remainder else SIZE
    source = images()
    return [source.read(order[i : i + BATCH]) for i in range(0, stop, BATCH)]


def assert_equal(batches, reference):
    assert len(batches) == len(reference)
    for (x, y), (u, v) in zip(batches, reference, strict=True):
        assert x.dtype == u.dtype == "uint8" and y.dtype == "int32"
        assert np.array_equal(x, u) and np.array_equal(y, v)


def model():
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    network.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return network


def as_array(value):
    tensor = keras.ops.convert_to_tensor(value)
    return keras.ops.convert_to_numpy(keras.ops.stop_gradient(tensor))


def weights(network):
    return [as_array(weight) for weight in network.weights]


def trained_by_hand(epochs, steps=None):
    """The weights after these batches in this order."""
    network = model()
    network.build((None, 4, 4, 1))
    batches = [batch for epoch in range(epochs) for batch in expected(epoch)]
    for x, y in batches[:steps]:
        network.train_on_batch(x, y)
    return weights(network)


@pytest.mark.parametrize("format", FORMATS)
def test_batches_of_each_epoch(format):
    data = dataset(format)
    for epoch in range(3):
        assert_equal(as_numpy(data), expected(epoch))


@pytest.mark.parametrize("format", FORMATS)
def test_ragged_batch_and_order_for_evaluation(format):
    data = dataset(format, shuffle=False, drop_remainder=False)
    batches = as_numpy(data)
    assert [len(x) for x, _ in batches] == [8] * 6 + [2]
    x, _ = images().read(range(SIZE))
    assert np.array_equal(np.concatenate([x for x, _ in batches]), x)


@pytest.mark.parametrize("format", FORMATS)
def test_looking_at_the_first_batch_changes_nothing(format):
    data = dataset(format)
    for _ in range(3):
        x, _ = next(iter(data))
        assert np.array_equal(np.asarray(x), expected(0)[0][0])
    assert_equal(as_numpy(data), expected(0))
    assert_equal(as_numpy(data), expected(1))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("built", [True, False])
def test_fit_sees_the_epochs_in_order(format, built):
    """Also where Keras looks at the first batch to build the model."""
    network = model()
    if built:
        network.build((None, 4, 4, 1))
    history = network.fit(dataset(format), epochs=3, verbose=0)
    for ours, theirs in zip(weights(network), trained_by_hand(3), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert len(history.history["loss"]) == 3


@pytest.mark.parametrize("format", FORMATS)
def test_fit_with_steps_per_epoch_goes_on_where_it_stopped(format):
    """Two epochs of three steps are one pass of six batches."""
    network = model()
    network.build((None, 4, 4, 1))
    network.fit(dataset(format), epochs=4, steps_per_epoch=3, verbose=0)
    reference = trained_by_hand(2)
    for ours, theirs in zip(weights(network), reference, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("format", FORMATS)
def test_fit_evaluate_predict(format):
    train = dataset(format)
    test = dataset(format, shuffle=False, drop_remainder=False)
    network = model()
    steps = []
    note = keras.callbacks.LambdaCallback()
    note.on_epoch_begin = lambda *_: steps.append(note.params["steps"])
    history = network.fit(
        train, validation_data=test, epochs=2, verbose=0, callbacks=[note]
    )
    assert steps == [6, 6]  # The progress bar knows its total at once.
    loss, accuracy = map(as_array, network.evaluate(test, verbose=0))
    last = as_array(history.history["val_loss"][-1])
    np.testing.assert_allclose(last, loss, atol=1e-5)
    logits = network.predict(test, verbose=0)
    assert logits.shape == (SIZE, 3)
    right = np.mean(logits.argmax(-1) == images().labels)
    np.testing.assert_allclose(accuracy, right, atol=1e-6)


@pytest.mark.skipif(not HAS_TF, reason="needs TensorFlow")
def test_tf_dataset_is_static_and_of_known_length():
    data = dataset("tf")
    x, y = data.element_spec
    assert x.shape == (8, 4, 4, 1) and x.dtype.name == "uint8"
    assert y.shape == (8,) and y.dtype.name == "int32"
    assert int(data.cardinality()) == len(data) == 6
    x, y = dataset("tf", drop_remainder=False).element_spec
    assert x.shape.as_list() == [None, 4, 4, 1]
    assert int(dataset("tf", drop_remainder=False).cardinality()) == 7


@pytest.mark.skipif(not HAS_TF, reason="needs TensorFlow")
def test_both_count_the_same_epochs():
    batches = dataset("keras")
    as_tf = batches.as_tf()
    assert_equal(as_numpy(batches), expected(0))
    assert_equal(as_numpy(as_tf), expected(1))
    assert_equal(as_numpy(batches), expected(2))
    assert batches.epoch == 3


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [8, 7])
def test_one_trace_for_each_size_of_batch(format, size):
    """50 examples: the last batch of 2, or of 1, is another shape."""
    traced = []

    class Note(keras.layers.Layer):
        def call(self, x):
            traced.append(tuple(x.shape))
            return x

    network = keras.Sequential(
        [Note(), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    network.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    batches = as_format(Batches(images(), size), format)
    network.fit(batches, epochs=1, verbose=0, shuffle=False)
    assert all(shape[1:] == (4, 4, 1) for shape in traced)
    if keras.config.backend() != "torch":  # It runs op by op.
        first = len(traced)
        network.fit(batches, epochs=3, verbose=0, shuffle=False)
        assert len(traced) == first


@pytest.mark.skipif(not HAS_TF, reason="needs TensorFlow")
def test_a_stage_of_ones_own():
    """A user's augmentation, here in tf, leaves order and length alone."""
    data = dataset("tf").map(lambda x, y: (x // 2, y))
    assert len(data) == 6
    reference = [(x // 2, y) for x, y in expected(0)]
    assert_equal(as_numpy(data), reference)


@pytest.mark.parametrize("format", FORMATS)
def test_reading_errors_keep_their_message(format):
    class Broken(ArraySource):
        def read(self, indices):
            raise ValueError("shelf 7 is on fire")

    source = images()
    data = as_format(Batches(Broken(INFO, source.x, source.labels), 8), format)
    with pytest.raises(Exception, match="shelf 7"):
        list(data)


def test_sequence_by_position():
    data = dataset("keras")
    assert len(data) == 6
    for index in (4, 0, 4):
        x, _ = data[index]
        assert np.array_equal(x, expected(0)[index][0])
    list(data)
    assert np.array_equal(data[4][0], expected(1)[4][0])
    with pytest.raises(IndexError):
        data[6]


def test_sequence_takes_no_part_in_the_shuffling_of_fit():
    """Also where a subclass changes the batches that Keras asks for."""
    asked, seen = [], []

    class Noted(Batches):
        def __getitem__(self, index):
            asked.append(index)
            seen.append(super().__getitem__(index))
            return seen[-1]

    data = Noted(images(), BATCH, True, 5, True)
    network = model()
    network.build((None, 4, 4, 1))
    # At first Keras looks at a batch, on TensorFlow at two.
    looks = {"tensorflow": 2}.get(keras.config.backend(), 1)
    before = random.getstate()
    network.fit(data, verbose=0, shuffle=True)
    assert asked[looks:] == list(range(6))
    assert random.getstate() == before  # Keras would shuffle by them.
    assert_equal(seen[looks:], expected(0))
    assert data.epoch == 1


def test_evaluation_reads_all_batches_whatever_the_step():
    data, network = dataset("keras"), model()
    data.step = 4
    network.evaluate(data, verbose=0)
    assert len(network.predict(data, verbose=0)) == 6 * BATCH
    assert (data.epoch, data.step) == (0, 4)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="Linux")
@pytest.mark.parametrize("format", FORMATS)
def test_memory_and_threads_stay_flat(format):
    """Whole passes and passes given up early, 120 MB of batches in all."""
    x = np.zeros((64, 160, 160, 3), "uint8")
    source = ArraySource(INFO, x, np.arange(64) % 3)
    source.in_memory = False
    data = as_format(Batches(source, 16, shuffle=True), format)

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def passes(count):
        for _ in range(count):
            for _ in data:
                pass
            next(iter(data))
        gc.collect()
        return resident(), threading.active_count()

    before, threads = passes(5)
    after, threads_after = passes(25)
    assert after - before < 20e6
    # A thread left behind by each of the 25 passes is what must not happen;
    # a few are still on their way out on a busy machine.
    assert threads_after <= threads + 10


def test_event_batches_of_another_number_of_time_steps():
    network = tiny.network(input_shape=(None, 8, 8, 2))
    network.compile("sgd", losses.STCL(), metrics=["accuracy"])
    for timesteps in (3, 5):
        shape = (timesteps, 8, 8, 2)
        x, y = tiny.recordings(timesteps=timesteps)
        batches = tiny.data_set(x, y)
        assert [s.dtype for s in batches.element_spec] == ["float32", "int32"]
        assert [s.shape for s in batches.element_spec] == [
            (None, *shape),
            (None,),
        ]
        network.fit(batches, verbose=0)
        assert network.evaluate(batches, verbose=0)
        np.testing.assert_allclose(
            network.predict(batches, verbose=0),
            network.predict(x, verbose=0),
            rtol=1e-5,
            atol=1e-6,
        )


class Peeks(keras.callbacks.Callback):
    """Looks at batches of the training data, and runs passes over them."""

    def __init__(self, data):
        super().__init__()
        self.data = data
        self.other = model()

    def on_train_batch_end(self, batch, logs=None):
        reference = expected(self.data.epoch)
        for index in (0, batch, 5):
            assert np.array_equal(self.data[index][0], reference[index][0])
        assert np.array_equal(self.data.read(1, 2)[0], expected(1)[2][0])
        next(iter(self.data))
        if batch in (1, 4):
            self.other.evaluate(self.data, verbose=0)
            self.other.predict(self.data, verbose=0)


@pytest.mark.parametrize("steps", [None, 3])
def test_reading_takes_no_batch_from_the_training(steps):
    """By index, by a pass given up, by another model's passes."""
    data = dataset("keras")
    network = model()
    network.build((None, 4, 4, 1))
    epochs = 2 if steps is None else 4
    network.fit(
        data,
        epochs=epochs,
        steps_per_epoch=steps,
        validation_data=data,
        callbacks=[Peeks(data)],
        verbose=0,
    )
    for ours, theirs in zip(weights(network), trained_by_hand(2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert data.epoch == 2


def test_a_fit_that_failed_is_begun_again():
    class Failure(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                raise RuntimeError("of this test")

    data = dataset("keras")
    network = model()
    with pytest.raises(RuntimeError, match="of this test"):
        network.fit(data, callbacks=[Failure()], verbose=0)
    for _ in range(2):
        for index in (3, 0, 5, 3):
            assert np.array_equal(data[index][0], expected(0)[index][0])
    network.evaluate(data, verbose=0)
    assert data.epoch == 0
    network = model()
    network.fit(data, verbose=0)
    for ours, theirs in zip(weights(network), trained_by_hand(1), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert data.epoch == 1


def test_only_training_counts_epochs():
    data = dataset("keras")
    network = model()
    network.evaluate(data, verbose=0)
    logits = network.predict(data, verbose=0)
    assert len(logits) == 48 and data.epoch == 0
    network.fit(data, epochs=2, validation_data=data, verbose=0)
    network.evaluate(data, verbose=0)
    assert data.epoch == 2


@pytest.mark.parametrize("built", [True, False])
def test_a_data_set_of_one_batch(built):
    """To look at it is to see all of it, and no epoch."""
    data = Batches(images(), SIZE, True, 5)
    network, reference = model(), model()
    reference.build((None, 4, 4, 1))
    if built:
        network.build((None, 4, 4, 1))
    network.fit(data, epochs=2, verbose=0)
    assert data.epoch == 2
    for epoch in range(2):
        order = np.random.default_rng([5, epoch]).permutation(SIZE)
        reference.train_on_batch(*images().read(order))
    for ours, theirs in zip(weights(network), weights(reference), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_data_set_around_this_one_reads_by_index():
    class Around(keras.utils.PyDataset):
        def __init__(self, inner):
            super().__init__()
            self.inner, self.seen = inner, []

        def __len__(self):
            return len(self.inner)

        def __getitem__(self, index):
            self.seen.append(index)
            x, y = self.inner[index]
            assert np.array_equal(x, expected(0)[index][0])
            return x, y

    around = Around(dataset("keras"))
    model().evaluate(around, verbose=0)
    assert set(around.seen) == set(range(6))


@pytest.mark.parametrize("name, value", [("workers", 4), ("workers", 0)])
def test_workers_of_keras_are_refused(name, value):
    with pytest.raises(ValueError, match=f"takes no `{name}`.*{name}={value}"):
        setattr(dataset("keras"), name, value)


def test_processes_of_keras_are_refused():
    with pytest.raises(ValueError, match="takes no `use_multiprocessing`"):
        dataset("keras").use_multiprocessing = True
