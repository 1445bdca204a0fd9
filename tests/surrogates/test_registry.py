"""Surrogates by name: lookup, the user's own, and what a file stores."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import surrogates

BUILT_IN = {
    "atan": surrogates.ATan,
    "rectangle": surrogates.Rectangle,
    "sigmoid": surrogates.Sigmoid,
    "triangle": surrogates.Triangle,
}


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(surrogates, "_BY_NAME", dict(surrogates._BY_NAME))


def gaussian(v):
    return ops.exp(-np.pi * v * v)


def test_names():
    assert surrogates.list_surrogates() == sorted(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_names_are_the_defaults(name):
    assert surrogates.get(name) == BUILT_IN[name]()
    assert surrogates.serialize(BUILT_IN[name]()) == name


def test_instances_and_callables_pass_through():
    surrogate = surrogates.Triangle(0.5)
    assert surrogates.get(surrogate) is surrogate
    assert surrogates.get(gaussian) is gaussian


@pytest.mark.parametrize("name", BUILT_IN)
def test_serialized_instance_survives_json(name):
    surrogate = BUILT_IN[name](0.75)
    saved = json.loads(json.dumps(surrogates.serialize(surrogate)))
    assert surrogates.get(saved) == surrogate


@pytest.mark.parametrize(
    "identifier",
    ["Triangle", "", None, 3, surrogates.Triangle, ["triangle"]],
    ids=repr,
)
def test_unknown_identifier(identifier):
    with pytest.raises(ValueError, match="Unknown surrogate.*triangle.*Receiv"):
        surrogates.get(identifier)


def test_a_config_of_something_else_is_refused():
    config = keras.saving.serialize_keras_object(keras.layers.ReLU())
    with pytest.raises(ValueError, match="Unknown surrogate"):
        surrogates.get(config)


def test_register():
    assert surrogates.register("gaussian", gaussian) is gaussian
    assert surrogates.get("gaussian") is gaussian
    assert surrogates.serialize(gaussian) == "gaussian"
    assert "gaussian" in surrogates.list_surrogates()


def test_register_as_decorator():
    @surrogates.register("ones")
    def ones(v):
        return ops.ones_like(v)

    assert surrogates.get("ones") is ones


def test_register_an_instance():
    steep = surrogates.register("steep", surrogates.Triangle(0.25))
    assert surrogates.get("steep") is steep
    # Another instance with the same parameter is the same derivative.
    assert surrogates.serialize(surrogates.Triangle(0.25)) == "steep"


def test_register_again_replaces():
    surrogates.register("gaussian", ops.zeros_like)
    surrogates.register("gaussian", gaussian)
    assert surrogates.get("gaussian") is gaussian


@pytest.mark.parametrize("name", ["triangle", "", None, 3])
def test_register_refuses_the_name(name):
    with pytest.raises(ValueError, match=f"`name` must.*name={name!r}"):
        surrogates.register(name, gaussian)


def test_register_refuses_what_cannot_be_called():
    with pytest.raises(ValueError, match="callable.*derivative=0.5"):
        surrogates.register("half", 0.5)
    assert "half" not in surrogates.list_surrogates()


def test_a_callable_without_a_name_cannot_be_serialized():
    with pytest.raises(ValueError, match="no name.*register.*gaussian"):
        surrogates.serialize(gaussian)
