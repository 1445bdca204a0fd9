"""The table of Keras' features: its quick rows, and how it keeps others."""

import subprocess
import sys

import keras

from benchmarks.keras_features import __main__ as table
from benchmarks.keras_features.support import ROWS, Row

BACKEND = keras.config.backend()


def test_no_quick_row_is_wrong_or_fails():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.keras_features", "--quick"],
        cwd=table.PAGE.parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    count = sum(row.quick for row in ROWS)
    assert f"{count} rows under {BACKEND}, 0 WRONG" in done.stdout
    assert count >= 15


def test_outcomes_are_told_apart(tmp_path):
    def wrong(folder):
        raise AssertionError("1 is not 2")

    def fails(folder):
        raise KeyError("a|b")

    cells = [
        table.outcome(Row("a row", "right", True, function), tmp_path)
        for function in (lambda folder: "equal", wrong, fails)
    ]
    assert cells == [
        "right (equal)",
        "WRONG: 1 is not 2",
        "FAIL: KeyError: 'a/b'",
    ]


def test_a_run_keeps_the_columns_of_others(tmp_path, monkeypatch):
    page, name = tmp_path / "page.md", ROWS[0].feature
    for backend in ("jax", "torch"):
        monkeypatch.setattr(table, "BACKEND", backend)
        table.write_page(page, {name: f"right ({backend})"})
    cells = table.read_page(page)
    assert list(cells) == [row.feature for row in ROWS]
    assert cells[name] == {
        "tensorflow": "not run",
        "jax": "right (jax)",
        "torch": "right (torch)",
    }


def test_the_page_has_a_row_for_each():
    cells = table.read_page(table.PAGE)
    assert list(cells) == [row.feature for row in ROWS]
