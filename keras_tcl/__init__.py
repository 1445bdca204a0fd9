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
from keras_tcl.models import (
    TCLModel,
    create_model,
    list_models,
    load_model,
    resnet19,
    sew_resnet,
    sew_resnet18,
    sew_resnet34,
    spiking_resnet,
    spiking_resnet18,
    spiking_resnet34,
    spiking_vgg,
    spiking_vgg11,
    vggsnn,
)
from keras_tcl.version import __version__

__all__ = [
    "TCLModel",
    "__version__",
    "augmentation",
    "create_model",
    "data",
    "kernels",
    "layers",
    "list_models",
    "load_model",
    "losses",
    "models",
    "resnet19",
    "sew_resnet",
    "sew_resnet18",
    "sew_resnet34",
    "spiking_resnet",
    "spiking_resnet18",
    "spiking_resnet34",
    "spiking_vgg",
    "spiking_vgg11",
    "surrogates",
    "vggsnn",
]
