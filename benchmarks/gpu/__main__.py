"""All that only a machine with GPUs can show, and one report of it.

    make gpu BACKEND=torch                                  # installs, too
    KERAS_BACKEND=torch python -m benchmarks.gpu --data-dir DIR
    KERAS_BACKEND=torch python -m benchmarks.gpu kernels speed
    KERAS_BACKEND=torch python -m benchmarks.gpu --dry-run

The stages, in their order:

* `kernels`: the tests of kernels and layers on the GPU, and whether it
  computes what the CPU does, in float32 and in mixed precision;
* `speed`: a training step against the ReLU twin and the peers;
* `table1`: the paper's table 1 at full scale, on all GPUs, one run on each.

Before the first of them it looks for what the chosen ones need (GPUs that the
backend sees, data, which it downloads where it can, room on the disk), and says
all that is missing at once. `--dry-run` does that alone, and lists the
commands. A stage that fails does not keep the next from running. Run the same
command again after a kill: `table1` goes on from the last epoch of each run.
`report.md` in `--output` holds the machine, and of each stage the last result.
"""

import argparse
import dataclasses
import pathlib
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

import keras

import keras_tcl
from benchmarks.gpu.machine import Gpu, gpus
from benchmarks.paper.artefacts import cells_of
from benchmarks.paper.scales import SCALES
from benchmarks.paper.storage import read_json, write_json, write_text
from benchmarks.paper.training import DataMissing, open_data

ROOT = pathlib.Path(__file__).parents[2]
STAGES = ("kernels", "speed", "table1")
GIGABYTES = {"kernels": 1, "speed": 1, "table1": 20}
# Lines of a stage's output that its report quotes.
QUOTED = 60


@dataclasses.dataclass(frozen=True)
class Result:
    """What a command of a stage did."""

    command: str
    status: int
    seconds: float
    output: str


def commands_of(stage: str, options: argparse.Namespace) -> list[list[str]]:
    """The commands of a stage, without the interpreter."""
    data = ["--data-dir", str(options.data_dir)] if options.data_dir else []
    ours = f"keras_tcl:{keras.config.backend()}"
    return {
        "kernels": [
            [
                "pytest",
                "tests/kernels",
                "tests/layers",
                "-p",
                "no:cacheprovider",
            ],
            ["benchmarks.gpu.same_numbers"],
        ],
        "speed": [
            ["benchmarks.speed", "--peers", options.peers, "--batch", "128"]
            + ["--output", str(options.output / "speed")]
            + ["--only", ours, f"{ours}:relu", "spikingjelly", "snntorch"]
            + ["norse", "spyx"]
        ],
        "table1": [
            ["benchmarks.paper", "table1", "--scale", "full", *data]
            + ["--output", str(options.output / "paper")]
            + ["--jobs", str(max(options.gpus, 1))]
        ],
    }[stage]


def missing(
    stages: Sequence[str], options: argparse.Namespace, devices: list[Gpu]
) -> list[str]:
    """A sentence for each thing that the stages need and do not find."""
    found = []
    if not devices:
        found.append(
            "There is no GPU: `nvidia-smi` lists none. Run this on a machine "
            "with an NVIDIA GPU and its driver."
        )
    elif (seen := seen_by_backend()) < len(devices):
        found.append(
            f"{keras.config.backend()} sees {seen} of {len(devices)} GPUs: "
            "install its CUDA build (`make gpu` does), and compare the "
            f"driver, {devices[0].driver}, with what that build needs."
        )
    wanted = sum(GIGABYTES[stage] for stage in stages)
    free = shutil.disk_usage(existing_parent(options.output)).free / 1e9
    if free < wanted:
        found.append(
            f"There are {free:.0f} GB free where {options.output} is, and the "
            f"stages need {wanted}: name another folder by `--output`."
        )
    elif "table1" in stages:  # There is room for a download.
        found += missing_data(options.data_dir)
    return found


