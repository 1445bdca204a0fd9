"""The paper's tables and figures.

    python -m benchmarks.paper table1 figure2 --scale digits
    python -m benchmarks.paper all --scale full --dry-run
    python -m benchmarks.paper all --scale full --steps 2 --batch-size 2

Run the same command again after a kill: what is done is skipped, what was
begun goes on from its last epoch. Cells of equal configuration are one run.
The backend is Keras' choice (KERAS_BACKEND).
"""

import argparse
import pathlib
import sys

from benchmarks.paper import figures, report, storage
from benchmarks.paper.artefacts import ARTEFACTS, Cell, cells_of
from benchmarks.paper.runner import run_all, runs_of, share
from benchmarks.paper.scales import SCALES, Scale, find_scale


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options, parser = _parse(arguments)
    try:
        scale = find_scale(options.scale)
        artefacts = _cells(options, scale)
    except ValueError as error:
        parser.error(str(error))
    seeds = options.seeds or scale.seeds
    every = [cell for cells in artefacts.values() for cell in cells]
    if options.dry_run:
        _list(every, seeds)
        return 0
    if options.steps:
        return _try_steps(every, options)

    runs = runs_of(every, seeds)

    def write(final: bool = False) -> bool:
        try:
            for artefact, cells in artefacts.items():
                path = options.output / f"{artefact}-{scale.name}.md"
                text = report.markdown(
                    artefact, scale, cells, options.output, seeds
                )
                storage.write_text(path, text)
                picture = path.with_suffix(".png")
                if final and artefact in figures.FIGURES:
                    figures.draw(cells, options.output, seeds, picture)
        except OSError as error:
            print(f"Cannot write the report: {error}. Use --report later.")
            return False
        return True

    if options.worker:
        run_all(runs, options.output, options.data_dir, workers=options.jobs)
        return 0
    if options.jobs > 1 and not options.report:
        share(_worker_command(arguments), options.jobs)
    elif not options.report:
        run_all(runs, options.output, options.data_dir, write)
    written = write(final=True)
    for artefact in artefacts:
        print(options.output / f"{artefact}-{scale.name}.md")
    return 1 if not written or any(r.fault(options.output) for r in runs) else 0


def _worker_command(arguments: list[str] | None) -> list[str]:
    given = sys.argv[1:] if arguments is None else arguments
    return [sys.executable, "-m", "benchmarks.paper", *given, "--worker"]


def _parse(
    arguments: list[str] | None,
) -> tuple[argparse.Namespace, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "artefacts",
        nargs="+",
        metavar="ARTEFACT",
        help=f"{', '.join(ARTEFACTS)}, or all",
    )
    add("--scale", required=True, help=", ".join(SCALES))
    add(
        "--cells",
        nargs="+",
        default=(),
        metavar="NAME",
        help="only these cells, as --dry-run names them or the ends of their "
        "names; * stands for anything",
    )
    add("--data-dir", type=pathlib.Path, help="else KERAS_TCL_DATA_DIR")
    add("--output", type=pathlib.Path, default=pathlib.Path("paper_results"))
    add("--seeds", type=_count, help="number of seeds, from 0 on")
    add("--epochs", type=_count, help="instead of the scale's")
    add("--batch-size", type=_count, help="instead of the scale's")
    add("--dtype-policy", help="such as mixed_bfloat16")
    add("--jobs", type=_count, default=1, help="processes that share the runs")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    add("--dry-run", action="store_true", help="list the cells")
    add("--report", action="store_true", help="write the report; no training")
    add(
        "--steps",
        type=_count,
        metavar="N",
        help="run N training steps of each cell, to know that it starts",
    )
    return parser.parse_args(arguments), parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _cells(options: argparse.Namespace, scale: Scale) -> dict[str, list[Cell]]:
    """The chosen cells by artefact; a ValueError for unknown names."""
    changes = {
        name: value
        for name in ("epochs", "batch_size", "dtype_policy")
        if (value := getattr(options, name))
    }
    if "all" in options.artefacts:
        names = [name for name, cells in ARTEFACTS.items() if any(cells(scale))]
    else:
        names = list(dict.fromkeys(options.artefacts))
    existing = {name: cells_of(name, scale, **changes) for name in names}
    if not options.cells:
        return existing
    for pattern in options.cells:
        if not any(c.matches(pattern) for cs in existing.values() for c in cs):
            raise ValueError(
                f"There is no cell {pattern!r}; there are\n  "
                + "\n  ".join(c.name for cs in existing.values() for c in cs)
            )
    chosen = {
        name: [c for c in cells if any(map(c.matches, options.cells))]
        for name, cells in existing.items()
    }
    return {name: cells for name, cells in chosen.items() if cells}


def _list(cells: list[Cell], seeds: int) -> None:
    for cell in cells:
        if cell.configuration is None:
            print(f"{cell.name}: cited")
        else:
            print(f"{cell.name}: {cell.configuration.key}")
    runs = runs_of(cells, seeds)
    print(f"{len(cells)} cells, {len(runs)} runs with {seeds} seeds")


def _try_steps(cells: list[Cell], options: argparse.Namespace) -> int:
    """Run a few steps of every configuration; print a Markdown table."""
    from benchmarks.paper.training import try_steps

    print(f"{options.steps} training steps of every cell\n")
    print("| cell | parameters | batch | data | last loss | seconds |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    status = 0
    for run in runs_of(cells, 1):
        name = run.names[0]
        if len(run.names) > 1:
            name += f" (and {', '.join(run.names[1:])})"
        try:
            done = try_steps(
                run.configuration,
                options.steps,
                options.batch_size,
                options.data_dir,
            )
        except Exception as error:
            print(f"| {name} | failed: {type(error).__name__}: {error} |")
            status = 1
            continue
        print(
            f"| {name} | {done['parameters'] / 1e6:.2f} M "
            f"| {done['batch_size']} | {done['data']} "
            f"| {done['losses'][-1]:.2f} | {done['seconds']:.1f} |",
            flush=True,
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
