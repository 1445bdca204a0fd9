"""A network and data small enough for every test."""

import numpy as np

import keras_tcl
from keras_tcl.data import ArraySource, Batches, DataInfo

CLASSES = 3


def network(**kwargs):
    """SEW-ResNet with two narrow stages for 8 x 8 grey images, T = 3."""
    settings = {
        "input_shape": (8, 8, 1),
        "classes": CLASSES,
        "timesteps": 3,
        **kwargs,
    }
    return keras_tcl.models.sew_resnet([1, 1], [8, 16], **settings)


def images(count=12, shape=(8, 8, 1), seed=0):
    """Images uint8, and labels that a network can learn from them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, count)
    x = rng.integers(0, 100, (count, *shape))
    # The class is written in the brightness of a column.
    x[np.arange(count), :, y * 2] += 150
    return x.astype("uint8"), y


def data_set(x, y, format="keras", **options):
    """Arrays as `keras_tcl.data.load` gives them, in batches of 4."""
    info = DataInfo("mine", CLASSES, x.shape[1:])
    batches = Batches(ArraySource(info, x, y), 4, **options)
    return batches.as_tf() if format == "tf" else batches


def recordings(count=8, timesteps=3, size=8, seed=0):
    """Event frames of counts, and labels."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, count)
    x = rng.poisson(0.5, (count, timesteps, size, size, 2)).astype("float32")
    x[np.arange(count), :, :, y * 2] += 3.0
    return x, y


def classifier_of(model):
    return model.network.get_layer("classifier")
