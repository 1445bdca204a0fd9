"""Losses of spiking networks with explicit time.

Those that classify: `MeanCrossEntropy`, `TET`, `LatencyCrossEntropy`; with a
contrastive term, `TCL` and `STCL`. What is added to one of them:
`TemporalContrast`, `TemporalDistillation`, `TemporalConsistency`,
`Strong2Weak`, `Weak2Strong`, `TemporalSelfDistillation`,
`SpatialSelfDistillation`, `SelectiveTemporalAlignment`, and `Distillation` by
a teacher.
"""

from keras_tcl.losses.contrastive import temporal_contrastive
from keras_tcl.losses.distillation import Distillation
from keras_tcl.losses.latency_cross_entropy import LatencyCrossEntropy
from keras_tcl.losses.loss_sum import LossSum
from keras_tcl.losses.mean_cross_entropy import MeanCrossEntropy
from keras_tcl.losses.selective_alignment import SelectiveTemporalAlignment
from keras_tcl.losses.self_distillation import (
    SpatialSelfDistillation,
    TemporalSelfDistillation,
)
from keras_tcl.losses.strong_and_weak import Strong2Weak, Weak2Strong
from keras_tcl.losses.tcl import STCL, TCL
from keras_tcl.losses.temporal_consistency import TemporalConsistency
from keras_tcl.losses.temporal_contrast import TemporalContrast
from keras_tcl.losses.temporal_distillation import TemporalDistillation
from keras_tcl.losses.temporal_loss import TemporalLoss
from keras_tcl.losses.tet import TET

__all__ = [
    "STCL",
    "TCL",
    "TET",
    "Distillation",
    "LatencyCrossEntropy",
    "LossSum",
    "MeanCrossEntropy",
    "SelectiveTemporalAlignment",
    "SpatialSelfDistillation",
    "Strong2Weak",
    "TemporalConsistency",
    "TemporalContrast",
    "TemporalDistillation",
    "TemporalLoss",
    "TemporalSelfDistillation",
    "Weak2Strong",
    "temporal_contrastive",
]
