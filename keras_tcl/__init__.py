"""Spiking neural networks in Keras 3 that are accurate at one time step."""

from keras_tcl import (
    augmentation,
    data,
    kernels,
    layers,
    losses,
    models,
    surrogates,
)
from keras_tcl.models import TCLModel, sew_resnet, sew_resnet18, sew_resnet34
from keras_tcl.version import __version__

__all__ = [
    "TCLModel",
    "__version__",
    "augmentation",
    "data",
    "kernels",
    "layers",
    "losses",
    "models",
    "sew_resnet",
    "sew_resnet18",
    "sew_resnet34",
    "surrogates",
]
