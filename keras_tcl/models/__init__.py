"""The trainable model and the networks of the paper."""

from keras_tcl.models.convert import convert
from keras_tcl.models.load_model import load_model
from keras_tcl.models.registry import create_model, list_models, model_table
from keras_tcl.models.resnet19 import resnet19
from keras_tcl.models.sew_resnet import sew_resnet, sew_resnet18, sew_resnet34
from keras_tcl.models.spiking_resnet import (
    spiking_resnet,
    spiking_resnet18,
    spiking_resnet34,
)
from keras_tcl.models.spiking_vgg import spiking_vgg, spiking_vgg11, vggsnn
from keras_tcl.models.tcl_model import TCLModel

__all__ = [
    "TCLModel",
    "convert",
    "create_model",
    "list_models",
    "load_model",
    "model_table",
    "resnet19",
    "sew_resnet",
    "sew_resnet18",
    "sew_resnet34",
    "spiking_resnet",
    "spiking_resnet18",
    "spiking_resnet34",
    "spiking_vgg",
    "spiking_vgg11",
    "vggsnn",
]
