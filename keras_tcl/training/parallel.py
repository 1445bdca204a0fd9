"""How a model trains on several devices: what each backend needs for it."""

import keras

from keras_tcl.training.keras_fixes import FixedKeras

if keras.config.backend() == "torch":
    from keras_tcl.training.torch_parallel import ParallelModel
elif keras.config.backend() == "tensorflow":
    from keras_tcl.training.tensorflow_parallel import ParallelModel
else:

    class ParallelModel(FixedKeras):  # type: ignore[no-redef]
        """A model as Keras trains it."""


__all__ = ["ParallelModel"]
