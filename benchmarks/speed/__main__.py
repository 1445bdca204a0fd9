"""keras_tcl against its ANN twin and the other SNN libraries, by ratios.

    python -m benchmarks.speed [CASE ...] [--peers PYTHON] [--rounds 3]

Every measurement is a process of its own. The contestants of a case take
turns, several rounds in one run, and the table gives the median of the rounds
as a ratio to SpikingJelly's. What is not installed is skipped, and said so;
`--peers` names the interpreter of an environment that has the other libraries
(`pip install torch snntorch norse tqdm scipy nir nirtorch tensorboard`, then
`pip install --no-deps spikingjelly`; for Spyx `pip install jax flax optax
spyx`). The network, batch, precision and
optimizer (SGD with momentum) of a case are the same for all. Runs on a CPU or
a GPU, whichever the libraries find.

`--only` names contestants: `keras_tcl:BACKEND:NEURON:REMAT`, where the last two
may be left out (`keras_tcl:torch`, `keras_tcl:jax:relu`,
`keras_tcl:tensorflow:lif:block`), or a library. The cases `compile-*` are for
their last column.
"""

import argparse
import itertools
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[2]
REFERENCE = "spikingjelly"
OURS = [
    f"keras_tcl:{backend}{neuron}"
    for backend in ("tensorflow", "jax", "torch")
    for neuron in ("", ":relu")
]
PEERS = [
    "spikingjelly",
    "spikingjelly-channels-last",
    "snntorch",
    "norse",
    "spyx",
]
TWINS = ["relu"]


def case(network, timesteps, batch, mode="train", precision="float32"):
    events = network == "vggsnn"
    return {
        "network": network,
        "timesteps": timesteps,
        "batch": batch,
        "mode": mode,
        "precision": precision,
        "size": 48 if events else 32,
        "channels": 2 if events else 3,
        "events": events,
        "steps": 1 if network != "lif" else 3,
        "repeats": 5,
    }


