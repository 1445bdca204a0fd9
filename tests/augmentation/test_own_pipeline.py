"""Augmentations of keras-cv and Keras in the user's own tf.data pipeline."""

import keras
import numpy as np
import pytest

from keras_tcl.losses import STCL
from tests.models import tiny

tf = pytest.importorskip("tensorflow")


@pytest.mark.parametrize("library", ["keras", "keras_cv"])
def test_two_views_as_data(library):
    """The README's example: views made outside are used as they are."""
    if library == "keras":
        augment = keras.layers.RandomFlip("horizontal", seed=0)
    else:
        if keras.config.backend() != "tensorflow":
            pytest.skip("keras-cv computes in TensorFlow")
        keras_cv = pytest.importorskip("keras_cv")
        augment = keras_cv.layers.RandomCutout(0.5, 0.5, seed=0)
    x, y = tiny.images(8, (8, 8, 3))
    train = tiny.data_set(x, y, format="tf").map(
        lambda x, y: (
            (augment(x, training=True), augment(x, training=True)),
            y,
        )
    )
    (first, second), _ = next(iter(train))
    assert not np.array_equal(np.asarray(first), np.asarray(second))
    model = tiny.network(input_shape=(8, 8, 3), augmenter=None)
    eager = keras.config.backend() == "tensorflow"
    model.compile(keras.optimizers.SGD(0.1), STCL(), run_eagerly=eager)
    history = model.fit(train, verbose=0)
    assert np.isfinite(history.history["loss"][0])
