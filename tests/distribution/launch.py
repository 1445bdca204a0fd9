"""Trainings in one process or several, each forked from one that has imported.

To import a backend takes longer than these trainings.
"""

import json
import multiprocessing
import os
import pathlib
import socket
import subprocess
import sys
import traceback

import numpy as np

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["keras_tcl", "tests.distribution.training"])


def run(folder, count=1, timeout=240, changes=None, **settings):
    """Train in `count` processes; what each wrote, and how it ended.

    Args:
        changes: What is set otherwise in process 1.

    Returns:
        For each process: `(exit code, text, results)`.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    processes = []
    for index, environment in enumerate(variables(count)):
        given = settings | ((changes or {}) if index == 1 else {})
        given["output"] = str(folder / f"{index}.npz")
        text = str(folder / f"{index}.txt")
        process = context.Process(
            target=_child, args=(environment, given, text)
        )
        process.start()
        processes.append(process)
    for process in processes:
        process.join(timeout)
    for process in processes:
        if process.is_alive():
            process.kill()
            process.join()
    return [
        (process.exitcode, (folder / f"{i}.txt").read_text(), read(folder, i))
        for i, process in enumerate(processes)
    ]


def variables(count):
    """Of each of `count` processes, what the environment is to say."""
    if count == 1:
        return [{}]
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    return [
        {
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(addresses),
            "KERAS_DISTRIBUTION_NUM_PROCESSES": str(count),
            "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
        }
        for index in range(count)
    ]


def all_of(command, count, folder):
    """Run a command in `count` processes that train together.

    Args:
        command: List of strings.
        count: How many.
        folder: Path; what process `i` prints goes to `i.txt` in it.

    Returns:
        What each printed, as text.

    Raises:
        RuntimeError: If one fails, with what it printed.
    """
    running, paths = [], []
    for index, environment in enumerate(variables(count)):
        paths.append(pathlib.Path(folder) / f"{index}.txt")
        with open(paths[-1], "w") as file:
            running.append(
                subprocess.Popen(
                    command,
                    env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            )
    codes = [process.wait() for process in running]
    texts = [path.read_text() for path in paths]
    for index, code in enumerate(codes):
        if code:
            raise RuntimeError(
                f"Process {index} of {count}: exit {code}.\n{texts[index]}"
            )
    return texts


def on_devices(folder, counts, **settings):
    """What a process trained on each number of virtual devices wrote."""
    found = []
    for index, count in enumerate(counts):
        output = str(pathlib.Path(folder) / f"{index}.npz")
        given = settings | {"virtual": count, "output": output}
        command = [sys.executable, "-m", "tests.distribution.training"]
        done = subprocess.run(
            [*command, json.dumps(given)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found.append(read(folder, index))
    return found


def read(folder, index):
    """What process `index` wrote, or `None`."""
    path = pathlib.Path(folder) / f"{index}.npz"
    if not path.exists():
        return None
    with np.load(path) as file:
        names = json.loads(str(file["names"]))
        history, results = json.loads(str(file["results"]))
        return {
            "weights": [file[f"w{i}"] for i in range(len(names))],
            "names": names,
            "history": history,
            "results": results,
            "timesteps": file["timesteps"],
            "predicted": file["predicted"],
        }


def check_equal(one, other):
    """That two trainings have the same weights, logs and accuracies."""
    assert difference(one, other) < 1e-5
    for name in ("history", "results"):
        assert list(one[name]) == list(other[name])
        for key, value in one[name].items():
            np.testing.assert_allclose(other[name][key], value, 1e-4)
    np.testing.assert_array_equal(one["timesteps"], other["timesteps"])


def difference(one, other):
    """The largest difference of two trainings' weights."""
    pairs = zip(one["weights"], other["weights"], strict=True)
    # Seeds of augmentation, which none of these uses, differ.
    return max(
        float(np.abs(a.astype("float64") - b).max())
        for a, b in pairs
        if a.dtype.kind == "f"
    )


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _child(environment, settings, path):
    os.environ.update(environment)
    with open(path, "w", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = sys.stderr = file
        from tests.distribution import training

        try:
            training.main(**settings)
        except BaseException:
            traceback.print_exc()
            file.flush()
            os._exit(1)
        if os.environ["KERAS_BACKEND"] == "jax":
            import jax

            # As at the end of a script: none leaves before the others.
            jax.distributed.shutdown()
        file.flush()
        os._exit(0)
