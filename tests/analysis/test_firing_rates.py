import importlib.util

import keras
import numpy as np
import pytest

import keras_tcl
from keras_tcl import analysis
from keras_tcl.analysis.rates import grouped_layers
from keras_tcl.layers import LIF
from tests.analysis import networks
from tests.models import tiny

LAYERS = [
    "stem",
    "stage1_block1_1",
    "stage1_block1_2",
    "stage2_block1_0",
    "stage2_block1_1",
    "stage2_block1_2",
]


@pytest.mark.parametrize("kind", ["images", "events"])
def test_rate_of_a_layer_is_the_mean_of_its_spikes(kind):
    if kind == "images":
        model, (x, _) = networks.image_network(), tiny.images(4)
    else:
        model, (x, _) = networks.event_network(), tiny.recordings(4)
    rates = analysis.firing_rates(model, x, batch_size=2)
    assert sorted(rates) == sorted(LAYERS)
    assert list(rates)[:3] == LAYERS[:3]  # The order of the network.
    outputs = networks.outputs_of(model, x)
    for name, rate in rates.items():
        spikes = outputs[f"{name}_spike"]
        assert set(np.unique(spikes)) <= {0.0, 1.0}
        expected = spikes.mean(axis=(0, 2, 3, 4), dtype="float64")
        np.testing.assert_allclose(rate, expected, rtol=1e-5)
        assert 0 < rate.mean() < 1


@pytest.mark.parametrize(
    "by, groups",
    [
        ("block", {"stem": 1, "stage1_block1": 2, "stage2_block1": 3}),
        ("stage", {"stem": 1, "stage1": 2, "stage2": 3}),
        ("model", {"model": 6}),
        ("block_output", {"stem": 1, "stage1_block1": 1, "stage2_block1": 1}),
    ],
)
def test_groups(by, groups):
    found = grouped_layers(networks.image_network().network, by)
    assert {name: len(layers) for name, layers in found.items()} == groups
    assert list(found) == list(groups)


def test_a_group_counts_by_its_neurons():
    model, (x, _) = networks.image_network(), tiny.images(4)
    rates = analysis.firing_rates(model, x, by="stage")
    outputs = networks.outputs_of(model, x)
    for stage, rate in rates.items():
        layers = [name for name in LAYERS if name.startswith(stage)]
        spikes = [outputs[f"{name}_spike"].reshape(4, 3, -1) for name in layers]
        expected = np.concatenate(spikes, axis=2).mean(axis=(0, 2))
        np.testing.assert_allclose(rate, expected, rtol=1e-5)


def test_block_output_of_sew_is_the_sum_with_the_shortcut():
    model, (x, _) = networks.image_network(), tiny.images(4)
    rates = analysis.firing_rates(model, x, by="block_output")
    outputs = networks.outputs_of(model, x)
    for block in ("stage1_block1", "stage2_block1"):
        output = outputs[f"{block}_out"]
        assert output.max() == 2
        expected = output.mean(axis=(0, 2, 3, 4))
        np.testing.assert_allclose(rates[block], expected, rtol=1e-5)


def test_groups_of_other_networks():
    model = keras_tcl.spiking_resnet([1, 1], [4, 8], (8, 8, 1), 3)
    outputs = grouped_layers(model.network, "block_output")
    assert list(outputs["stage2_block1"]) == ["stage2_block1_2"]
    model = keras_tcl.models.spiking_vgg([[4], [4, 4]], (8, 8, 1), 3)
    units = ["stage1_1", "stage2_1", "stage2_2"]
    assert list(grouped_layers(model.network, "layer")) == units
    assert list(grouped_layers(model.network, "block")) == units
    assert list(grouped_layers(model.network, "stage")) == ["stage1", "stage2"]


def test_neurons_of_the_classifier():
    classifier = keras_tcl.layers.Classifier(
        3, hidden_units=(5,), neuron=networks.lively(), dtype="float32"
    )
    model = networks.image_network(classifier=classifier)
    rates = analysis.firing_rates(model, tiny.images(2)[0])
    assert list(rates)[-1] == "dense_1"
    assert rates["dense_1"].shape == (3,)


def test_neurons_of_ones_own():
    model = networks.custom_network(
        networks.PairNeuron(name="first_spike"),
        networks.Composite(),
        networks.PairNeuron(name="not_named_so"),
        networks.NoNeuron(name="no_neuron_spike"),
    )
    x = np.full((2, 8, 8, 1), 255, "uint8")
    x[0] = 0
    rates = analysis.firing_rates(model, x)
    assert {name: rate.tolist() for name, rate in rates.items()} == {
        "first": [0.5] * 3,
        "inner": [0.5] * 3,
        "not_named_so": [0.5] * 3,
    }


