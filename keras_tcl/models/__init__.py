"""The trainable model and the networks of the paper."""

from keras_tcl.models.sew_resnet import sew_resnet, sew_resnet18, sew_resnet34
from keras_tcl.models.tcl_model import TCLModel

__all__ = ["TCLModel", "sew_resnet", "sew_resnet18", "sew_resnet34"]
