"""Augmentations of Keras and of keras-cv, for the two views of STCL.

    python examples/augmentation.py --with randaugment
    KERAS_BACKEND=tensorflow python examples/augmentation.py --with keras_cv

| `--with` | is applied | needs |
| --- | --- | --- |
| `erasing` | in the compiled model, by `augmenter=` | |
| `randaugment`, `augmix` | between the batches, in a `PyDataset` | |
| `mixup` | there, and the model's own views after it | |
| `keras_cv` | in a `tf.data` pipeline | TensorFlow, keras-cv |

All but the last run without TensorFlow. RandAugment and AugMix may stand in the
model as well; JAX then compiles for about a minute, and on TensorFlow they turn
XLA off. Trains on 400 digits and prints the accuracy at every latency on the
1,397 others. Needs `pip install keras_tcl[data]`.
"""

import argparse

import keras
import numpy as np

import keras_tcl
from keras_tcl import losses

# In float32 whatever the global policy is: they change raw pixels.
PIXELS = {"value_range": (0, 255), "dtype": "float32"}


class Mapped(keras.utils.PyDataset):
    """Batches changed by a function of `(x, y)`, anew in every epoch."""

    def __init__(self, batches, function):
        super().__init__()
        self.batches, self.function, self.epoch = batches, function, 0

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        changed = self.function(*self.batches.read(self.epoch, index))
        return keras.tree.map_structure(keras.ops.convert_to_numpy, changed)

    def on_epoch_end(self):
        self.epoch += 1


def two_views(layer):
    """Each image twice, changed independently, as STCL takes them."""

    def function(x, y):
        x = x.astype("float32")
        return (layer(x, training=True), layer(x, training=True)), y

    return function


def mixed(layer):
    """Each image mixed with another of its batch, and so is its label."""

    def function(x, y):
        labels = keras.ops.one_hot(y, 10)
        batch = {"images": x.astype("float32"), "labels": labels}
        batch = layer(batch, training=True)
        return batch["images"], batch["labels"]

    return function


def augmented(batches, name):
    """What `fit` takes, the model's augmenter, and the loss."""
    layers = keras.layers
    if name == "erasing":
        # A factor of 1.0 would erase in every second image only.
        erase = layers.RandomErasing((1.0, 1.0), (0.1, 0.3), **PIXELS)
        return batches, erase, losses.STCL()
    if name == "randaugment":
        layer = layers.RandAugment(num_ops=2, factor=0.3, **PIXELS)
        return Mapped(batches, two_views(layer)), None, losses.STCL()
    if name == "augmix":
        layer = layers.AugMix(**PIXELS)
        return Mapped(batches, two_views(layer)), None, losses.STCL()
    if name == "mixup":
        # A mixed image has no class: its other view is what it is pulled to.
        loss = losses.STCL(supervised=False)
        crop = keras_tcl.augmentation.RandomCrop(1)
        layer = layers.MixUp(alpha=0.2, dtype="float32")
        return Mapped(batches, mixed(layer)), crop, loss

    import keras_cv

    layer = keras_cv.layers.GridMask(ratio_factor=(0.2, 0.5))
    return batches.as_tf().map(two_views_in_tf(layer)), None, losses.STCL()


def two_views_in_tf(layer):
    """`two_views` for `tf.data`, where x is a tensor and y comes along."""
    return lambda x, y: ((layer(x), layer(x)), y)


def digits(split):
    """Digits as pictures mostly are: RGB, from 0 to 255."""
    source = keras_tcl.data.source("digits", split)
    x, y = source.read(range(len(source)))
    return np.repeat(np.uint8(x * (255 / 16)), 3, axis=-1), y


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ["erasing", "randaugment", "augmix", "mixup", "keras_cv"]
    parser.add_argument("--with", dest="name", choices=names, required=True)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--quick", action="store_true", help="try it out")
    arguments = parser.parse_args()
    splits, filters, timesteps = (
        ("train[:400]", "train[400:]+test"),
        [16, 32],
        4,
    )
    if arguments.quick:
        splits, filters, timesteps = ("train[:40]", "test[:32]"), [4], 2
        arguments.epochs = 1

    keras.utils.set_random_seed(0)
    x, y = digits(splits[0])
    info = keras_tcl.data.DataInfo("rgb_digits", classes=10, shape=(8, 8, 3))
    source = keras_tcl.data.ArraySource(info, x, y)
    batches = keras_tcl.data.Batches(source, batch_size=40, shuffle=True)
    train, augmenter, loss = augmented(batches, arguments.name)
    model = keras_tcl.sew_resnet(
        [1] * len(filters),
        filters,
        info.shape,
        info.classes,
        timesteps,
        augmenter=augmenter,
    )
    learning_rate = keras.optimizers.schedules.CosineDecay(
        0.1, arguments.epochs * len(batches)
    )
    model.compile(keras.optimizers.SGD(learning_rate, 0.9), loss)
    model.fit(train, epochs=arguments.epochs)
    for t, accuracy in enumerate(model.evaluate_timesteps(*digits(splits[1]))):
        print(f"accuracy after {t + 1} time step(s): {100 * accuracy:.2f} %")


if __name__ == "__main__":
    main()