def seen_by_backend() -> int:
    """How many GPUs the backend can use."""
    backend = keras.config.backend()
    if backend == "torch":
        import torch

        return torch.cuda.device_count()
    if backend == "jax":
        import jax

        return sum(device.platform == "gpu" for device in jax.devices())
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def missing_data(data_dir: pathlib.Path | None) -> list[str]:
    """What is said of table 1's data sets that are not there.

    What is free to download is downloaded.
    """
    configurations = [
        cell.configuration
        for cell in cells_of("table1", SCALES["full"])
        if cell.configuration is not None
    ]
    found = []
    for c in {c.dataset: c for c in configurations}.values():
        for split in (c.train, c.test):
            try:
                open_data(c, split, data_dir)
            except (DataMissing, ValueError) as error:
                found.append(str(error))
                break
    return found


def existing_parent(path: pathlib.Path) -> pathlib.Path:
    path = path.absolute()
    return path if path.exists() else existing_parent(path.parent)


def run(stage: str, options: argparse.Namespace) -> list[Result]:
    """Run the commands of a stage, and show what they print."""
    results = []
    for words in commands_of(stage, options):
        shown = f"python -m {' '.join(words)}"
        print(f"\n{stage}: {shown}", flush=True)
        begun = time.monotonic()
        lines: list[str] = []
        with subprocess.Popen(
            [sys.executable, "-u", "-m", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines = [*lines[1 - QUOTED :], line]
        status = process.returncode
        seconds = time.monotonic() - begun
        results.append(Result(shown, status, seconds, "".join(lines)))
    return results


def write_report(folder: pathlib.Path, devices: list[Gpu]) -> pathlib.Path:
    """All stages that have ever run into this folder, in their order."""
    lines = [f"# On {machine(devices)}", ""]
    for stage in STAGES:
        rows = read_json(folder / f"{stage}.json")
        if rows is None:
            lines += [f"## {stage}: not run", ""]
            continue
        results = [Result(**row) for row in rows]
        failed = any(result.status for result in results)
        lines += [f"## {stage}: {'FAILED' if failed else 'passed'}", ""]
        for result in results:
            lines += [
                f"    {result.command}",
                "",
                f"Exit status {result.status} after {result.seconds:.0f} s.",
                "",
                "```",
                result.output.rstrip(),
                "```",
                "",
            ]
    path = folder / "report.md"
    write_text(path, "\n".join(lines))
    return path


def machine(devices: list[Gpu]) -> str:
    names = [f"{gpu.name} ({gpu.memory} MiB)" for gpu in devices]
    each = [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
    driver = f", driver {devices[0].driver}" if devices else ""
    backend = keras.config.backend()
    version = __import__(backend).__version__
    return (
        f"{', '.join(each) or 'no GPU'}{driver}; Python "
        f"{platform.python_version()}, {backend} {version}, "
        f"Keras {keras.__version__}, keras_tcl {keras_tcl.__version__}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    # `choices` would refuse the empty list.
    add("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    add("--data-dir", type=pathlib.Path, help="else KERAS_TCL_DATA_DIR")
    add("--output", type=pathlib.Path, default=pathlib.Path("gpu_report"))
    add(
        "--peers", default=sys.executable, help="interpreter that has the peers"
    )
    add(
        "--dry-run",
        action="store_true",
        help="look (and download what is free) and list",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.stages) - set(STAGES):
        parser.error(
            f"There is no stage {', '.join(sorted(unknown))}; there are "
            f"{', '.join(STAGES)}."
        )
    stages = [s for s in STAGES if s in options.stages or not options.stages]
    # Commands run in the project's folder, wherever this was typed.
    options.output = options.output.absolute()
    if options.data_dir:
        options.data_dir = options.data_dir.absolute()
    devices = gpus()
    options.gpus = len(devices)
    print(machine(devices))
    faults = missing(stages, options, devices)
    for fault in faults:
        print(f"* {fault}")
    if options.dry_run:
        for stage in stages:
            for words in commands_of(stage, options):
                print(f"{stage}: python -m {' '.join(words)}")
    if faults or options.dry_run:
        return int(bool(faults))
    failed = False
    for stage in stages:
        results = run(stage, options)
        failed |= any(result.status for result in results)
        rows = [dataclasses.asdict(result) for result in results]
        write_json(options.output / f"{stage}.json", rows)
        print(f"\nwrote {write_report(options.output, devices)}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
