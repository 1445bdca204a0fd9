"""The trainable model and the networks of the paper."""

from keras_tcl.models.cards import model_card
from keras_tcl.models.cost import count_macs, count_parameters
from keras_tcl.models.from_torch import load_torch_weights
from keras_tcl.models.network import classification_network
from keras_tcl.models.presets import list_presets
from keras_tcl.models.registry import create_model, list_models, model_table
from keras_tcl.models.residual import (
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
)
from keras_tcl.models.saving import load_model
from keras_tcl.models.tcl_model import TCLModel
from keras_tcl.models.vgg import spiking_vgg, spiking_vgg11, vggsnn

__all__ = [
    "TCLModel",
    "classification_network",
    "count_macs",
    "count_parameters",
    "create_model",
    "list_models",
    "list_presets",
    "load_model",
    "load_torch_weights",
    "model_card",
    "model_table",
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
    "vggsnn",
]
