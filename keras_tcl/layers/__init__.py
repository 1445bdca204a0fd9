"""Layers over sequences `[batch, T, ...]`."""

from keras_tcl.layers.batch_normalization import BatchNormalization
from keras_tcl.layers.classifier import Classifier
from keras_tcl.layers.conv2d import Conv2D
from keras_tcl.layers.direct_encoding import DirectEncoding
from keras_tcl.layers.lif import LIF
from keras_tcl.layers.projection_head import ProjectionHead
from keras_tcl.layers.spike_element_wise import SpikeElementWise
from keras_tcl.layers.td_batch_normalization import TDBatchNormalization
from keras_tcl.layers.time_distributed import TimeDistributed

__all__ = [
    "LIF",
    "BatchNormalization",
    "Classifier",
    "Conv2D",
    "DirectEncoding",
    "ProjectionHead",
    "SpikeElementWise",
    "TDBatchNormalization",
    "TimeDistributed",
]
