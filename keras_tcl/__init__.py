"""Spiking neural networks in Keras 3 that are accurate at one time step."""

from keras_tcl.backend import explained
from keras_tcl.version import __version__

try:
    from keras_tcl import (
        analysis,
        augmentation,
        callbacks,
        data,
        distribution,
        graph,
        inference,
        layers,
        losses,
        models,
        surrogates,
    )
    from keras_tcl.models import (
        TCLModel,
        create_model,
        list_models,
        list_presets,
        load_model,
        resnet19,
        sew_resnet,
        sew_resnet8,
        sew_resnet14,
        sew_resnet18,
        sew_resnet20,
        sew_resnet34,
        spiking_resnet,
        spiking_resnet18,
        spiking_resnet34,
        spiking_vgg,
        spiking_vgg11,
        vggsnn,
    )
except ModuleNotFoundError as error:
    raise explained(error) from None

__all__ = [
    "TCLModel",
    "__version__",
    "analysis",
    "augmentation",
    "callbacks",
    "create_model",
    "data",
    "distribution",
    "graph",
    "inference",
    "layers",
    "list_models",
    "list_presets",
    "load_model",
    "losses",
    "models",
    "resnet19",
    "sew_resnet",
    "sew_resnet8",
    "sew_resnet14",
    "sew_resnet18",
    "sew_resnet20",
    "sew_resnet34",
    "spiking_resnet",
    "spiking_resnet18",
    "spiking_resnet34",
    "spiking_vgg",
    "spiking_vgg11",
    "surrogates",
    "vggsnn",
]
