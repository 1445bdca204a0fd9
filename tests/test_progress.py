"""Progress: nothing for short work, no control characters in a file."""

import io
import re
import sys

import keras
import pytest

from keras_tcl import progress

pytestmark = pytest.mark.once


class Clock:
    """One second passes between two looks at the time."""

    now = 0.0

    def monotonic(self):
        self.now += 1
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(progress, "time", Clock())
    # Another test may have imported it.
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def test_items_come_as_they_are(capsys):
    assert list(progress.shown("abc", "spelling")) == list("abc")
    assert list(progress.shown(iter("abc"), "spelling")) == list("abc")
    assert list(progress.shown([], "spelling", after=0)) == []
    assert capsys.readouterr() == ("", "")


def test_a_file_gets_a_plain_line_now_and_then(capsys):
    list(progress.shown(range(100), "counting sheep"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "keras_tcl: counting sheep: 5 of 100 (5 %), about 95 s left",
        "keras_tcl: counting sheep: 15 of 100 (15 %), about 85 s left",
        "keras_tcl: counting sheep: 35 of 100 (35 %), about 65 s left",
        "keras_tcl: counting sheep: 75 of 100 (75 %), about 25 s left",
    ]


def test_a_total_is_taken_or_done_without(capsys):
    list(progress.shown(iter(range(6)), "counting", after=6))
    assert capsys.readouterr().err == "keras_tcl: counting: 6, after 6 s\n"
    list(progress.shown(iter(range(6)), "counting", total=12, after=6))
    assert "6 of 12 (50 %), about 6 s left" in capsys.readouterr().err


def test_long_work_still_speaks(capsys):
    list(progress.shown(range(4000), "waiting"))
    lines = capsys.readouterr().err.splitlines()
    times = [
        int(re.search(r"([\d,]+) of", x)[1].replace(",", "")) for x in lines
    ]
    pauses = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600]


@pytest.mark.parametrize("total", [8, None])
def test_a_terminal_gets_the_bar_of_keras(monkeypatch, total):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    list(progress.shown(iter(range(8)), "counting", total))
    shown = terminal.getvalue()
    assert shown.startswith("counting:\n") and shown.endswith("\n")
    assert "\r" in shown and ("8/8" if total else "8/Unknown") in shown


def test_a_bar_ends_its_line_after_an_error(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    with pytest.raises(KeyError):
        for item in progress.shown(range(10), "counting"):
            if item == 7:
                raise KeyError
    assert terminal.getvalue().endswith("\n")


def test_interactive_logging_turns_it_off(monkeypatch, capsys):
    keras.config.disable_interactive_logging()
    try:
        list(progress.shown(range(100), "counting"))
    finally:
        keras.config.enable_interactive_logging()
    assert capsys.readouterr() == ("", "")
