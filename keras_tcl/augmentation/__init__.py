"""Random augmentations that run inside the model, on its device.

Every layer draws one set of parameters per sample (one per recording for
event frames), is compiled with the model on JAX and TensorFlow XLA, computes
in float32 under every dtype policy, and is the identity at inference. Pixels
stay raw: rescaling and mean/std normalisation are the model's own step after
the augmentation.
"""

from keras_tcl.augmentation.color_jitter import ColorJitter
from keras_tcl.augmentation.cutout import Cutout
from keras_tcl.augmentation.pipeline import Pipeline
from keras_tcl.augmentation.random_augmentation import RandomAugmentation
from keras_tcl.augmentation.random_crop import RandomCrop
from keras_tcl.augmentation.random_flip import RandomFlip
from keras_tcl.augmentation.random_gray import RandomGray
from keras_tcl.augmentation.random_resized_crop import RandomResizedCrop
from keras_tcl.augmentation.random_roll import RandomRoll
from keras_tcl.augmentation.recipes import get, list_recipes, recipe

__all__ = [
    "ColorJitter",
    "Cutout",
    "Pipeline",
    "RandomAugmentation",
    "RandomCrop",
    "RandomFlip",
    "RandomGray",
    "RandomResizedCrop",
    "RandomRoll",
    "get",
    "list_recipes",
    "recipe",
]
