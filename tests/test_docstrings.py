"""The examples in docstrings run, and print the same under every backend.

Examples with `>>>` are compared with what they print. Blocks fenced as
`python` are compiled, and run where they define all that they read. Both are
given `keras`, `np` and `keras_tcl`.
"""

import doctest
import pathlib
import re

import keras
import numpy as np
import pytest

import keras_tcl
from tests.examples_in_text import (
    RegistriesKept,
    compiled,
    docstrings,
    fenced_blocks,
    missing_names,
)

ROOT = pathlib.Path(keras_tcl.__file__).parent
GIVEN = {"keras": keras, "np": np, "keras_tcl": keras_tcl}


class Checker(doctest.OutputChecker):
    """A shape reads `(2, 4)` whichever backend prints it."""

    def check_output(self, want, got, optionflags):
        got = re.sub(
            r"(?:torch\.Size|TensorShape)\(\[(.*?)\]\)",
            lambda shape: repr(tuple(map(int, shape[1].split(",")))),
            got,
        )
        return super().check_output(want, got, optionflags)


def collect():
    """Return parameters (path, line, text) for both kinds of examples."""
    sessions, blocks = [], []
    for path in sorted(ROOT.rglob("*.py")):
        module = path.relative_to(ROOT).with_suffix("").as_posix()
        for name, line, text in docstrings(path):
            label = f"{module}:{name}" if name else module
            if ">>>" in text:
                sessions.append(pytest.param(path, line, text, id=label))
            blocks += [
                pytest.param(path, line + offset - 1, code, id=label)
                for offset, code, _ in fenced_blocks(text, "python")
            ]
    return sessions, blocks


SESSIONS, BLOCKS = collect()


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """With fixed seeds, no window, and every registry as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    keras.utils.set_random_seed(0)
    with RegistriesKept():
        yield


@pytest.mark.parametrize("path, line, text", SESSIONS)
def test_session(path, line, text):
    session = doctest.DocTestParser().get_doctest(
        text, dict(GIVEN), path.stem, path, line - 1
    )
    printed = []
    runner = doctest.DocTestRunner(Checker(), verbose=False)
    runner.run(session, out=printed.append)
    assert not printed, "".join(printed)


@pytest.mark.parametrize("path, line, code", BLOCKS)
def test_block(path, line, code):
    program = compiled(code, path, line)
    if not missing_names(code, GIVEN):
        exec(program, dict(GIVEN))
