"""Tables in Markdown: the paper's value, ours, and the difference."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.paper.artefacts import Cell
from benchmarks.paper.runner import Run, runs_of
from benchmarks.paper.scales import Scale

TITLES = {
    "table1": "Table 1: TCL and STCL on CIFAR and DVS-CIFAR10",
    "table2": "Table 2: fine-grained image classification",
    "table3": "Table 3: comparison with other methods",
    "table4": "Table 4: firing rate of the blocks, in %",
    "figure2": "Figure 2: accuracy by the time steps used in inference",
    "figure3": "Figure 3: temperature and weight of the contrastive loss",
    "figure4": "Figure 4: time steps T of training and inference",
    "ablation": "Ablation: normalization, weight and surrogate",
}
_WIDE = ("table4", "figure2")
_NONE = "–"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the finished runs of a cell measured: an array over the seeds."""

    values: Mapping[str, np.ndarray]
    results: Sequence[Mapping[str, Any]]

    def mean(self, measure: str) -> float | None:
        values = self.values.get(measure)
        return None if values is None else float(values.mean())

    def text(self, measure: str) -> str:
        values = self.values.get(measure)
        if values is None:
            return _NONE
        if len(values) == 1:
            return f"{values[0]:.2f}"
        return f"{values.mean():.2f} ± {values.std():.2f}"


def measured(cell: Cell, output: pathlib.Path, seeds: int) -> Measured:
    """Collect the results of a cell's runs that are done."""
    found = []
    if cell.configuration is not None:
        for seed in range(seeds):
            result = Run(cell.configuration, seed, ()).result(output)
            if result is not None:
                found.append(result)
    rows = [_measures(result) for result in found]
    common = [name for name in (rows[0] if rows else ())]
    return Measured(
        {name: np.array([row[name] for row in rows]) for name in common},
        found,
    )


def _measures(result: Mapping[str, Any]) -> dict[str, float]:
    measures = {"accuracy": result["accuracy"][-1]}
    for t, accuracy in enumerate(result["accuracy"], start=1):
        measures[f"t={t}"] = accuracy
    for kind, rates in (
        ("block", result["firing_rates"]),
        ("output", result["output_rates"]),
    ):
        blocks = [v for name, v in rates.items() if "_block" in name]
        for number, rate in enumerate(blocks, start=1):
            measures[f"{kind} {number}"] = rate
    return measures


def markdown(
    artefact: str,
    scale: Scale,
    cells: Sequence[Cell],
    output: pathlib.Path,
    seeds: int,
) -> str:
    """The artefact as Markdown, with what is known of its runs."""
    found = {cell: measured(cell, output, seeds) for cell in cells}
    table = _wide if artefact in _WIDE else _long
    lines = [
        f"# {TITLES[artefact]}",
        "",
        *_preamble(scale, found),
        "",
        *table(scale, found),
    ]
    faults = {
        run.name: fault
        for run in runs_of(cells, seeds)
        if (fault := run.fault(output))
    }
    if faults:
        lines += ["", "Not done:", ""]
        lines += [f"* {name}: {fault}" for name, fault in faults.items()]
    return "\n".join(lines) + "\n"


def _preamble(scale: Scale, found: Mapping[Cell, Measured]) -> list[str]:
    configurations = [
        cell.configuration for cell in found if cell.configuration is not None
    ]
    epochs = sorted({c.epochs for c in configurations})
    results = {
        (result["key"], result["seed"]): result
        for one in found.values()
        for result in one.results
    }
    text = (
        f"Scale `{scale.name}`, {' or '.join(map(str, epochs))} epochs. Test "
        "accuracy in % after the last epoch, mean ± standard deviation over "
        "the seeds; the difference is ours minus the paper's."
    )
    if scale.name != "full":
        datasets = sorted({c.dataset for c in configurations})
        text += (
            f" {', '.join(datasets)} and narrow networks stand in for the "
            "paper's: only the order of the methods compares with it."
        )
    lines = [text]
    if results:
        versions = sorted(
            {
                ", ".join(f"{k} {v}" for k, v in r["versions"].items())
                for r in results.values()
            }
        )
        hours = sum(r["seconds"] for r in results.values()) / 3600
        lines += [
            "",
            f"{len(results)} runs, {hours:.2f} hours of training; "
            f"{'; '.join(versions)}.",
        ]
    return lines


