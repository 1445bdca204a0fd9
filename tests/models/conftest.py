"""Fixtures for the tests of the networks."""

import pytest

from keras_tcl.models import blocks


@pytest.fixture
def no_initialization(monkeypatch):
    """Zeros for kernels: JAX compiles a random initializer for every shape."""
    monkeypatch.setattr(blocks, "KERNEL_INITIALIZER", "zeros")
