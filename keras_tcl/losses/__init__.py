"""Losses of spiking networks with explicit time."""

from keras_tcl.losses.contrastive import temporal_contrastive
from keras_tcl.losses.mean_cross_entropy import MeanCrossEntropy
from keras_tcl.losses.tcl import STCL, TCL
from keras_tcl.losses.temporal_loss import TemporalLoss
from keras_tcl.losses.tet import TET

__all__ = [
    "STCL",
    "TCL",
    "TET",
    "MeanCrossEntropy",
    "TemporalLoss",
    "temporal_contrastive",
]
