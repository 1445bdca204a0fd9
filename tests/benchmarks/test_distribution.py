"""Trainings on several devices are compared as they are to be."""

import json

import keras
import numpy as np
import pytest

import keras_tcl
from benchmarks import distribution

pytestmark = pytest.mark.once


def test_all_losses_are_trained():
    found = distribution.names()
    for name in keras_tcl.losses.__all__:
        is_none = name in ("LossSum", "TemporalLoss", "temporal_contrastive")
        assert (name in found) != is_none
    for name in found:
        loss = distribution.made(name, (8, 8, 1))
        assert isinstance(loss, (str, keras.losses.Loss))
    cells = distribution.cells()
    assert len(set(cells)) == len(cells)
    # One of Keras has no views.
    assert len(cells) == 6 * len(found) - 2 + len(distribution.CONTROLS)


def test_a_training_is_a_training(tmp_path):
    cell = ("STCL", "sew", "images, 2 views", True)
    assert cell in distribution.cells("STCL")
    process = keras_tcl.distribution.Process()
    before, after, logs = distribution.train(cell, process)
    assert distribution.greatest((before, after)) > 1e-3
    assert logs["contrastive_loss"] > 0


def write(folder, number, process, change):
    folder.mkdir(exist_ok=True)
    np.savez(
        folder / f"{number}-{process}.npz",
        logs=json.dumps({"loss": 2.0 + change}),
        before0=np.zeros(3),
        after0=np.array([1.0, 2.0, 3.0 + change]),
    )


def test_the_greatest_difference_of_all_processes(tmp_path):
    folders = [tmp_path / str(i) for i in range(2)]
    for i in range(2):
        write(folders[0], i, 0, 0.0)
        write(folders[1], i, 0, 0.0)
        write(folders[1], i, 1, 0.5 * i)
    results = []
    for i in range(2):
        moved, (row,) = distribution.compared(folders, i)
        assert moved == 3.0
        assert row == {"weights": 0.5 * i, "logs": 0.25 * i}
        results.append({
            "loss": "TCL", "family": "sew", "kind": str(i),
            "synchronized": True, "moved": moved,
            "differences": {"2 processes": row},
        })  # fmt: skip
    assert distribution.beyond(results) == ["TCL, sew, 1, 2 processes: 5.0e-01"]
    rows = list(distribution.table(results))
    assert rows[-1] == "| `TCL` | 2 | 3e+00 | 5e-01, 2e-01 |"
    results[1]["synchronized"] = False
    assert not distribution.beyond(results)
