"""The networks against SpikingJelly 2.0, number by number.

`make_golden.py` made the files that are read here. No spike may differ: in
those files no potential comes so near to its threshold that the order of a
sum would matter.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_tcl import models
from keras_tcl.layers import Classifier, ThresholdDependentBatchNormalization
from keras_tcl.losses import MeanCrossEntropy

FOLDER = Path(__file__).parent / "golden"
CLASSES = 5


def sew_resnet(**kwargs):
    return models.sew_resnet([2, 1], [8, 12], **kwargs)


def sew_resnet_imagenet(**kwargs):
    return models.sew_resnet(
        [1, 1],
        [8, 12],
        stem="imagenet",
        connection="iand",
        **kwargs,
    )


def spiking_resnet(**kwargs):
    return models.spiking_resnet([2, 1], [8, 12], **kwargs)


def resnet19(**kwargs):
    return models.spiking_resnet(
        [1, 1, 1],
        [12, 16, 20],
        stem_filters=8,
        normalization="batch",
        classifier=Classifier(CLASSES, hidden_units=[24]),
        **kwargs,
    )


def vggsnn(**kwargs):
    return models.spiking_vgg([[8, 8], [12], [16]], pooling="flatten", **kwargs)


BUILDERS = [sew_resnet, sew_resnet_imagenet, spiking_resnet, resnet19, vggsnn]


def group(golden, prefix):
    """The arrays of a golden file whose names start alike."""
    return {
        name.removeprefix(f"{prefix}/"): golden[name]
        for name in golden.files
        if name.startswith(f"{prefix}/")
    }


def build(builder, golden):
    """Our network, whose input is left as it is."""
    return builder(
        input_shape=golden["x"].shape[1:],
        classes=CLASSES,
        timesteps=golden["logits/inference"].shape[1],
        augmenter=None,
        value_range=(0, 1),
        mean=0.0,
        std=1.0,
    )


class Observed(MeanCrossEntropy):
    """Also measures how far the logits of the training step are from those
    expected, as a term of its own."""

    def __init__(self, expected):
        super().__init__()
        self.expected = expected

    @property
    def term_names(self):
        return ("classification", "deviation")

    def terms(self, y_true, y_pred):
        deviation = ops.subtract(y_pred["logits"][:, 0], self.expected)
        deviation = ops.max(ops.abs(deviation), axis=(1, 2))
        terms = super().terms(y_true, y_pred)
        return {**terms, "deviation": ops.stop_gradient(deviation)}


def values(variables):
    return [ops.convert_to_numpy(v.value).copy() for v in variables]


def biased(state, after, counts):
    """Statistics with the variance of the batch itself, as Keras keeps it.

    PyTorch keeps `n / (n - 1)` times that.
    """
    arrays = dict(after)
    for name, n in counts.items():
        name = f"{name}.running_var"
        old = 0.9 * state[name]
        arrays[name] = old + (after[name] - old) * (n - 1) / n
    return arrays


def assert_close(actual, expected):
    """Within 1e-4 of the largest expected value."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * scale)


def gamma_factors(model):
    """By path: what turns a converted gradient of gamma into ours.

    In PyTorch, `alpha * threshold` is part of gamma. So conversion divides
    gamma by it, and its gradient is to be multiplied by it.
    """
    layers = [getattr(a, "layer", a) for a in model.network.layers]
    return {
        a.gamma.path: a.factor**2
        for a in layers
        if isinstance(a, ThresholdDependentBatchNormalization)
    }


@pytest.mark.usefixtures("no_initialization")
@pytest.mark.parametrize("builder", BUILDERS)
def test_agrees_with_spikingjelly(builder):
    golden = np.load(FOLDER / f"{builder.__name__}.npz")
    x, y, state = golden["x"], golden["y"], group(golden, "state")
    model = build(builder, golden)

    models.load_torch_weights(model, state)
    logits = model.predict_timesteps(x)
    assert_close(logits, golden["logits/inference"])

    # The gradient is a step of plain gradient descent. At this rate, the
    # rounding of the weights does not hide it.
    rate = 1024.0
    logits = golden["logits/training"]
    model.compile(keras.optimizers.SGD(rate), Observed(logits))
    before = values(model.trainable_variables)
    model.train_on_batch(x, y)
    deviation = model.terms.result()["deviation_loss"]
    assert float(deviation) < 1e-4 * np.abs(logits).max()
    gradients = [
        (old - new) / rate
        for old, new in zip(
            before, values(model.trainable_variables), strict=True
        )
    ]
    statistics = values(model.network.non_trainable_variables)

    # What is expected, in our layout.
    after = biased(state, group(golden, "after"), group(golden, "count"))
    gradient = group(golden, "gradient")
    models.load_torch_weights(model, {**state, **after, **gradient})
    for actual, wanted in zip(
        statistics, values(model.network.non_trainable_variables), strict=True
    ):
        assert_close(actual, wanted)
    expected = values(model.trainable_variables)
    largest = max(np.abs(g).max() for g in expected)
    factors = gamma_factors(model)
    for variable, actual, wanted in zip(
        model.trainable_variables, gradients, expected, strict=True
    ):
        if variable.path.endswith("conv/bias"):
            # Before a normalization, it has no gradient but rounding errors.
            assert np.abs(actual - wanted).max() < 1e-5 * largest
        else:
            assert_close(actual, wanted * factors.get(variable.path, 1.0))
