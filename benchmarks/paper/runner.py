"""All runs of some cells: skip, lock, report faults, estimate the time."""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.gpu.machine import environments, gpus
from benchmarks.paper.artefacts import Cell
from benchmarks.paper.configuration import Configuration
from benchmarks.paper.storage import lock, read_json, write_json, write_text


@dataclasses.dataclass(frozen=True, eq=False)  # Hashed by identity.
class Run:
    """A configuration and a seed; the cells it fills are its `names`."""

    configuration: Configuration
    seed: int
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.names[0]}, seed {self.seed}"

    def folder(self, output: pathlib.Path) -> pathlib.Path:
        return output / "runs" / self.configuration.key / f"seed{self.seed}"

    def result(self, output: pathlib.Path) -> dict[str, Any] | None:
        """The result of the run, if it is done."""
        return read_json(self.folder(output) / "result.json")

    def fault(self, output: pathlib.Path) -> str | None:
        """Why the run is not done; `None` if it is."""
        if self.result(output) is not None:
            return None
        try:
            return (self.folder(output) / "fault.txt").read_text("utf-8")
        except OSError:
            return "not run"


def runs_of(cells: Iterable[Cell], seeds: int) -> list[Run]:
    """Each run once, however many cells share it; all cells seed by seed."""
    names: dict[str, list[str]] = {}
    configurations: dict[str, Configuration] = {}
    for cell in cells:
        if cell.configuration is not None:
            key = cell.configuration.key
            configurations[key] = cell.configuration
            names.setdefault(key, []).append(cell.name)
    return [
        Run(configuration, seed, tuple(names[key]))
        for seed in range(seeds)
        for key, configuration in configurations.items()
    ]


def run_all(
    runs: Sequence[Run],
    output: pathlib.Path,
    data_dir: Any = None,
    on_done: Callable[[], Any] = lambda: None,
    workers: int = 1,
) -> None:
    """Train what is not done. No fault of one run stops the others.

    Args:
        runs: `Run`s.
        output: Path of the folder of results.
        data_dir: Path, as for `keras_tcl.data.load`.
        on_done: Function called after each run.
        workers: Int, number of processes that share these runs, this one
            included.
    """
    # Keras and a backend: not needed to list cells or to write reports.
    from benchmarks.paper import training

    display = _Display(runs, output, workers)
    missing: dict[str, str] = {}
    for number, run in enumerate(runs, start=1):
        title = f"[{number}/{len(runs)}] {run.name}"
        if run.result(output) is not None:
            display.say(f"{title}: done before")
            continue
        dataset, folder = run.configuration.dataset, run.folder(output)
        fault = None
        try:
            if dataset in missing:
                raise training.DataMissing(missing[dataset])
            with lock(folder) as alone:
                if not alone:
                    if workers == 1:
                        display.say(f"{title}: another process is at it")
                    continue
                if run.result(output) is None:
                    display.begin(run, title)
                    result = training.train(
                        run.configuration,
                        run.seed,
                        folder,
                        data_dir,
                        display.epoch,
                        display.note,
                    )
                    write_json(folder / "result.json", result)
                    (folder / "fault.txt").unlink(missing_ok=True)
                    display.end(result)
        except training.DataMissing as error:
            missing[dataset] = str(error)
            fault = f"data missing: {error}"
        except OSError as error:
            fault = (
                f"cannot write or read: {error}. Run again to go on from the "
                "last good checkpoint"
            )
        except Exception as error:
            fault = f"failed: {type(error).__name__}: {error}"
        if fault:
            display.give_up(run, f"{title}: {fault}")
            with contextlib.suppress(OSError):  # The disk may be full.
                write_text(folder / "fault.txt", fault)
        else:
            on_done()


def share(command: Sequence[str], jobs: int) -> None:
    """Let several processes work at the same runs; wait for all of them.

    What one has locked, the others leave to it. Where there are GPUs, they
    take them in turn.
    """
    threads = max((os.cpu_count() or 1) // jobs, 1)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    workers = [
        subprocess.Popen(command, env={**environment, **gpu})
        for gpu in environments(jobs, gpus())
    ]
    for worker in workers:
        worker.wait()


class _Display:
    """Progress over the runs, with an estimate of the time left.

    The estimate takes the time of an epoch as proportional to T and views,
    and learns the factor for each data set and network from what is done,
    in earlier sessions too.
    """

    def __init__(
        self, runs: Sequence[Run], output: pathlib.Path, workers: int
    ) -> None:
        self.output, self.workers = output, workers
        self.speeds: dict[tuple[str, str], float] = {}
        self.left: dict[Run, float] = {}
        self.live = sys.stderr.isatty()
        for run in runs:
            result = run.result(output)
            if result is None:
                self.left[run] = _work(run.configuration)
            else:
                self._learn(run.configuration, result["seconds"])

    def say(self, text: str) -> None:
        if self.live:
            print("\r\033[K", end="", file=sys.stderr)
        print(text, flush=True)

    def begin(self, run: Run, title: str) -> None:
        self.run, self.title = run, title
        self.ends = [time.perf_counter()]

    def epoch(self, done: int, logs: dict[str, float]) -> None:
        configuration = self.run.configuration
        self.ends.append(time.perf_counter())
        # The first epoch compiles: the others tell how long one takes.
        first, *later = np.diff(self.ends)
        usual = np.mean(later) if later else first
        self._learn(configuration, first + usual * (configuration.epochs - 1))
        to_do = 1 - done / configuration.epochs
        self.left[self.run] = to_do * _work(configuration)
        text = (
            f"{self.title}: epoch {done}/{configuration.epochs}, "
            f"loss {logs['loss']:.3f}; about {self._time_left()} left"
        )
        if self.live:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif done % max(configuration.epochs // 4, 1) == 0:
            print(text, flush=True)

    def end(self, result: dict[str, Any]) -> None:
        # Other processes may have finished some, too.
        self.left = {
            run: work
            for run, work in self.left.items()
            if run.result(self.output) is None
        }
        accuracies = ", ".join(f"{a:.2f}" for a in result["accuracy"])
        self.say(
            f"{self.title}: {accuracies} % at t = 1..T, "
            f"{_duration(result['seconds'])} of training; about "
            f"{self._time_left()} left"
        )

    def note(self, text: str) -> None:
        self.say(f"{self.title}: {text}")

    def give_up(self, run: Run, text: str) -> None:
        self.left.pop(run, None)
        self.say(text)

    def _learn(self, configuration: Configuration, seconds: float) -> None:
        kind = (configuration.dataset, configuration.network)
        self.speeds[kind] = seconds / _work(configuration)

    def _time_left(self) -> str:
        usual = sum(self.speeds.values()) / max(len(self.speeds), 1)
        seconds = 0.0
        for run, work in self.left.items():
            kind = (run.configuration.dataset, run.configuration.network)
            seconds += work * self.speeds.get(kind, usual)
        return _duration(seconds / self.workers)


def _work(configuration: Configuration) -> float:
    return configuration.epochs * configuration.timesteps * configuration.views


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"
