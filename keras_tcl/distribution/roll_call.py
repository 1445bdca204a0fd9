"""Who of several processes is still there.

Each holds a connection to each other. The kernel closes it when one of the two
processes ends, however it ends.
"""

import concurrent.futures
import contextlib
import ipaddress
import os
import selectors
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_tcl.distribution.process import Process

# Seconds that others are given to connect, and that the kernel is given to
# close a connection whose process does not send any more.
PATIENCE_TO_MEET, PATIENCE = 10.0, 1.0

_WELCOME = b"!"

# The connection to each of the others, and their names.
_lines: dict[socket.socket, str] = {}


def meet(
    process: Process,
    addresses: Sequence[tuple[str, int]],
    exchange: Callable[[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    """Connect this process with each other.

    A process that cannot be reached, such as through a firewall, is not
    watched: the backend's own error then has to do.

    Args:
        process: Which of how many this is.
        addresses: Host and port of each process, or of process 0 alone.
        exchange: Function of a dictionary that returns those of all processes.
    """
    first = addresses[0][0].strip("[]")
    door = _door()
    everyone = exchange(
        {
            "name": f"Process {process.index} ({socket.gethostname()}, "
            f"process id {os.getpid()})",
            "host": _own_host(first),
            "port": door.getsockname()[1],
        }
    )
    if len(addresses) == process.count:
        hosts = [host.strip("[]") for host, _ in addresses]
    else:
        hosts = [_host(other["host"], first) for other in everyone]
    close()

    def connect(index: int) -> None:
        with contextlib.suppress(OSError):
            place = hosts[index], everyone[index]["port"]
            line = socket.create_connection(place, PATIENCE_TO_MEET)
            line.sendall(process.index.to_bytes(4, "big"))
            if line.recv(1) == _WELCOME:  # Else nobody may have come.
                _watch(line, everyone[index]["name"])

    def receive() -> None:
        door.settimeout(PATIENCE_TO_MEET)
        expected = set(range(process.index + 1, process.count))
        while expected:
            line, _ = door.accept()
            line.settimeout(PATIENCE_TO_MEET)
            # A stranger who says nothing keeps no other from being met.
            with contextlib.suppress(OSError):
                index = int.from_bytes(line.recv(4, socket.MSG_WAITALL), "big")
                if index in expected:
                    line.sendall(_WELCOME)
                    _watch(line, everyone[index]["name"])
                    expected.remove(index)
                    continue
            line.close()

    with door, concurrent.futures.ThreadPoolExecutor(64) as pool:
        pool.map(connect, range(process.index))
        with contextlib.suppress(OSError):
            receive()


def close() -> None:
    """Watch nobody any more."""
    for line in _lines:
        line.close()
    _lines.clear()


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
        names = ended()
        if not names:
            raise
        raise RuntimeError(
            f"{' and '.join(names)} has ended, and this one, which trains "
            "with it, cannot go on alone. The output of the one that ended "
            "first says why. Start all processes again; a training with "
            "`keras_tcl.callbacks.BackupAndResume` goes on where it was."
        ) from error


def ended() -> list[str]:
    """The names of the processes that have ended."""
    if not _lines:
        return []
    with selectors.DefaultSelector() as selector:
        for line, name in _lines.items():
            selector.register(line, selectors.EVENT_READ, name)
        gone = selector.select(PATIENCE)  # Nobody says anything any more.
    return sorted(key.data for key, _ in gone)


def _door() -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", 0), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True
        )
    return socket.create_server(("", 0), backlog=4096)


def _own_host(first: str) -> str:
    """The address of this host that leads to the first process."""
    with contextlib.suppress(OSError):
        family, kind, _, _, place = socket.getaddrinfo(
            first, 1, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind) as towards_first:
            towards_first.connect(place)  # It sends nothing.
            return str(towards_first.getsockname()[0])
    return first


def _host(host: str, first: str) -> str:
    """Who finds the first process on the same machine, is where that is."""
    with contextlib.suppress(ValueError):
        return first if ipaddress.ip_address(host).is_loopback else host
    return host


def _watch(line: socket.socket, name: str) -> None:
    # Of a machine that is gone, nothing comes: the kernel has to ask.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
        if hasattr(socket, option):
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), 3)
    _lines[line] = name


if hasattr(os, "register_at_fork"):
    # Else a child would hold the connections of a process that has ended.
    os.register_at_fork(after_in_child=close)
