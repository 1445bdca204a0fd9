"""The page that says what a trained network is, and what it can do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def model_card(metadata: Mapping[str, Any], name: str) -> str:
    """Returns the model card of a preset, in Markdown.

    It says nothing but what is in the `metadata`, so that no number in it is
    written by hand.

    Args:
        metadata: Dictionary, a preset's `metadata.json`. What
            `save_to_preset` writes by itself is enough; `description`,
            `network`, `arguments`, `data`, `recipe`, `results`, `origin` and
            `limits` add their parts.
        name: String, the preset's name or folder.
    """
    parts = ["---\nlibrary_name: keras_tcl\n---", f"# {name}"]
    parts += [metadata["description"]] if "description" in metadata else []
    parts += [_facts(metadata), _usage(metadata, name)]
    if "results" in metadata:
        parts += ["## Results", *_results(metadata["results"])]
    for key in ("data", "recipe", "origin"):
        if key in metadata:
            parts += [f"## {key.capitalize()}", _pairs(metadata[key].items())]
    if "limits" in metadata:
        parts += ["## Limits", "\n".join(f"* {x}" for x in metadata["limits"])]
    return "\n\n".join(parts) + "\n"


def _facts(metadata: Mapping[str, Any]) -> str:
    *steps, _, _, _ = shape = metadata["sample_shape"]
    pixels = metadata["value_range"]
    kind = "event counts" if steps else f"pixels {pixels[0]:g} to {pixels[1]:g}"
    size = "x".join(str(n) for n in shape[-3:])
    rows = {
        "network": f"`{metadata['network']}`" if "network" in metadata else "",
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
    if "network" in metadata:
        call = f'keras_tcl.{metadata["network"]}(weights="{name}")'
        lines += [f"model = {call}  # the same"]
    return "\n".join(["```python", *lines, "```"])


def _results(results: Mapping[str, Any]) -> Iterable[str]:
    """Of `keras_tcl.analysis.report`, with `operations` and `energy`."""
    rows = {
        "accuracy, %": [f"{100 * v:.1f}" for v in results["accuracy"]],
        "mean confidence, %": [f"{100 * v:.1f}" for v in results["confidence"]],
        "expected calibration error, %": [
            f"{100 * v:.1f}" for v in results["calibration_error"]
        ],
        "cross entropy": [f"{v:.3f}" for v in results["cross_entropy"]],
    }
    if "energy" in results:
        rows["synaptic operations, millions"] = [
            f"{v / 1e6:.2f}" for v in results["energy"]["operations"]
        ]
        rows["energy, estimated, µJ"] = [
            f"{v * 1e6:.2f}" for v in results["energy"]["joules"]
        ]
    steps = range(1, len(results["accuracy"]) + 1)
    yield f"On {results['samples']:,} test samples, after t time steps:"
    yield _table(
        ["", *(f"t = {t}" for t in steps)],
        [[name, *values] for name, values in rows.items()],
    )
    if "energy" in results:
        yield results["energy"]["method"]
    yield (
        "Early exit: each sample stops at the first t at which the softmax of "
        "its mean logits reaches the threshold."
    )
    early = results["early_exit"]
    yield _table(
        ["threshold", "mean time steps", "accuracy, %"],
        [
            [f"{threshold:g}", f"{mean:.2f}", f"{100 * accuracy:.1f}"]
            for threshold, mean, accuracy in zip(
                early["threshold"],
                early["timesteps"],
                early["accuracy"],
                strict=True,
            )
        ],
    )
    yield "Firing rates, spikes per neuron and time step, in %:"
    yield _table(
        ["layer", *(f"t = {t}" for t in steps)],
        [
            [f"`{layer}`", *(f"{100 * rate:.1f}" for rate in rates)]
            for layer, rates in results["firing_rates"].items()
        ],
    )


def _pairs(pairs: Iterable[tuple[str, Any]]) -> str:
    rows = [[key.replace("_", " "), value] for key, value in pairs]
    return _table(["", ""], rows)


def _table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
