"""What the rows of the table are made of: a row is a function.

A function gets an empty folder and returns what it checked. It raises an
AssertionError for a wrong number, `Limit` for what Keras itself cannot do.
"""

import importlib.util
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

import keras_tcl
from keras_tcl.losses import TCL

BACKEND = keras.config.backend()
CLASSES = 3
ROWS = []


class Row(NamedTuple):
    feature: str
    before: str
    quick: bool
    function: object


class Limit(Exception):
    """What Keras itself does not do, or not without another package."""


def row(feature, before, quick=False):
    def keep(function):
        ROWS.append(Row(feature, before, quick, function))
        return function

    return keep


def network(**kwargs):
    settings = {"input_shape": (8, 8, 3), "classes": CLASSES, "timesteps": 2}
    return keras_tcl.sew_resnet([1, 1], [4, 8], **{**settings, **kwargs})


def images(count=8):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, 8, 8, 3)).astype("uint8")
    return x, np.arange(count) % CLASSES


def compiled(loss=None, optimizer="sgd", metrics=("accuracy",), **kwargs):
    model = network(**kwargs)
    model.compile(optimizer, loss or TCL(), metrics=list(metrics))
    return model


def fitted(**kwargs):
    model = compiled(**kwargs)
    history = model.fit(*images(), batch_size=4, verbose=0).history
    assert all(np.isfinite(v).all() for v in history.values()), history
    return model


def values(variables):
    return [ops.convert_to_numpy(v.value).copy() for v in variables]


def moved(variables, before):
    pairs = zip(values(variables), before, strict=True)
    return sum(bool((a != b).any()) for a, b in pairs)


def close(a, b, tolerance=1e-5):
    difference = float(np.abs(np.asarray(a) - np.asarray(b)).max())
    assert difference <= tolerance * max(1.0, float(np.abs(b).max())), (
        f"{a} is not {b}"
    )
    return f"difference {difference:.0e}" if difference else "equal"


def refusal(call, *words):
    """`refused: the first sentence`, if `call` is, by all of the words."""
    try:
        result = call()
    except (ValueError, TypeError, RuntimeError) as error:
        text = " ".join(str(error).split()).replace("|", "/")
        missing = [word for word in words if word not in text]
        if missing:
            raise AssertionError(f"does not say {missing}: {text}") from error
        sentence = text.split(" Received: ")[0]
        return f"refused: {sentence[:220]}"
    raise AssertionError(f"not refused, but {result}")


def needs(module):
    if importlib.util.find_spec(module) is None:
        raise Limit(f"needs the package `{module}`, which is not installed")


def gradients(function, variables):
    """Those of `function()`, in NumPy, as a user of each backend takes them."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = function()
        return tape.gradient(loss, [v.value for v in variables])
    if BACKEND == "torch":
        import torch

        return torch.autograd.grad(
            function(), [v.value for v in variables], allow_unused=True
        )
    import jax

    def of(given):
        pairs = list(zip(variables, given, strict=True))
        with keras.StatelessScope(state_mapping=pairs):
            return function()

    return jax.grad(of)([v.value for v in variables])


class Data(keras.utils.PyDataset):
    def __init__(self, x, y, **kwargs):
        super().__init__(**kwargs)
        self.x, self.y = x, y

    def __len__(self):
        return len(self.y) // 4

    def __getitem__(self, i):
        rows = slice(4 * i, 4 * i + 4)
        return self.x[rows], self.y[rows]
