"""Forward and backward passes of the multi-step neurons, as pure functions."""

from keras_tcl.kernels.lif import lif, lif_forward

__all__ = ["lif", "lif_forward"]
