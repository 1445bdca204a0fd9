"""A trained network at work: latency, streaming, export."""

from keras_tcl.inference.export import export, inference_model

__all__ = ["export", "inference_model"]
