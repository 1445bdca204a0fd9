"""The page that says what a trained network is, and what it can do."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

# Of `keras_tcl.analysis.report`: the row's name, a factor, and its digits.
_BY_STEP = {
    "accuracy": ("accuracy, %", 100, ".1f"),
    "confidence": ("mean confidence, %", 100, ".1f"),
    "calibration_error": ("expected calibration error, %", 100, ".1f"),
    "cross_entropy": ("cross entropy", 1, ".3f"),
}
_OF_ENERGY = {
    "operations": ("synaptic operations, millions", 1e-6, ".2f"),
    "joules": ("energy, estimated, µJ", 1e6, ".2f"),
}
_OF_EARLY_EXIT = {
    "threshold": ("threshold", 1, "g"),
    "timesteps": ("mean time steps", 1, ".2f"),
    "accuracy": ("accuracy, %", 100, ".1f"),
}
# Too large for a page.
_NOT_SHOWN = ("confusion", "class_names")


def model_card(metadata: Mapping[str, Any], name: str) -> str:
    """Returns the model card of a preset, in Markdown.

    It says nothing but what is in the `metadata`, so that no number in it is
    written by hand.

    Args:
        metadata: Dictionary, a preset's `metadata.json`. What
            `save_to_preset` writes by itself is enough; `description`,
            `network`, `arguments`, `data`, `recipe`, `results`, `origin` and
            `limits` add their parts. Each may be any JSON: a string is a
            paragraph, a list bullets, and a dictionary a table. Of `results`,
            what `keras_tcl.analysis.report` measures has tables of its own,
            as far as it is there.
        name: String, the preset's name or folder.

    Example:

    >>> metadata = keras_tcl.list_presets()["digits"]
    >>> metadata = {**metadata, "recipe": "SGD, 0.1, for 40 epochs."}
    >>> card = keras_tcl.models.model_card(metadata, "digits")
    >>> "# digits" in card, "SGD, 0.1, for 40 epochs." in card
    (True, True)
    """
    parts = ["---\nlibrary_name: keras_tcl\n---", f"# {name}"]
    if _has(metadata, "description"):
        parts += [_block(metadata["description"])]
    parts += [_facts(metadata), _usage(metadata, name)]
    if _has(metadata, "results"):
        parts += ["## Results", *_results(metadata["results"])]
    for key in ("data", "recipe", "origin", "limits"):
        if _has(metadata, key):
            parts += [f"## {key.capitalize()}", _block(metadata[key])]
    return "\n\n".join(parts) + "\n"


def _has(metadata: Mapping[str, Any], key: str) -> bool:
    return metadata.get(key) not in (None, "", [], (), {})


def _facts(metadata: Mapping[str, Any]) -> str:
    *steps, _, _, _ = shape = metadata["sample_shape"]
    pixels, network = metadata["value_range"], metadata.get("network")
    kind = "event counts" if steps else f"pixels {pixels[0]:g} to {pixels[1]:g}"
    size = "x".join(str(n) for n in shape[-3:])
    rows = {
        "network": f"`{network}`" if _has(metadata, "network") else "",
        "input": f"{size}, {kind}",
        "classes": metadata["classes"],
        "time steps": f"{metadata['timesteps']} (any will run)",
        "parameters": f"{metadata['parameter_count']:,}",
        "saved": f"{metadata['date_saved']} with keras_tcl "
        f"{metadata['keras_tcl_version']}, Keras {metadata['keras_version']}, "
        f"{metadata['backend']}",
    }
    return _pairs((k, v) for k, v in rows.items() if v)


def _usage(metadata: Mapping[str, Any], name: str) -> str:
    lines = ["import keras_tcl", ""]
    lines += [f'model = keras_tcl.TCLModel.from_preset("{name}")']
    network = metadata.get("network")
    if isinstance(network, str) and network.isidentifier():
        call = f'keras_tcl.{network}(weights="{name}")'
        lines += [f"model = {call}  # the same"]
    return "\n".join(["```python", *lines, "```"])


def _results(results: Any) -> Iterable[str]:
    """Of `keras_tcl.analysis.report`, with `operations` and `energy`.

    What is missing is left out; what is not of this form is told as it is.
    """
    if not isinstance(results, Mapping):
        yield _block(results)
        return
    others = {k: v for k, v in results.items() if k not in _NOT_SHOWN}
    rows = _taken(others, _BY_STEP)
    energy = _part(others, "energy")
    rows.update(_taken(energy, _OF_ENERGY))
    if rows:
        samples = others.get("samples")
        on = ""
        if _are_numbers([samples]):
            on = f"On {others.pop('samples'):,} test samples, after"
        yield f"{on or 'After'} t time steps:"
        yield _by_step(rows)
        if _has(energy, "method"):
            yield _block(energy.pop("method"))
    exits = _part(others, "early_exit")
    early = _taken(exits, _OF_EARLY_EXIT)
    if early:
        yield (
            "Early exit: each sample stops at the first t at which the softmax "
            "of its mean logits reaches the threshold."
        )
        yield _table(list(early), zip_longest(*early.values(), fillvalue=""))
    rates = _part(others, "firing_rates")
    formats = {layer: (f"`{layer}`", 100, ".1f") for layer in rates}
    rows = _taken(rates, formats)
    if rows:
        yield "Firing rates, spikes per neuron and time step, in %:"
        yield _by_step(rows, "layer")
    parts = {"energy": energy, "early_exit": exits, "firing_rates": rates}
    others.update({k: part for k, part in parts.items() if part})
    if others:
        yield _block(others)


def _part(results: dict[str, Any], key: str) -> dict[str, Any]:
    """Takes a dictionary out of the results, if there is one of this name."""
    if isinstance(results.get(key), Mapping):
        return dict(results.pop(key))
    return {}


def _taken(
    results: dict[str, Any], formats: Mapping[str, tuple[str, float, str]]
) -> dict[str, list[str]]:
    """Takes the rows of numbers out of the results, as they are shown."""
    taken = {}
    for key, (name, factor, digits) in formats.items():
        if _are_numbers(results.get(key)):
            values = results.pop(key)
            taken[name] = [f"{factor * value:{digits}}" for value in values]
    return taken


def _are_numbers(values: Any) -> bool:
    """Whether it is a list of numbers that can be formatted as floats."""
    return (
        isinstance(values, (list, tuple))
        and len(values) > 0
        and all(
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and abs(value) < 1e100
            for value in values
        )
    )


def _by_step(rows: Mapping[str, Sequence[str]], title: str = "") -> str:
    """A table with a column for each time step."""
    steps = max(map(len, rows.values()))
    head = [title, *(f"t = {t}" for t in range(1, steps + 1))]
    lines = ([name, *values] for name, values in rows.items())
    return _table(head, (x + [""] * (len(head) - len(x)) for x in lines))


def _block(value: Any) -> str:
    """Any JSON: a dictionary as a table, a list as bullets, others as text."""
    if isinstance(value, Mapping):
        return _pairs(value.items())
    if isinstance(value, (list, tuple)):
        lines = (str(item).replace("\n", "\n  ") for item in value)
        return "\n".join(f"* {line}" for line in lines)
    return str(value)


def _pairs(pairs: Iterable[tuple[Any, Any]]) -> str:
    rows = [[str(key).replace("_", " "), value] for key, value in pairs]
    return _table(["", ""], rows)


def _table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: Any) -> str:
    """What does not end a table's cell, or its line."""
    return "<br>".join(str(value).replace("|", "\\|").splitlines())
