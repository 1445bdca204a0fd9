"""A trained network at work: latency, streaming, export."""

from keras_tcl.inference.exporting import export, inference_model
from keras_tcl.inference.stream import Stream
from keras_tcl.inference.streaming import initial_state, step_model

__all__ = [
    "Stream",
    "export",
    "inference_model",
    "initial_state",
    "step_model",
]
