"""A process that decodes the AEDAT-4 files named to it, see `read_aedat4`.

Some damaged files abort the process that decodes them. This one is run as a
script, and imports nothing of keras_tcl, so that it starts within a moment.
"""

import json
import os
import signal
import sys
from typing import Any

import numpy as np

RAW = np.dtype([("x", "u2"), ("y", "u2"), ("t", "u8"), ("on", "u1")])


def decode(path: str) -> tuple[tuple[int, int], np.ndarray]:
    """The sensor's size and the events of the first stream of events."""
    import aedat

    decoder = aedat.Decoder(path)
    streams = {
        number: stream
        for number, stream in decoder.id_to_stream().items()
        if stream["type"] == "events"
    }
    if not streams:
        raise RuntimeError("it has no stream of events")
    first = min(streams)
    packets = [
        packet["events"]
        for packet in decoder
        if "events" in packet and packet["stream_id"] == first
    ]
    events = np.empty(sum(map(len, packets)), RAW)
    start = 0
    for packet in packets:
        part = events[start : start + len(packet)]
        start += len(packet)
        for name in RAW.names or ():
            part[name] = packet[name]
    return (streams[first]["height"], streams[first]["width"]), events


def serve() -> None:
    """Answer each line, a path, by a line of JSON and the events' bytes."""
    sys.path[:] = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The other one stops this.
    for line in sys.stdin.buffer:
        answer: dict[str, Any]
        content = b""
        try:
            size, events = decode(os.fsdecode(bytes.fromhex(line.decode())))
            content = events.tobytes()
            answer = {"size": size}
        except BaseException as error:  # Rust's panics are no `Exception`.
            answer = {"error": str(error)}
        answer["bytes"] = len(content)
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + content)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
