"""The docstrings' examples do what they say."""

import doctest

import keras
import numpy as np
import pytest

import keras_tcl
from keras_tcl import analysis


@pytest.mark.parametrize("name", analysis.__all__)
def test_example_of_the_docstring_runs(name):
    if name.startswith("plot"):
        pytest.importorskip("matplotlib").use("Agg")
    names = {"keras": keras, "keras_tcl": keras_tcl, "np": np}
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(getattr(analysis, name), globs=names)
    outcome = doctest.DocTestRunner().run(example)
    assert outcome.attempted and not outcome.failed
