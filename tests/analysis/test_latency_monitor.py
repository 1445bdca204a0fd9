import keras
import numpy as np
import pytest

from keras_tcl import analysis
from keras_tcl.losses import TET
from tests.analysis import networks
from tests.models import tiny


def measured(monitor, model):
    """What the monitor would add to the logs of a training."""
    monitor.set_model(model)
    monitor.on_train_begin()
    logs = {}
    monitor.on_epoch_end(0, logs)
    return logs


def expected_logs(model, x, y, by="model"):
    logs = {
        f"val_accuracy_t{t}": accuracy
        for t, accuracy in enumerate(model.evaluate_timesteps(x, y), start=1)
    }
    for name, rate in analysis.firing_rates(model, x, by).items():
        key = "firing_rate" if name == "model" else f"firing_rate_{name}"
        logs[key] = rate.mean()
    return pytest.approx(logs, rel=1e-5)


def test_in_a_training_that_it_does_not_touch():
    x, y = tiny.images(12)
    seen = []
    callbacks = [
        analysis.LatencyMonitor((x, y)),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda _, logs: seen.append(logs["val_accuracy_t1"])
        ),
    ]
    weights = []
    for chosen in ([], callbacks):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(1)
        model = networks.image_network()
        model.compile(keras.optimizers.SGD(0.05, 0.9), TET())
        # Shuffled: the order shows whether a random number was drawn.
        history = model.fit(x, y, 6, 2, verbose=0, callbacks=chosen).history
        weights.append(model.get_weights())
    for plain, monitored in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, monitored)
    # What comes after the monitor sees its logs.
    assert seen == history["val_accuracy_t1"] and len(seen) == 2
    last = {name: values[-1] for name, values in history.items()}
    del last["loss"], last["classification_loss"]
    assert last == expected_logs(model, x, y)


@pytest.mark.parametrize("kind", ["images", "events"])
@pytest.mark.parametrize("labels", ["integer", "one-hot"])
def test_data_and_labels(kind, labels):
    if kind == "images":
        model, (x, y) = networks.image_network(), tiny.images(7)
        data = (x, np.eye(3)[y] if labels == "one-hot" else y)
    else:
        model, (x, y) = networks.event_network(), tiny.recordings(7)
        y = np.eye(3)[y] if labels == "one-hot" else y
        data = networks.Batches(x, y, 4)
    monitor = analysis.LatencyMonitor(data, batch_size=4)
    assert measured(monitor, model) == expected_logs(model, x, y)


@pytest.mark.parametrize("format", ["tf", "keras"])
def test_takes_what_load_gives(format):
    if format == "tf":
        pytest.importorskip("tensorflow")
    x, y = tiny.images(8)
    data = tiny.data_set(x, y, format=format)
    model = networks.image_network()
    logs = measured(analysis.LatencyMonitor(data), model)
    assert logs == expected_logs(model, x, y)


def test_rates_of_parts():
    model, (x, y) = networks.image_network(), tiny.images(6)
    logs = measured(analysis.LatencyMonitor((x, y), by="stage"), model)
    assert 0 < logs.pop("firing_rate") < 1
    assert logs == expected_logs(model, x, y, by="stage")


def test_frequency():
    model, (x, y) = networks.image_network(), tiny.images(6)
    monitor = analysis.LatencyMonitor((x, y), frequency=3)
    monitor.set_model(model)
    monitor.on_train_begin()
    epochs = [{} for _ in range(6)]
    for epoch, logs in enumerate(epochs):
        monitor.on_epoch_end(epoch, logs)
    assert [bool(logs) for logs in epochs] == [False, False, True] * 2


def test_again_with_other_time_steps():
    model, (x, y) = networks.image_network(), tiny.images(6)
    monitor = analysis.LatencyMonitor((x, y))
    assert "val_accuracy_t3" in measured(monitor, model)
    model.timesteps = 2
    assert "val_accuracy_t3" not in measured(monitor, model)


def test_bad_input():
    x, y = tiny.images(6)
    for data in (None, x, (x,), (x, y, y)):
        with pytest.raises(ValueError, match=r"must be a pair of arrays"):
            analysis.LatencyMonitor(data)
    with pytest.raises(ValueError, match="6 samples, 5 labels"):
        analysis.LatencyMonitor((x, y[:5]))
    with pytest.raises(ValueError, match="`frequency` must be an integer"):
        analysis.LatencyMonitor((x, y), frequency=0)
    with pytest.raises(ValueError, match="`by` must be one of"):
        analysis.LatencyMonitor((x, y), by="neuron")
    model = networks.image_network()
    with pytest.raises(ValueError, match=r"built for samples"):
        measured(analysis.LatencyMonitor((x[:, :4], y)), model)
    plain = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="must be a functional `keras.Model`"):
        measured(analysis.LatencyMonitor((x, y)), plain)
    empty = analysis.LatencyMonitor(networks.Batches(x[:0], y[:0], 2))
    with pytest.raises(ValueError, match="`validation_data` is empty"):
        measured(empty, model)
