"""Who of several processes is still there.

Each holds a socket open. The kernel closes it when the process ends, however
it ends, and refuses whoever knocks then.
"""

import concurrent.futures
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from keras_tcl.distribution.process import Process

# Seconds that a process is given to answer, and to be gone once its messages
# have stopped.
PATIENCE = 3.0

_roll: list[dict[str, Any]] = []
_doors: list[socket.socket] = []


def open_door(
    process: Process,
    first: tuple[str, int],
    exchange: Callable[[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    """Let the others see that this process is there, and know where they are.

    Args:
        process: Which of how many this is.
        first: Host and port of process 0, as this process names it.
        exchange: Function of a dictionary that returns those of all processes.
    """
    family, _, _, _, place = socket.getaddrinfo(*first, type=socket.SOCK_DGRAM)[
        0
    ]
    with socket.socket(family, socket.SOCK_DGRAM) as towards_first:
        towards_first.connect(place)  # It sends nothing.
        host = towards_first.getsockname()[0]
    door = socket.create_server(("", 0), family=family, backlog=4096)
    _doors.append(door)
    everyone = exchange(
        {
            "name": f"Process {process.index} ({socket.gethostname()}, "
            f"process id {os.getpid()})",
            "host": host,
            "port": door.getsockname()[1],
        }
    )
    # A host often knows itself by an address that is no other's way to it.
    _roll[:] = [{**everyone[0], "host": first[0]}, *everyone[1:]]


@contextlib.contextmanager
def naming_the_ended(*errors: type[Exception]) -> Iterator[None]:
    """Say who has ended where a message does not come through.

    Args:
        errors: What the backend raises then.

    Raises:
        RuntimeError: In place of these, if a process is not there any more.
    """
    try:
        yield
    except errors as error:
        ended = absent()
        if not ended:
            raise
        raise RuntimeError(
            f"{' and '.join(ended)}; {len(_roll)} processes train together, "
            "and this one cannot go on alone. The other's own output says "
            "why. Start all processes again; a training with `keras_tcl."
            "callbacks.BackupAndResume` goes on where it was."
        ) from error


def absent() -> list[str]:
    """What is known of each process that is not there any more."""
    until = time.monotonic() + PATIENCE
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        while True:
            found = [word for word in pool.map(_knock, _roll) if word]
            if found or time.monotonic() > until:
                return found
            time.sleep(PATIENCE / 30)  # Its messages stop before its door.


def _knock(entry: dict[str, Any]) -> str:
    place = entry["host"], entry["port"]
    try:
        socket.create_connection(place, timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return f"{entry['name']} has ended"
    except OSError:
        return f"{entry['name']} does not answer"
    return ""
