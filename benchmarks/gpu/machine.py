"""What a machine has, as far as a training on its GPUs needs it."""

import dataclasses
import os
import subprocess


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One GPU as the driver describes it; memory in MiB."""

    index: str
    name: str
    memory: int
    driver: str


def gpus(command: str = "nvidia-smi") -> list[Gpu]:
    """The GPUs that this process may use, or none where there is no driver."""
    query = "--query-gpu=index,name,memory.total,driver_version"
    try:
        done = subprocess.run(
            [command, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
        )
    except OSError:
        return []
    if done.returncode:
        return []
    found = []
    for line in done.stdout.strip().splitlines():
        index, name, memory, driver = (x.strip() for x in line.split(","))
        found.append(Gpu(index, name, int(memory), driver))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    wanted = [index.strip() for index in visible.split(",")]
    return [gpu for gpu in found if gpu.index in wanted]


def environments(jobs: int, devices: list[Gpu]) -> list[dict[str, str]]:
    """For each of so many processes, the variables that give it its GPU."""
    if not devices:
        return [{}] * jobs
    return [
        {"CUDA_VISIBLE_DEVICES": devices[job % len(devices)].index}
        for job in range(jobs)
    ]