def test_neurons_of_one_name():
    model = networks.custom_network(
        LIF(0.5, 99.0, name="same_spike"), networks.Composite("same_spike")
    )
    names = list(grouped_layers(model.network, "layer"))
    assert names == ["same", "same_2"]


@pytest.mark.parametrize("kind", ["images", "events"])
def test_of_a_network_without_a_trainer(kind):
    if kind == "images":
        model, (x, _) = networks.image_network(), tiny.images(4)
    else:
        model, (x, _) = networks.event_network(), tiny.recordings(4)
    expected = analysis.firing_rates(model, x)
    rates = analysis.firing_rates(model.network, x)
    assert list(rates) == list(expected)
    for name, rate in rates.items():
        np.testing.assert_array_equal(rate, expected[name])
    with pytest.raises(ValueError, match="built for samples"):
        analysis.firing_rates(model.network, x[..., :5, :])


def test_data_sets():
    model, (x, y) = networks.image_network(), tiny.images(6)
    expected = analysis.firing_rates(model, x, batch_size=3)
    sets = [networks.Batches(x, y, 3)]
    if importlib.util.find_spec("tensorflow"):
        import tensorflow as tf

        sets.append(tf.data.Dataset.from_tensor_slices((x, y)).batch(3))
    for data in sets:
        for name, rate in analysis.firing_rates(model, data).items():
            np.testing.assert_allclose(rate, expected[name], rtol=1e-5)


def test_follows_the_number_of_time_steps():
    model, (x, _) = networks.image_network(), tiny.images(3)
    at_three = analysis.firing_rates(model, x)["stage2_block1_2"]
    model.timesteps = 5
    at_five = analysis.firing_rates(model, x)["stage2_block1_2"]
    assert at_five.shape == (5,)
    np.testing.assert_allclose(at_five[:3], at_three, rtol=1e-6)


def test_leaves_the_model_as_it_was():
    model, (x, _) = networks.image_network(), tiny.images(3)
    before = [np.array(w) for w in model.get_weights()]
    logits = model.predict(x, verbose=0)
    analysis.firing_rates(model, x, by="block_output")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(logits, model.predict(x, verbose=0))
    assert not any("call" in vars(k) for k in model._flatten_layers())


def test_data_that_cannot_be_read_cost_no_weights():
    class Unreadable(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            raise OSError("shelf 7 is on fire")

    model = networks.image_network()
    before = model.get_weights()
    with pytest.raises(Exception, match="shelf 7"):
        analysis.firing_rates(model, Unreadable())
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_half_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, (x, _) = networks.image_network(), tiny.images(3)
    rates = analysis.firing_rates(model, x)
    spikes = networks.outputs_of(model, x)["stem_spike"].astype("float32")
    # bfloat16 would round the sum of 1,536 spikes to a multiple of 8.
    assert rates["stem"] == pytest.approx(spikes.mean(axis=(0, 2, 3, 4)))


def test_of_a_saved_model(tmp_path):
    model, (x, _) = networks.image_network(), tiny.images(3)
    model.save(tmp_path / "model.keras")
    opened = keras_tcl.load_model(tmp_path / "model.keras")
    expected = analysis.firing_rates(model, x)
    for name, rate in analysis.firing_rates(opened, x).items():
        np.testing.assert_allclose(rate, expected[name], rtol=1e-6)


def test_bad_input():
    model, (x, y) = networks.image_network(), tiny.images(4)
    with pytest.raises(ValueError, match=r"must be one of.*'stage'.*by='no'"):
        analysis.firing_rates(model, x, by="no")
    plain = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="must be a functional `keras.Model`"):
        analysis.firing_rates(plain, x)
    with pytest.raises(ValueError, match=r"built for samples.*\(8, 8, 1\)"):
        analysis.firing_rates(model, np.zeros((2, 9, 8, 1)))
    with pytest.raises(ValueError, match=r"no sample.*\(0, 8, 8, 1\)"):
        analysis.firing_rates(model, x[:0])
    spoilt = x.astype("float32")
    spoilt[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN.* 1 of its 4 samples"):
        analysis.firing_rates(model, spoilt)
    with pytest.raises(ValueError, match=r"NaN.* 1 of 4 samples.*index 3"):
        analysis.firing_rates(model, networks.Batches(spoilt, y, 2))
    without = networks.custom_network(networks.NoNeuron())
    with pytest.raises(ValueError, match="No neurons found"):
        analysis.firing_rates(without, x)