def cases(batch):
    """By name, what is measured; `batch` is that of the SEW-ResNet-18."""
    table = {}
    for timesteps in (4, 8, 16):
        name = f"sew_resnet18-T{timesteps}"
        table[name] = case("sew_resnet18", timesteps, batch)
    for other in (batch // 16, batch // 4, batch * 4):
        name = f"sew_resnet18-T4-batch{max(1, other)}"
        table[name] = case("sew_resnet18", 4, max(1, other))
    for timesteps in (4, 128):
        table[f"compile-T{timesteps}"] = case("sew_resnet18", timesteps, 1)
    table["sew_resnet18-T4-inference"] = case("sew_resnet18", 4, batch, "infer")
    table["sew_resnet18-T4-bfloat16"] = case(
        "sew_resnet18", 4, batch, precision="bfloat16"
    )
    table["vggsnn-T10"] = case("vggsnn", 10, max(1, batch // 4))
    for timesteps in (4, 8, 32, 128):
        # As many neurons and steps in all, so that only T differs.
        table[f"lif-T{timesteps}"] = case(
            "lif", timesteps, max(1, batch * 4 // timesteps)
        )
    return table


def measure(contestant, settings, peers):
    """The worker's answer, or `{"missing": why}`."""
    ours = contestant.startswith("keras_tcl")
    command = [
        sys.executable if ours else peers,
        "-m",
        "benchmarks.speed.worker",
        contestant,
        json.dumps(settings),
    ]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"missing": f"failed: {last}"}
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(name, settings, contestants, rounds, peers):
    """Interleaved rounds; returns medians by contestant."""
    results = {contestant: [] for contestant in contestants}
    for number in range(rounds):
        # Every second round backwards, so that a drift favours nobody.
        for contestant in contestants[:: -1 if number % 2 else 1]:
            if results[contestant] is None:
                continue
            start = time.perf_counter()
            result = measure(contestant, settings, peers)
            if "missing" in result:
                print(f"{name}: {contestant} skipped ({result['missing']})")
                results[contestant] = None
                continue
            results[contestant].append(result)
            print(
                f"{name} round {number + 1} {contestant}: "
                f"{result['step']:.3f} s a step "
                f"({time.perf_counter() - start:.0f} s in all)",
                flush=True,
            )
    return {
        contestant: {
            "step": statistics.median(r["step"] for r in runs),
            "range": [
                min(r["fastest"] for r in runs),
                max(r["step"] for r in runs),
            ],
            "compile": statistics.median(r["compile"] for r in runs),
            "memory": statistics.median(r["memory"] for r in runs),
        }
        for contestant, runs in results.items()
        if runs
    }


def table(name, settings, results):
    """Markdown: ratios to the reference, and what they are made of."""
    reference = results.get(REFERENCE)
    lines = [
        f"\n### {name}\n",
        f"{settings['network']}, T = {settings['timesteps']}, batch "
        f"{settings['batch']}, {settings['precision']}, "
        f"{'training' if settings['mode'] == 'train' else 'inference'} step\n",
        "| | time / SpikingJelly | memory / SpikingJelly | seconds (fastest "
        "to slowest) | MB above imports | first step, s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for contestant, result in results.items():
        ratios = ["-", "-"]
        if reference:
            ratios = [
                f"{result[key] / reference[key]:.2f}"
                for key in ("step", "memory")
            ]
        low, high = result["range"]
        lines.append(
            f"| {contestant} | {' | '.join(ratios)} | {result['step']:.3f} "
            f"({low:.3f} to {high:.3f}) | {result['memory'] / 1e6:.0f} | "
            f"{result['compile']:.1f} |"
        )
    return "\n".join(lines)


def plot(all_results, folder):
    """What a unit of work costs against T, and against the batch."""
    plots = {
        "timesteps.png": (
            "ns a neuron and step of the bare LIF, forward and backward",
            "timesteps",
            lambda case: case["network"] == "lif",
            lambda case: case["batch"] * case["timesteps"] * 65536 / 1e9,
        ),
        "batch.png": (
            "ms an image, training step of SEW-ResNet-18, T = 4",
            "batch",
            lambda case: (
                (case["network"], case["timesteps"]) == ("sew_resnet18", 4)
                and (case["mode"], case["precision"]) == ("train", "float32")
            ),
            lambda case: case["batch"] / 1e3,
        ),
    }
    for file, (title, axis, belongs, work) in plots.items():
        curves = {}
        for name, (settings, results) in all_results.items():
            for contestant, result in results.items():
                if belongs(settings) and not name.startswith("compile"):
                    curves.setdefault(contestant, {})[settings[axis]] = result[
                        "step"
                    ] / work(settings)
        if any(len(points) > 1 for points in curves.values()):
            _curves(folder / file, curves, axis, title)


def _curves(file, curves, axis, title):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5))
    for contestant, points in curves.items():
        if len(points) > 1:
            values = zip(*sorted(points.items()), strict=True)
            axes.plot(*values, "o-", label=contestant)
    ticks = sorted({x for points in curves.values() for x in points})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ticks, [str(x) for x in ticks])
    axes.set_xlabel(axis)
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=7)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", help="default: all")
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--only", nargs="*", help="contestants")
    parser.add_argument("--output", type=pathlib.Path, default="speed_output")
    arguments = parser.parse_args()
    known = cases(arguments.batch)
    unknown = sorted(set(arguments.cases) - set(known))
    if unknown:
        parser.error(f"unknown {unknown}; known: {', '.join(known)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    header = (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} "
        f"cores, load {os.getloadavg()[0]:.1f} at the start, "
        f"{arguments.rounds} rounds"
    )
    print(header)
    report, all_results = [header], {}
    for name in arguments.cases or known:
        contestants = arguments.only or list(
            itertools.chain(OURS, PEERS, TWINS)
        )
        results = compare(
            name, known[name], contestants, arguments.rounds, arguments.peers
        )
        all_results[name] = known[name], results
        report.append(table(name, known[name], results))
        print(report[-1], flush=True)
        # After every case, so that a cut loses little.
        (arguments.output / "speed.md").write_text("\n".join(report) + "\n")
        (arguments.output / "speed.json").write_text(
            json.dumps(all_results, indent=1)
        )
    plot(all_results, arguments.output)


if __name__ == "__main__":
    main()
