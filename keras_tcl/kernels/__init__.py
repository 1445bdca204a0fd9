"""Forward and backward passes of the multi-step neurons, as pure functions.

Modules named after a backend hold what that backend does better by itself than
through Keras; the layers choose them.
"""

from keras_tcl.kernels.lif import lif, lif_forward

__all__ = ["lif", "lif_forward"]
