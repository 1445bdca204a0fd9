"""Does the cost model predict what a step computes, keeps and sends?

    KERAS_BACKEND=jax python -m benchmarks.scaling
    KERAS_BACKEND=torch python -m benchmarks.scaling

Measures narrow SEW-ResNets on 1, 2 and 4 devices, of which each has as many
samples: virtual ones on JAX, where the counts are XLA's of the program it has
compiled for each device, and no step is run; processes on PyTorch, where they
are those of a step of the first process. Prints tables in Markdown, of which
a number in parentheses is measured / predicted.
"""

import argparse
import json
import sys
import tempfile

import keras

from tests.distribution import launch

BACKEND = keras.config.backend()
SMALL = {
    "family": "sew_resnet",
    "stages": [[1, 1], [16, 32]],
    "input_shape": [16, 16, 3],
    "timesteps": 4,
    "loss": "TCL",
    "dimension": 32,
    "remat": None,
    "batch": 8,
    "devices": 1,
    "sharded": False,
}
DEEP = {**SMALL, "stages": [[2, 2], [16, 32]]}
# Many embeddings of a narrow network: the contrast is what is counted.
CONTRAST = {
    **SMALL,
    "stages": [[1], [4]],
    "input_shape": [4, 4, 3],
    "batch": 128,
    "dimension": 64,
}
CASES = {
    "TCL": [{**SMALL, "devices": n} for n in (1, 2, 4)],
    "STCL, 2 views": [
        {**SMALL, "loss": "STCL", "devices": n} for n in (1, 2, 4)
    ],
    "contrast": [{**CONTRAST, "devices": n} for n in (1, 2, 4)],
    "T = 2, 4, 8": [{**SMALL, "timesteps": t} for t in (2, 4, 8)],
    "batch 4, 8, 16": [{**SMALL, "batch": n} for n in (4, 8, 16)],
    'remat None, "stage", "block"': [
        {**DEEP, "remat": by} for by in (None, "stage", "block")
    ],
}
if BACKEND == "jax":
    # Predicted is data parallelism: the ratios say what sharing changes.
    CASES["weights on each device, and shared by two"] = [
        {**SMALL, "devices": 4, "sharded": sharded} for sharded in (False, True)
    ]


def run(jobs):
    """What trainings of one number of devices are predicted and take."""
    command = [sys.executable, "-m", "benchmarks.scaling.measure"]
    processes = jobs[0]["devices"] if BACKEND == "torch" else 1
    with tempfile.TemporaryDirectory() as folder:
        texts = launch.all_of([*command, json.dumps(jobs)], processes, folder)
    lines = texts[0].splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def row(found, first):
    """One line of the table."""
    predicted, measured = found["predicted"], found["measured"]
    peak = predicted["activations"] + predicted["similarities"]
    sent = {
        kind: size
        for kind, (_, size) in measured["collectives"].items()
        if "integers" not in kind
    }
    payloads = predicted["payloads"]
    gathered = payloads["gather"]
    reduced = sum(payloads.values()) - gathered
    if BACKEND == "jax":  # HLO says what a collective returns.
        gathered *= found["devices"]
    cells = [
        found["devices"],
        found["timesteps"],
        found["batch"],
        found["remat"] or "",
        f"{measured['products'] / 1e6:.1f} "
        f"({measured['products'] / predicted['flop']:.3f})",
        f"{measured['products'] / first['measured']['products']:.3f}",
        f"{measured['peak'] / 1e6:.2f} ({measured['peak'] / peak:.2f})",
        _size_and_ratio(sent.get("all-reduce", 0), reduced),
        _size_and_ratio(sent.get("all-gather", 0), gathered),
        ", ".join(
            f"{kind} {size / 1e3:.1f}"
            for kind, size in sent.items()
            if kind not in ("all-reduce", "all-gather")
        ),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _size_and_ratio(size, predicted):
    ratio = f" ({size / predicted:.2f})" if predicted else ""
    return f"{size / 1e3:.1f}{ratio}"


def _process(job):
    """What is fixed when a process begins."""
    return job["devices"], job["sharded"]


def measure(cases):
    """Results of all cases, in their order."""
    jobs = [
        {**settings, "case": name}
        for name, case in cases.items()
        for settings in case
    ]
    results = []
    for process in sorted({_process(job) for job in jobs}):
        results += run([job for job in jobs if _process(job) == process])
    order = {name: number for number, name in enumerate(cases)}
    return sorted(results, key=lambda found: order[found["case"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--out", help="file of results, one JSON a line")
    arguments = parser.parse_args()
    cases = {k: v for k, v in CASES.items() if arguments.only in k}
    results = measure(cases)
    if arguments.out:
        with open(arguments.out, "a") as file:
            file.writelines(json.dumps(found) + "\n" for found in results)
    for name in cases:
        print(
            f"\n{BACKEND}, {name}\n\n"
            "| devices | T | samples a device | remat | MFLOP a device | "
            "to the first row | peak MB a device | all-reduce kB | "
            "all-gather kB | others kB |\n" + "| --- " * 10 + "|"
        )
        rows = [found for found in results if found["case"] == name]
        for found in rows:
            print(row(found, rows[0]))


if __name__ == "__main__":
    main()