def _long(scale: Scale, found: Mapping[Cell, Measured]) -> list[str]:
    """A row for each cell."""
    # T has a column of its own.
    swept = any(cell.swept and cell.swept[0] != "T" for cell in found)
    baselines = {
        _column(cell): (cell.paper.get("accuracy"), ours.mean("accuracy"))
        for cell, ours in found.items()
        if cell.method == "Baseline"
    }
    trained = [cell for cell in found if cell.configuration is not None]
    latencies = range(1, max(cell.timesteps for cell in trained) + 1)
    lines = _header(
        "data",
        "network",
        "method",
        "T",
        *(["setting"] if swept else []),
        "paper",
        "ours",
        "difference",
        *(["gain, paper", "gain, ours"] if baselines else []),
        *(f"t={t}" for t in latencies),
        "seeds",
    )
    for cell, ours in found.items():
        paper, mean = cell.paper.get("accuracy"), ours.mean("accuracy")
        cited = cell.configuration is None
        row = [
            _data(scale, cell),
            cell.network,
            cell.method + (" (cited)" if cited else ""),
            str(cell.timesteps),
        ]
        if swept:
            row.append(
                f"{cell.swept[0]} {cell.swept[1]:g}" if cell.swept else ""
            )
        row += [
            _number(paper),
            ours.text("accuracy"),
            _difference(mean, paper),
        ]
        if baselines:
            base = baselines.get(_column(cell), (None, None))
            row += [_difference(paper, base[0]), _difference(mean, base[1])]
        row += [_number(ours.mean(f"t={t}")) for t in latencies]
        row.append(_NONE if cited else str(len(ours.results)))
        lines.append(_row(row))
    return lines


def _wide(scale: Scale, found: Mapping[Cell, Measured]) -> list[str]:
    """Rows for the paper, ours and the difference; a column a measure."""
    is_rates = any("block 1" in cell.paper for cell in found)
    measures = list(
        dict.fromkeys(
            name
            for cell, ours in found.items()
            for name in (*cell.paper, *ours.values)
            if name.startswith("block" if is_rates else "t=")
        )
    )
    measures.sort(key=lambda name: int(name.strip("block t=")))
    columns = [*measures, "accuracy"] if is_rates else measures
    lines = _header("data", "network", "method", "", *columns)
    for cell, ours in found.items():
        start = [_data(scale, cell), cell.network, cell.method]
        rows = [
            ["paper", *(_number(cell.paper.get(name)) for name in columns)],
            ["ours", *(ours.text(name) for name in columns)],
            [
                "difference",
                *(
                    _difference(ours.mean(name), cell.paper.get(name))
                    for name in columns
                ),
            ],
        ]
        if is_rates:
            rows.append(
                [
                    "ours, block output",
                    *(
                        ours.text(name.replace("block", "output"))
                        for name in measures
                    ),
                    "",
                ]
            )
        lines += [_row([*start, *row]) for row in rows]
    if is_rates:
        lines += [
            "",
            "A rate is the mean number of spikes of a neuron at a time step, "
            "over all neurons of a block; of a block's output, that of the "
            "sum of its spikes and its shortcut, which can exceed 100 %. The "
            "paper does not say which its own are.",
        ]
    return lines


def _column(cell: Cell) -> tuple[Any, ...]:
    """What the cells have in common that a gain is measured within."""
    value = cell.timesteps if cell.artefact == "figure4" else None
    return cell.dataset, cell.network, value


def _data(scale: Scale, cell: Cell) -> str:
    if scale.name == "full" or cell.configuration is None:
        return cell.dataset
    return f"{cell.configuration.dataset} for {cell.dataset}"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _difference(a: float | None, b: float | None) -> str:
    return _NONE if a is None or b is None else f"{a - b:+.2f}"


def _header(*names: str) -> list[str]:
    return [_row(names), _row(["---"] * len(names))]


def _row(entries: Sequence[str]) -> str:
    return f"| {' | '.join(entries)} |"
