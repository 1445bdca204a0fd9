"""Measures one contestant in a process of its own; prints one line of JSON."""

import json
import os
import resource
import statistics
import sys
import time


def memory():
    """Peak memory in bytes: the allocator's on a GPU, or else resident."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch and torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    if jax and jax.default_backend() == "gpu":
        return jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]
    tf = sys.modules.get("tensorflow")
    if tf and tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def repeated(step):
    def run(n):
        for _ in range(n):
            step()

    return run


def main():
    contestant, case = sys.argv[1], json.loads(sys.argv[2])
    library, _, detail = contestant.partition(":")
    try:
        if library == "keras_tcl":
            backend, *options = detail.split(":")
            os.environ["KERAS_BACKEND"] = backend
            from benchmarks.speed import ours

            ours.warm_up()
            imported = memory()
            run = ours.steps(case, *options)
        elif library == "spyx":
            from benchmarks.speed import jax_peers

            imported = memory()
            run = repeated(jax_peers.steps(case))
        else:
            from benchmarks.speed import peers

            # Its own import belongs to the baseline too.
            peers.NEURONS[library.removesuffix("-channels-last")]()
            imported = memory()
            run = repeated(peers.steps(library, case))
    except ImportError as error:
        print(json.dumps({"missing": str(error)}))
        return
    start = time.perf_counter()
    run(1)
    first = time.perf_counter() - start
    run(1)
    times = []
    for _ in range(case["repeats"]):
        start = time.perf_counter()
        run(case["steps"])
        times.append((time.perf_counter() - start) / case["steps"])
    step = statistics.median(times)
    print(
        json.dumps(
            {
                "step": step,
                "fastest": min(times),
                "compile": max(0.0, first - step),
                "memory": memory() - imported,
            }
        )
    )


if __name__ == "__main__":
    main()
