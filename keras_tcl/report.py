"""The command that reports what a model can do.

    keras-tcl-report MODEL.keras --data digits --out folder
    python -m keras_tcl.report MODEL.keras --data digits --out folder

MODEL is a `.keras` file, the name of a preset, or a preset's folder. It prints
`keras_tcl.analysis.report` of the data, and writes it as `report.json`,
`report.txt` and `report.png` into the folder, if one is given.
"""

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from keras_tcl import analysis, checks, data, models
from keras_tcl.optional import require


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command; what is wrong with its input ends it in a sentence."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (ValueError, ImportError) as error:
        sys.exit(f"{error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-tcl-report",
        description="Measures what a spiking network can do at every latency.",
    )
    parser.add_argument(
        "model", help=".keras file, name of a preset, or a preset's folder"
    )
    parser.add_argument(
        "--data", required=True, help="name of a data set of keras_tcl.data"
    )
    parser.add_argument("--data-dir", help="the folder of the data sets")
    parser.add_argument("--split", default="test", help="default: test")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--timesteps", type=int, help="T, default: the model's")
    parser.add_argument(
        "--out", type=pathlib.Path, help="folder of the report's files"
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    # Before the work, not after it.
    if options.timesteps is not None:
        checks.integer("timesteps", options.timesteps)
    if options.out is not None:
        _check_folder(options.out)
        require("matplotlib", "A plot", "keras_tcl[plot]").use("Agg")
    model = _model(options.model)
    reading: dict[str, Any] = {}
    takes_events = getattr(model, "takes_events", False)
    steps = options.timesteps or (takes_events and model.sample_shape[0])
    if steps and takes_events:
        reading["timesteps"] = steps
    elif steps:
        model.timesteps = steps
    batches = data.load(
        options.data,
        options.split,
        options.batch_size,
        options.data_dir,
        shuffle=False,
        **reading,
    )
    names = batches.source.info.class_names
    fit = len(names) == getattr(model, "classes", None)
    report = analysis.report(model, batches, class_names=names if fit else ())
    print(report)
    if options.out is None:
        return
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report.to_dict(), indent=1)
    (options.out / "report.json").write_text(f"{text}\n", "utf-8")
    (options.out / "report.txt").write_text(f"{report}\n", "utf-8")
    analysis.save_plot(report.plot(), options.out / "report.png")


def _check_folder(out: pathlib.Path) -> None:
    """Raises a ValueError if this can be no folder to write into."""
    found = out.absolute()
    while not os.path.lexists(found):
        found = found.parent
    if not found.is_dir() or not os.access(found, os.W_OK | os.X_OK):
        reason = "cannot be written into" if found.is_dir() else "is no folder"
        raise ValueError(
            "`--out` must be a folder for the report's files, which is made "
            f"if need be. Received: --out {out}, and {str(found)!r} {reason}. "
            "Nothing was measured. Give another."
        )


def _model(name: str) -> Any:
    if name in models.list_presets() or os.path.isdir(name):
        return models.TCLModel.from_preset(name)
    if not os.path.exists(name):
        raise ValueError(
            "There is neither a file nor a preset of this name; the presets "
            f"are {list(models.list_presets())}. Received: {name!r}."
        )
    return models.load_model(name)


if __name__ == "__main__":
    main()
