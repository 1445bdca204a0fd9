"""Model cards of any metadata."""

import itertools

import pytest

import keras_tcl
from keras_tcl.models import model_card
from tests.models import tiny

FACTS = {
    "sample_shape": [8, 8, 1],
    "value_range": [0, 255],
    "classes": 3,
    "timesteps": 3,
    "parameter_count": 1000,
    "date_saved": "2026-01-01",
    "keras_tcl_version": "0.1.0",
    "keras_version": "3.15.1",
    "backend": "torch",
}


def part(key, value):
    """What a card says under a heading."""
    card = model_card({**FACTS, key: value}, "tiny")
    head, _, text = card.partition(f"## {key.capitalize()}\n\n")
    assert head == model_card(FACTS, "tiny") + "\n"
    return text.removesuffix("\n")


@pytest.mark.parametrize("key", ["data", "recipe", "results", "origin"])
@pytest.mark.parametrize(
    "value, expected",
    [
        ("SGD 0.1", "SGD 0.1"),
        (0.5, "0.5"),
        (["one", "two\nlines", 3], "* one\n* two\n  lines\n* 3"),
        (
            {"learning_rate": 0.1, "a|b": "x|y\nz", "odd": None},
            "|  |  |\n| --- | --- |\n| learning rate | 0.1 |\n"
            "| a\\|b | x\\|y<br>z |\n| odd | None |",
        ),
    ],
    ids=["text", "number", "list", "dictionary"],
)
def test_any_json_has_its_form(key, value, expected):
    assert part(key, value) == expected
    if key == "data":
        assert part("limits", value) == expected


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_what_is_empty_has_no_part(value):
    metadata = dict.fromkeys(
        ("description", "network", "results", "recipe", "limits"), value
    )
    card = model_card({**FACTS, **metadata}, "tiny")
    assert card == model_card(FACTS, "tiny")


def test_a_network_that_is_no_function_is_not_called():
    for network in ("my own net", 5, ["a"], {"a": 1}):
        card = model_card({**FACTS, "network": network}, "tiny")
        assert f"| network | `{network}` |" in card and "weights=" not in card
    card = model_card({**FACTS, "network": "sew_resnet8"}, "tiny")
    assert 'keras_tcl.sew_resnet8(weights="tiny")' in card


def lines(*cells):
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


@pytest.mark.parametrize(
    "results, expected",
    [
        (
            {"accuracy": [0.9]},
            "After t time steps:\n\n"
            + lines(["", "t = 1"], ["---"] * 2, ["accuracy, %", "90.0"]),
        ),
        (
            {"samples": 5, "cross_entropy": [1, 0.5], "accuracy": [1]},
            "On 5 test samples, after t time steps:\n\n"
            + lines(
                ["", "t = 1", "t = 2"],
                ["---"] * 3,
                ["accuracy, %", "100.0", ""],
                ["cross entropy", "1.000", "0.500"],
            ),
        ),
        (
            {"accuracy": 0.9, "samples": 5},
            lines(["", ""], ["---"] * 2, ["accuracy", "0.9"], ["samples", "5"]),
        ),
        (
            {"energy": {"joules": [1e-6], "method": "Guessed."}},
            "After t time steps:\n\n"
            + lines(
                ["", "t = 1"], ["---"] * 2, ["energy, estimated, µJ", "1.00"]
            )
            + "\n\nGuessed.",
        ),
        (
            {"firing_rates": {"stem": [0.5, 0.25], "head": "none"}},
            "Firing rates, spikes per neuron and time step, in %:\n\n"
            + lines(
                ["layer", "t = 1", "t = 2"],
                ["---"] * 3,
                ["`stem`", "50.0", "25.0"],
            )
            + "\n\n"
            + lines(
                ["", ""],
                ["---"] * 2,
                ["firing rates", "{'head': 'none'}"],
            ),
        ),
    ],
    ids=["one row", "rows", "numbers", "energy", "rates"],
)
def test_results_as_far_as_they_are_there(results, expected):
    assert part("results", results) == expected


def test_early_exits_without_a_column():
    text = part("results", {"early_exit": {"accuracy": [0.5, 1.0]}})
    assert text.endswith(lines(["accuracy, %"], ["---"], ["50.0"], ["100.0"]))


ODD = [None, True, 0, 10**400, float("nan"), "a|b\nc", [], [1, "a"], [[1]], {}]


@pytest.mark.parametrize(
    "key",
    ["samples", "accuracy", "energy", "early_exit", "firing_rates", "mine"],
)
def test_no_value_of_results_is_too_odd(key):
    """Nothing fails, and each line of each table has its cells."""
    inner = [{name: v} for name in ("joules", "method", "stem") for v in ODD]
    for value, accuracy in itertools.product(ODD + inner, ([0.5], "good")):
        text = part("results", {"accuracy": accuracy, key: value})
        tables = [p for p in text.split("\n\n") if p.startswith("|")]
        for table in tables:
            cells = [
                line.replace("\\|", "").count("|") for line in table.split("\n")
            ]
            assert len(set(cells)) == 1


def test_free_form_metadata_is_saved(tmp_path):
    metadata = {
        "description": ["Tiny.", "Untrained."],
        "recipe": "SGD 0.1",
        "results": {"accuracy": [0.9]},
        "limits": "No claim.",
    }
    tiny.network().save_to_preset(tmp_path / "tiny", metadata)
    card = (tmp_path / "tiny" / "README.md").read_text("utf-8")
    for text in (
        "* Tiny.\n* Untrained.\n",
        "## Recipe\n\nSGD 0.1\n",
        "| accuracy, % | 90.0 |",
        "## Limits\n\nNo claim.\n",
    ):
        assert text in card
    assert keras_tcl.TCLModel.from_preset(tmp_path / "tiny").classes == 3


def test_nothing_is_written_where_the_card_fails(tmp_path, monkeypatch):
    def failing(metadata, name):
        raise ValueError("no card")

    monkeypatch.setattr("keras_tcl.models.presets.model_card", failing)
    with pytest.raises(ValueError, match="no card"):
        tiny.network().save_to_preset(tmp_path / "deep" / "tiny", {})
    assert list(tmp_path.iterdir()) == []
