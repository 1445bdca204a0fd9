"""Who is still there, asked in real processes."""

import json
import os
import signal
import socket
import time

import pytest

from keras_tcl.distribution import Process, roll_call
from tests.distribution.launch import context, free_ports

pytestmark = pytest.mark.once
COUNT = 3


def wait_for(*paths):
    while not all(path.exists() for path in paths):
        time.sleep(0.01)


def write(path, value):
    path.with_suffix(".part").write_text(json.dumps(value))
    path.with_suffix(".part").rename(path)


def take_part(folder, index, addresses):
    def exchange(facts):
        write(folder / f"facts{index}.json", facts)
        paths = [folder / f"facts{i}.json" for i in range(COUNT)]
        wait_for(*paths)
        return [json.loads(path.read_text()) for path in paths]

    roll_call.meet(Process(index, COUNT), addresses, exchange)
    if index == 1 and os.fork() == 0:
        time.sleep(60)  # A worker, which outlives its process.
        os._exit(0)
    for phase in ("alive", "dead"):
        wait_for(folder / phase)
        try:
            with roll_call.naming_the_ended(KeyError):
                raise KeyError("no message")
        except (KeyError, RuntimeError) as error:
            said = [type(error).__name__, str(error), roll_call.ended()]
            write(folder / f"{phase}{index}.json", said)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_one_that_ended_is_named_and_no_other(tmp_path, host):
    # Process 0 is found by its address alone, or by a name.
    addresses = [(host, port) for port in free_ports(1)]
    processes = [
        context.Process(target=take_part, args=(tmp_path, i, addresses))
        for i in range(COUNT)
    ]
    for process in processes:
        process.start()
    wait_for(*(tmp_path / f"facts{i}.json" for i in range(COUNT)))
    (tmp_path / "alive").touch()
    files = [tmp_path / f"alive{i}.json" for i in range(COUNT)]
    wait_for(*files)
    for file in files:
        assert json.loads(file.read_text()) == ["KeyError", "'no message'", []]
    os.kill(processes[1].pid, signal.SIGKILL)
    processes[1].join()
    (tmp_path / "dead").touch()
    files = [tmp_path / f"dead{i}.json" for i in (0, 2)]
    wait_for(*files)
    name = json.loads((tmp_path / "facts1.json").read_text())["name"]
    assert name.endswith(f"process id {processes[1].pid})")
    for file in files:
        kind, words, ended = json.loads(file.read_text())
        assert (kind, ended) == ("RuntimeError", [name])
        assert words.startswith(f"{name} has ended")
    for process in processes:
        process.join(60)


def test_one_that_cannot_be_reached_is_not_blamed(monkeypatch):
    monkeypatch.setattr(roll_call, "PATIENCE_TO_MEET", 0.2)
    (port,) = free_ports(1)  # Where nobody listens.
    other = {"name": "Process 0", "host": "127.0.0.1", "port": port}
    roll_call.meet(
        Process(1, 3), [("127.0.0.1", 1)], lambda facts: [other, facts, other]
    )
    assert roll_call.ended() == []


def test_a_stranger_who_says_nothing_keeps_no_other_out(monkeypatch):
    monkeypatch.setattr(roll_call, "PATIENCE_TO_MEET", 0.3)
    lines = []

    def exchange(facts):
        place = "127.0.0.1", facts["port"]
        lines.extend(socket.create_connection(place) for _ in range(2))
        lines[1].sendall((1).to_bytes(4, "big"))
        return [facts, {**facts, "name": "Process 1"}]

    roll_call.meet(Process(0, 2), [("127.0.0.1", 1)], exchange)
    assert roll_call.ended() == []
    lines[1].close()
    assert roll_call.ended() == ["Process 1"]
    roll_call.close()
    lines[0].close()
