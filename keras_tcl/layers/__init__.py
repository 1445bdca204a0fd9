"""Layers over sequences `[batch, T, ...]`."""

from keras_tcl.layers.batch_normalization import BatchNormalization
from keras_tcl.layers.classifier import Classifier
from keras_tcl.layers.conv2d import Conv2D
from keras_tcl.layers.direct_encoding import DirectEncoding
from keras_tcl.layers.each_step import EachStep
from keras_tcl.layers.integrate_and_fire import IF
from keras_tcl.layers.lif import LIF
from keras_tcl.layers.neuron import Neuron
from keras_tcl.layers.parametric_lif import PLIF
from keras_tcl.layers.pixel_normalization import PixelNormalization
from keras_tcl.layers.projection_head import ProjectionHead
from keras_tcl.layers.spike_element_wise import SpikeElementWise
from keras_tcl.layers.threshold_dependent_batch_normalization import (
    ThresholdDependentBatchNormalization,
)

__all__ = [
    "IF",
    "LIF",
    "PLIF",
    "BatchNormalization",
    "Classifier",
    "Conv2D",
    "DirectEncoding",
    "EachStep",
    "Neuron",
    "PixelNormalization",
    "ProjectionHead",
    "SpikeElementWise",
    "ThresholdDependentBatchNormalization",
]
