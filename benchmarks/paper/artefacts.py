"""The cells of every table and figure of the paper."""

import dataclasses
import fnmatch
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.paper import values
from benchmarks.paper.configuration import Configuration
from benchmarks.paper.scales import Scale

# Loss and its options. Temperature and weight are the paper's defaults;
# "paper" is equation 10 as printed.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "Baseline": ("MeanCrossEntropy", {}),
    "TET": ("TET", {}),
    "TCL": (
        "TCL",
        {"temperature": 0.07, "weight": 0.5, "normalization": "paper"},
    ),
    "STCL w/o CL": ("STCL", {"weight": 0.0}),
    "STCL": (
        "STCL",
        {"temperature": 0.07, "weight": 5.0, "normalization": "paper"},
    ),
}


@dataclasses.dataclass(frozen=True, eq=False)  # Hashed by identity.
class Cell:
    """One entry of a table, or one curve or point of a figure.

    Attributes:
        artefact: `"table1"`, ...
        dataset, network, method: as the paper calls them.
        timesteps: T of the training.
        configuration: the run that fills it; `None` for a cited number.
        paper: the paper's values in percent by what is measured:
            `"accuracy"` (at all T steps), `"t=1"` (at a latency of one
            step), `"block 1"` (firing rate).
        swept: for the point of a sweep, what is swept and its value.
    """

    artefact: str
    dataset: str
    network: str
    method: str
    timesteps: int
    configuration: Configuration | None
    paper: Mapping[str, float]
    swept: tuple[str, float] | None = None

    @property
    def name(self) -> str:
        parts = [self.artefact, self.dataset, self.network, self.method]
        if self.swept:
            parts.append(f"{self.swept[0]}={self.swept[1]:g}")
        return "/".join(parts)

    def matches(self, pattern: str) -> bool:
        """Whether the name, or its end, is this; `*` is anything."""
        return any(
            fnmatch.fnmatchcase(self.name, one)
            for one in (pattern, f"*/{pattern}")
        )


def _cell(
    scale: Scale,
    artefact: str,
    dataset: str,
    network: str,
    method: str,
    paper: Mapping[str, float] | float | None = None,
    timesteps: int = 4,
    swept: tuple[str, float] | None = None,
    loss_options: Mapping[str, Any] | None = None,
    label: str | None = None,
    **changes: Any,
) -> Cell:
    data = scale.stand_in(dataset)
    loss, options = METHODS[method]
    options = {**options, **(loss_options or {})}
    builder = scale.networks[network]
    configuration = Configuration(
        dataset=data.name,
        train=data.train,
        test=data.test,
        data_options=data.options,
        network=builder.builder,
        network_options={**builder.options, **data.network_options},
        timesteps=timesteps,
        loss=loss,
        loss_options=options,
        augmentation=data.augmentations[loss == "STCL"],
        epochs=scale.epochs,
        batch_size=data.batch_size,
    ).replace(**changes)
    if paper is None:
        paper = {}
    elif not isinstance(paper, Mapping):
        paper = {"accuracy": paper}
    return Cell(
        artefact,
        dataset,
        network,
        label or method,
        timesteps,
        configuration,
        paper,
        swept,
    )


def _table1(scale: Scale) -> Iterator[Cell]:
    for (dataset, network), column in values.TABLE1.items():
        if dataset in scale.data:
            for method, paper in column.items():
                yield _cell(scale, "table1", dataset, network, method, paper)


def _table2(scale: Scale) -> Iterator[Cell]:
    for dataset in scale.datasets(list(values.TABLE2)):
        for method, paper in values.TABLE2[dataset].items():
            yield _cell(scale, "table2", dataset, "SEW-18", method, paper)


def _table3(scale: Scale) -> Iterator[Cell]:
    for (dataset, network), column in values.TABLE3.items():
        if dataset not in scale.data:
            continue
        for cited in values.TABLE3_CITED:
            if cited[0] == dataset:
                _, method, cited_network, timesteps, accuracy = cited
                yield Cell(
                    "table3",
                    dataset,
                    cited_network,
                    method,
                    timesteps,
                    None,
                    {"accuracy": accuracy},
                )
        for method, paper in column.items():
            yield _cell(scale, "table3", dataset, network, method, paper)


