"""Recordings in the layouts of the official releases."""

import numpy as np

from keras_tcl.data.events.readers import EVENT

AEDAT2_HEADER = (
    b"#!AER-DAT2.0\r\n"
    b"# This is a raw AE data file - do not edit\r\n"
    b"# Timestamps tick is 1 us\r\n"
)


def random_events(seed, number=200, sensor_size=(34, 34)):
    random = np.random.default_rng(seed)
    events = np.empty(number, EVENT)
    events["x"] = random.integers(0, sensor_size[1], number)
    events["y"] = random.integers(0, sensor_size[0], number)
    events["t"] = np.sort(random.integers(0, 2**18, number))
    events["p"] = random.integers(0, 2, number)
    return events


def write_nmnist(path, events):
    """40-bit records: x, y, then 1 bit of polarity and 23 of time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    word = (
        (events["x"].astype("u8") << 32)
        | (events["y"].astype("u8") << 24)
        | (events["p"].astype("u8") << 23)
        | events["t"].astype("u8")
    )
    path.write_bytes(b"".join(int(w).to_bytes(5, "big") for w in word))


def write_aedat2(path, events, header=AEDAT2_HEADER):
    """Pairs of big-endian 32 bits, columns from the right, rows from below."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = np.empty((len(events), 2), ">u4")
    column = 127 - events["x"].astype("u4")
    row = 127 - events["y"].astype("u4")
    pairs[:, 0] = row * 256 + column * 2 + (1 - events["p"])
    pairs[:, 1] = events["t"]
    path.write_bytes(header + pairs.tobytes())


WRITERS = {
    ".bin": write_nmnist,
    ".aedat": write_aedat2,
    ".npy": np.save,
    ".npz": lambda path, events: np.savez(
        path, **{name: events[name] for name in "txyp"}
    ),
}
