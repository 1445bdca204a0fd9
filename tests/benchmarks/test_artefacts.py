"""The cells against the paper's tables, read by hand."""

import collections

import keras
import pytest

import keras_tcl
from benchmarks.paper.artefacts import ARTEFACTS, METHODS, cells_of
from benchmarks.paper.runner import runs_of
from benchmarks.paper.scales import DIGITS, FULL, SCALES, SMALL, find_scale
from benchmarks.paper.training import loss_of


def accuracy(artefact, name):
    (cell,) = [c for c in cells_of(artefact, FULL) if c.matches(name)]
    return cell.paper["accuracy"]


@pytest.mark.parametrize(
    "artefact, trained, cited",
    [
        ("table1", 24, 0),
        ("table2", 15, 0),
        ("table3", 6, 14),
        ("table4", 3, 0),
        ("figure2", 8, 0),
    ],
)
def test_every_cell_of_the_paper_is_there(artefact, trained, cited):
    cells = cells_of(artefact, FULL)
    count = collections.Counter(c.configuration is None for c in cells)
    assert (count[False], count[True]) == (trained, cited)
    assert len({cell.name for cell in cells}) == trained + cited


# What the paper prints in brackets: the gain over the baseline.
@pytest.mark.parametrize(
    "artefact, column, gains",
    [
        ("table1", "CIFAR-100/SEW-18", (1.31, 2.53, 3.44)),
        ("table1", "CIFAR-100/SEW-34", (0.70, 2.49, 3.16)),
        ("table1", "CIFAR-10/SEW-18", (0.45, 0.97, 1.5)),
        ("table1", "CIFAR-10/SEW-34", (0.47, 1.59, 1.91)),
        ("table1", "DVS-CIFAR10/SEW-18", (1.60, -0.90, 1.00)),
        ("table1", "DVS-CIFAR10/SEW-34", (1.90, 0.80, 3.60)),
        ("table2", "CUB/SEW-18", (-0.19, 6.98)),
        ("table2", "Car/SEW-18", (0.78, 5.42)),
        ("table2", "Aircraft/SEW-18", (2.07, 5.85)),
        ("table2", "Flowers/SEW-18", (0.10, 5.00)),
        ("table2", "Dogs/SEW-18", (0.37, 2.45)),
    ],
)
def test_gains_agree_with_those_printed(artefact, column, gains):
    methods = ["TCL", "STCL"]
    if artefact == "table1":
        methods.insert(1, "STCL w/o CL")
    baseline = accuracy(artefact, f"{artefact}/{column}/Baseline")
    for method, gain in zip(methods, gains, strict=True):
        found = accuracy(artefact, f"{artefact}/{column}/{method}") - baseline
        assert found == pytest.approx(gain, abs=0.006), method


@pytest.mark.parametrize(
    "artefact, name, expected",
    [
        ("table1", "table1/CIFAR-100/SEW-18/Baseline", 76.07),
        ("table1", "table1/CIFAR-10/SEW-18/STCL", 95.97),
        ("table1", "table1/DVS-CIFAR10/SEW-34/Baseline", 74.70),
        ("table2", "Dogs/SEW-18/STCL", 61.24),
        ("table3", "CIFAR-10/ResNet-19/Rec-Dis*", 95.55),
        ("table3", "CIFAR-100/ResNet-19/STCL", 81.84),
        ("table3", "DVS-CIFAR10/VGG/TEBN*", 84.90),
        ("table4", "STCL", 79.51),
        ("figure3", "STCL/temperature=0.06", 79.74),
        ("figure3", "STCL/weight=2", 79.57),
        ("figure4", "CIFAR-100/SEW-18/STCL/T=8", 80.07),
    ],
)
def test_values(artefact, name, expected):
    assert accuracy(artefact, name) == expected


def test_firing_rates_and_curves():
    rates = {c.method: c.paper for c in cells_of("table4", FULL)}
    assert rates["Baseline"]["block 1"] == 30.18
    assert rates["TCL"]["block 8"] == 22.68
    assert rates["STCL"]["block 5"] == 13.85
    curves = {(c.network, c.method): c for c in cells_of("figure2", FULL)}
    assert curves["SEW-18", "Baseline"].paper == {"t=1": 44.19, "t=8": 76.98}
    assert curves["Spiking-ResNet", "TCL"].paper == {"t=1": 70.09, "t=8": 77.83}
    assert {c.timesteps for c in curves.values()} == {8}


def test_full_is_the_recipe_of_the_paper():
    for artefact in ARTEFACTS:
        for cell in cells_of(artefact, FULL):
            c = cell.configuration
            if c is None:
                continue
            assert (c.epochs, c.learning_rate, c.momentum) == (200, 0.1, 0.9)
            assert c.weight_decay == 0.0005 and c.batch_size in (64, 128)
            assert c.dataset in keras_tcl.data.list_datasets()
            assert c.network in keras_tcl.models.list_models()
            if artefact not in ("figure2", "figure4"):
                assert c.timesteps == 4


def test_methods_are_losses_with_the_settings_of_the_paper():
    losses = {
        c.method: loss_of(c.configuration)
        for c in [
            *cells_of("table1", FULL),
            *cells_of("figure2", FULL),
        ]
    }
    assert set(losses) == set(METHODS)
    assert all(isinstance(v, keras.losses.Loss) for v in losses.values())
    assert (losses["TCL"].temperature, losses["TCL"].weight) == (0.07, 0.5)
    assert (losses["STCL"].temperature, losses["STCL"].weight) == (0.07, 5.0)
    for method in ("TCL", "STCL"):
        assert losses[method].normalization == "paper"
        assert losses[method].per_step == 0
    assert losses["STCL w/o CL"].views == 2
    assert not losses["STCL w/o CL"].needs_embeddings


def test_cells_of_equal_configuration_are_one_run():
    cells = [
        cell
        for artefact in ("table1", "table4", "figure3", "figure4")
        for cell in cells_of(artefact, FULL)
    ]
    runs = runs_of(cells, seeds=1)
    assert len({run.configuration.key for run in runs}) == len(runs)
    names = {run.names for run in runs}
    assert any(
        {
            "table1/CIFAR-100/SEW-18/STCL",
            "table4/CIFAR-100/SEW-18/STCL",
            "figure3/CIFAR-100/SEW-18/STCL/temperature=0.07",
            "figure3/CIFAR-100/SEW-18/STCL/weight=5",
            "figure4/CIFAR-100/SEW-18/STCL/T=4",
        }
        <= set(group)
        for group in names
    )


def test_key_tells_configurations_apart():
    cell = cells_of("table1", FULL)[0]
    key = cell.configuration.key
    assert cell.configuration.replace(epochs=100).key != key
    assert cell.configuration.replace(surrogate="atan").key != key
    assert cells_of("table1", FULL)[0].configuration.key == key


def test_smaller_scales_keep_the_rows():
    for scale in (DIGITS, SMALL):
        methods = {c.method for c in cells_of("table1", scale)}
        assert methods == {"Baseline", "TCL", "STCL w/o CL", "STCL"}
        assert len(cells_of("figure2", scale)) == 8


def test_unknown_names_list_what_exists():
    with pytest.raises(ValueError, match="table1.*figure4.*Received: 'tabl'"):
        cells_of("tabl", FULL)
    with pytest.raises(ValueError, match="digits, small, full"):
        find_scale("huge")
    with pytest.raises(ValueError, match="exists at the scale 'full'"):
        cells_of("table2", DIGITS)
    assert set(SCALES) == {"digits", "small", "full"}
