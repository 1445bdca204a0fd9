"""Surrogate derivatives of the step function, by class and by name."""

from keras_tcl.surrogates.atan import ATan
from keras_tcl.surrogates.rectangle import Rectangle
from keras_tcl.surrogates.registry import get, names, register, serialize
from keras_tcl.surrogates.sigmoid import Sigmoid
from keras_tcl.surrogates.surrogate import Surrogate
from keras_tcl.surrogates.triangle import Triangle

__all__ = [
    "ATan",
    "Rectangle",
    "Sigmoid",
    "Surrogate",
    "Triangle",
    "get",
    "names",
    "register",
    "serialize",
]