def _table4(scale: Scale) -> Iterator[Cell]:
    accuracies = values.TABLE1["CIFAR-100", "SEW-18"]
    for method, rates in values.TABLE4.items():
        paper = {f"block {i}": rate for i, rate in enumerate(rates, start=1)}
        paper["accuracy"] = accuracies[method]
        yield _cell(scale, "table4", "CIFAR-100", "SEW-18", method, paper)


def _figure2(scale: Scale) -> Iterator[Cell]:
    for network in ("SEW-18", "Spiking-ResNet"):
        for method in ("Baseline", "TET", "TCL", "STCL"):
            points = values.FIGURE2.get((network, method), {})
            yield _cell(
                scale,
                "figure2",
                "CIFAR-100",
                network,
                method,
                {f"t={t}": value for t, value in points.items()},
                timesteps=scale.latency_timesteps,
            )


def _figure3(scale: Scale) -> Iterator[Cell]:
    sweeps = {"temperature": scale.temperatures, "weight": scale.weights}
    for option, swept_values in sweeps.items():
        for method in ("TCL", "STCL"):
            for value in swept_values:
                yield _cell(
                    scale,
                    "figure3",
                    "CIFAR-100",
                    "SEW-18",
                    method,
                    values.FIGURE3[option, method].get(value),
                    swept=(option, value),
                    loss_options={option: value},
                )


def _figure4(scale: Scale) -> Iterator[Cell]:
    for dataset in scale.datasets(["CIFAR-10", "CIFAR-100"]):
        for method in ("Baseline", "TCL", "STCL"):
            for timesteps in scale.timesteps:
                yield _cell(
                    scale,
                    "figure4",
                    dataset,
                    "SEW-18",
                    method,
                    values.FIGURE4[dataset, method].get(timesteps),
                    timesteps=timesteps,
                    swept=("T", timesteps),
                )


def _ablation(scale: Scale) -> Iterator[Cell]:
    """Not in the paper: what its claims may hang on where we differ."""

    def cell(method: str, change: str = "", **changes: Any) -> Cell:
        label = f"{method}, {change}" if change else method
        return _cell(
            scale,
            "ablation",
            "CIFAR-10",
            "SEW-18",
            method,
            label=label,
            **changes,
        )

    for method in METHODS:
        yield cell(method)
    for method in ("TCL", "STCL"):
        for weight in (0.5, 2.0, 5.0):
            yield cell(
                method,
                f"mean over positives, weight {weight:g}",
                loss_options={"normalization": "mean", "weight": weight},
            )
    for surrogate in ("atan", "rectangle"):
        for method in METHODS:
            yield cell(method, surrogate, surrogate=surrogate)


ARTEFACTS: dict[str, Callable[[Scale], Iterator[Cell]]] = {
    "table1": _table1,
    "table2": _table2,
    "table3": _table3,
    "table4": _table4,
    "figure2": _figure2,
    "figure3": _figure3,
    "figure4": _figure4,
    "ablation": _ablation,
}


def cells_of(artefact: str, scale: Scale, **changes: Any) -> list[Cell]:
    """The cells of an artefact at a scale.

    Args:
        artefact: String, one of `ARTEFACTS`.
        scale: `Scale`.
        **changes: Changes to the configurations, such as `epochs`.

    Raises:
        ValueError: for an unknown artefact, and where the artefact does not
            exist at the scale.
    """
    if artefact not in ARTEFACTS:
        raise ValueError(
            "There is no artefact of this name; there are "
            f"{', '.join(ARTEFACTS)}. Received: {artefact!r}."
        )
    cells = [
        dataclasses.replace(
            cell,
            configuration=cell.configuration
            and cell.configuration.replace(**changes),
        )
        for cell in ARTEFACTS[artefact](scale)
    ]
    if not cells:
        raise ValueError(
            f"`{artefact}` has no data set at the scale {scale.name!r}; it "
            "exists at the scale 'full'."
        )
    return cells
