"""Write the files that every later version must open.

    python -m tests.saved.make [folder]

Run once for a version, under any backend, and commit what it writes beside
this file: `VERSION/NAME.keras`, `NAME.weights.h5` and `NAME.npz` with an input
and the logits [B, T, classes] that the network gave. Older folders stay. Where
the tests then fail under another backend by more than rounding, a potential
lies at the threshold: take another seed.
"""

import pathlib
import sys

import keras
import numpy as np

import keras_tcl
from keras_tcl import layers, losses

FOLDER = pathlib.Path(__file__).parent
CLASSES = 3


def image_network(**options):
    """SEW-ResNet with LIF, for 8 x 8 images in colour."""
    return keras_tcl.models.sew_resnet(
        [1], [4], (8, 8, 3), CLASSES, timesteps=3, **options
    )


def event_network(**options):
    """Spiking-ResNet with a learned decay, for 8 x 8 event frames."""
    return keras_tcl.models.spiking_resnet(
        [1],
        [4],
        (None, 8, 8, 2),
        CLASSES,
        neuron=layers.PLIF(),
        **options,
    )


def images():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (4, 8, 8, 3)).astype("uint8")
    return x, np.arange(4) % CLASSES


def recordings():
    rng = np.random.default_rng(0)
    x = rng.poisson(0.5, (4, 5, 8, 8, 2)).astype("float32")
    return x, np.arange(4) % CLASSES


# The weights of each are built again by the same function.
NETWORKS = {
    "image": (image_network, images),
    "event": (event_network, recordings),
}
LOSSES = {"image": losses.STCL, "event": losses.TCL}


def main(folder):
    folder.mkdir(parents=True)
    for name, (build, data) in NETWORKS.items():
        keras.utils.set_random_seed(0)
        model, (x, y) = build(), data()
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
        model.compile(optimizer, LOSSES[name](), metrics=["accuracy"])
        model.fit(x, y, epochs=3, verbose=0)
        logits = model.predict_timesteps(x)
        np.savez_compressed(folder / f"{name}.npz", x=x, logits=logits)
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
    model, (x, _) = image_network(), images()
    model.load_weights(folder / "image.weights.h5")
    inference = model.inference_model()
    inference.save(folder / "inference.keras")
    np.savez_compressed(
        folder / "inference.npz", x=x, logits=inference.predict(x, verbose=0)
    )
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size / 1024:6.1f} KB  {path.name}")


if __name__ == "__main__":
    main(FOLDER / (sys.argv[1] if sys.argv[1:] else keras_tcl.__version__))
