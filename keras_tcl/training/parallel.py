"""How a model trains on several devices: what each backend needs for it."""

import keras

if keras.config.backend() == "torch":
    from keras_tcl.training.torch_parallel import ParallelModel
elif keras.config.backend() == "tensorflow":
    from keras_tcl.training.tensorflow_parallel import ParallelModel
elif keras.config.backend() == "jax":
    from keras_tcl.training.jax_parallel import ParallelModel
else:
    from keras_tcl.training.keras_fixes import FixedKeras as ParallelModel

__all__ = ["ParallelModel"]
