"""Micro-batches whose loss and gradient are those of the whole batch."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_tcl
from keras_tcl import losses
from keras_tcl.layers import LIF, DirectEncoding, EachStep

pytestmark = pytest.mark.slow
once = pytest.mark.once
BACKEND = keras.config.backend()
# As in test_remat.py: compiling would cost more than the steps.
EAGER = BACKEND == "tensorflow"
RNG = np.random.default_rng(0)
SHADES = RNG.uniform(0, 1, (10, 1, 8, 1)) * RNG.uniform(0, 1, (10, 8, 1, 1))
NOISE = RNG.uniform(0.5, 1, (10, 8, 8, 1))
IMAGES = (255 * SHADES * NOISE).astype("float32")
LABELS = np.arange(10) % 3
WEIGHTS = RNG.uniform(0.5, 2.0, 10).astype("float32")
# It spikes enough for embeddings that are not next to 0.
NEURON = LIF(threshold=0.5)


def tiny(frozen=True, **options):
    """A network whose weights, and what its neurons do, are regularized."""
    model = keras_tcl.models.sew_resnet(
        [1],
        [8],
        input_shape=(8, 8, 1),
        classes=3,
        timesteps=2,
        **{"augmenter": "cifar", "neuron": NEURON, **options},
    )
    dense = model.network.get_layer("classifier")
    for layer in dense._flatten_layers():
        if isinstance(layer, layers.Dense):
            layer.kernel.regularizer = keras.regularizers.L2(0.1)
    if frozen:
        freeze(model)
    return model


def freeze(model):
    for layer in model.network._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def unchanged():
    return tiny(augmenter=None)


def random():
    """A network that drops at random, and has live normalizations."""
    x = inputs = keras.Input((8, 8, 1))
    x = DirectEncoding(2)(x)
    x = EachStep(layers.Conv2D(4, 3, strides=2))(x)
    x = EachStep(keras_tcl.layers.BatchNormalization())(x)
    x = EachStep(layers.Dropout(0.5, seed=1))(x)
    x = LIF()(x)
    network = keras.Model(inputs, {"stage1": x})
    return keras_tcl.TCLModel(network, classes=3, augmenter=None)


def trained(
    loss, size, build=tiny, eager=EAGER, batch_size=5, steps=2, **options
):
    """Logs and variables after two steps, of 5 samples as a rule."""
    keras.utils.set_random_seed(0)
    model = build()
    optimizer = options.pop("optimizer", None)
    model.compile(
        optimizer or keras.optimizers.SGD(0.1, momentum=0.9),
        loss,
        metrics=["accuracy"],
        micro_batch_size=size,
        run_eagerly=eager,
        **options,
    )
    logs = model.fit(
        IMAGES[: batch_size * steps],
        LABELS[: batch_size * steps],
        batch_size,
        sample_weight=WEIGHTS[: batch_size * steps],
        shuffle=False,
        verbose=0,
    ).history
    variables = [
        *model.trainable_variables,
        *model.non_trainable_variables,
        *model.optimizer.variables,
    ]
    values = {
        f"{i} {v.name}": ops.convert_to_numpy(v.value)
        for i, v in enumerate(variables)
    }
    return logs, values, model


def check_equal(one, other, atol=1e-5):
    logs, values, _ = one
    other_logs, other_values, _ = other
    assert list(logs) == list(other_logs)
    for name, value in logs.items():
        np.testing.assert_allclose(other_logs[name], value, 1e-4, 1e-6)
    for name, value in values.items():
        np.testing.assert_allclose(
            other_values[name].astype("float64"),
            value.astype("float64"),
            rtol=0,
            atol=atol,
            err_msg=name,
        )


def penalized():
    of_activity = keras.regularizers.L1(0.1)
    return tiny(neuron=LIF(threshold=0.5, activity_regularizer=of_activity))


def staged():
    """One stage of one step, and one of two."""
    model = keras_tcl.models.sew_resnet(
        [1, 1], [8, 8], (8, 8, 1), 3, timesteps=2,
        augmenter=None, neuron=LIF(threshold=0.2),
    )  # fmt: skip
    freeze(model)
    model.stage_timesteps = [1, 2]
    return model


@pytest.mark.parametrize(
    "loss, build",
    [
        pytest.param(losses.MeanCrossEntropy(), penalized, id="penalized"),
        pytest.param(losses.TCL(weight=3.0), staged, id="mixed T"),
        pytest.param(losses.STCL(weight=3.0), tiny, id="two views"),
        # The backends' loops know nothing of the loss.
        pytest.param(losses.TCL(weight=3.0), tiny, id="one view", marks=once),
        pytest.param(
            losses.TET() + 0.5 * losses.TemporalDistillation(),
            tiny,
            id="sum",
            marks=once,
        ),
        pytest.param(
            "sparse_categorical_crossentropy", tiny, id="Keras", marks=once
        ),
    ],
)
def test_a_step_is_that_of_the_whole_batch(loss, build):
    """Weights, momenta, random numbers, logs; micro-batches of 2, 2 and 1."""
    whole = trained(loss, None, build)
    check_equal(whole, trained(loss, 2, build))
    before = fresh(build, loss).trainable_variables
    for old, new in zip(before, whole[2].trainable_variables, strict=True):
        old, new = map(ops.convert_to_numpy, (old.value, new.value))
        assert np.abs(old - new).max() > 1e-4  # It has a gradient.


def fresh(build, loss=None):
    keras.utils.set_random_seed(0)
    model = build()
    if loss is not None:
        model.compile("sgd", loss)
    return model


def running_mean():
    neuron = LIF(threshold=0.5, initial_potential="running_mean")
    return tiny(augmenter=None, neuron=neuron)


@pytest.mark.parametrize(
    "build",
    [lambda: tiny(frozen=False, augmenter=None), random, running_mean],
    ids=["statistics", "random numbers", "running mean"],
)
def test_without_a_contrast_it_accumulates_gradients(build):
    """Live statistics and random numbers are those of the micro-batches.

    A step of 4 samples is then two steps of 2 whose gradients are averaged.
    """
    loss = losses.MeanCrossEntropy()
    assert differences(loss, build) < 1e-5


def test_with_a_contrast_it_is_another():
    """Of the whole batch, and not of each micro-batch."""
    assert differences(losses.TCL(), unchanged) > 1e-3


def differences(loss, build):
    """Of what a model has after caching, and after accumulation."""
    cached = trained(loss, 2, build, batch_size=4, steps=1)
    optimizer = keras.optimizers.SGD(
        0.1, momentum=0.9, gradient_accumulation_steps=2
    )
    parts = trained(loss, None, build, batch_size=2, optimizer=optimizer)
    pairs = zip(cached[1].items(), parts[1].items(), strict=False)
    of_model = len(cached[2].trainable_variables)
    of_model += len(cached[2].non_trainable_variables)
    return max(
        np.abs(a.astype("float64") - b).max()
        for (_, a), (_, b) in itertools.islice(pairs, of_model)
    )


def test_with_all_else_that_a_step_has():
    """Stages that are recomputed, a teacher, clipping, fewer time steps."""
    teacher = fresh(tiny)

    def build():
        model = tiny()
        model.timesteps = 1
        return model

    def of(size):
        loss = losses.TCL() + losses.Distillation(teacher.inference_model())
        optimizer = keras.optimizers.SGD(0.1, global_clipnorm=0.5)
        return trained(loss, size, build, optimizer=optimizer, remat="block")

    check_equal(of(None), of(3))


def test_half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    whole, cached = (trained(losses.TCL(), size) for size in (None, 2))
    np.testing.assert_allclose(whole[0]["loss"], cached[0]["loss"], rtol=0.01)
    for model in (whole[2], cached[2]):
        assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    check_equal(whole, cached, atol=1e-2)


def test_invalid_samples_change_nothing():
    _, values, model = trained(losses.TCL(), 2, steps=1)
    bad = IMAGES[:5].copy()
    bad[-1, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        model.train_on_batch(bad, LABELS[:5])
    for before, after in zip(
        values.values(),
        [
            *model.trainable_variables,
            *model.non_trainable_variables,
            *model.optimizer.variables,
        ],
        strict=True,
    ):
        np.testing.assert_array_equal(ops.convert_to_numpy(after), before)


def test_compiled():
    """As `fit` does by default, and under XLA on TensorFlow, too."""
    jit = BACKEND != "torch"
    whole = trained(losses.STCL(), None, eager=False, jit_compile=jit)
    check_equal(
        whole,
        trained(losses.STCL(), 2, eager=False, jit_compile=jit),
    )


def test_is_saved(tmp_path):
    model = tiny()
    model.compile("sgd", losses.STCL(), micro_batch_size=4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()["micro_batch_size"] == 4
    assert loaded._micro_batches.size == 4
    loaded.compile("sgd", losses.STCL())
    assert loaded.get_compile_config()["micro_batch_size"] is None


@pytest.mark.parametrize("size", [0, -1, 2.5, "4", True])
def test_bad_size(size):
    with pytest.raises(ValueError, match="`micro_batch_size` must be"):
        tiny().compile("sgd", losses.STCL(), micro_batch_size=size)


def test_a_loss_of_each_sample_is_refused():
    class Penalty(layers.Layer):
        def call(self, x):
            self.add_loss(ops.mean(x, axis=(1, 2, 3, 4)))
            return x

    def build():
        x = inputs = keras.Input((8, 8, 1))
        x = LIF()(EachStep(layers.Conv2D(4, 3))(DirectEncoding(2)(x)))
        network = keras.Model(inputs, {"stage1": Penalty()(x)})
        return keras_tcl.TCLModel(network, classes=3, augmenter=None)

    with pytest.raises(ValueError, match="must be one number"):
        trained(losses.MeanCrossEntropy(), 2, build, eager=True)


@pytest.mark.skipif(BACKEND != "torch", reason="modules of PyTorch")
def test_a_module_of_pytorch_learns():
    import torch

    modules = []

    def build():
        torch.manual_seed(0)
        modules.append(torch.nn.Linear(4, 4))
        x = inputs = keras.Input((8, 8, 1))
        x = EachStep(layers.Conv2D(4, 3))(DirectEncoding(2)(x))
        wrapped = layers.TorchModuleWrapper(modules[-1], output_shape=x.shape)
        x = LIF()(wrapped(x))
        network = keras.Model(inputs, {"stage1": x})
        return keras_tcl.TCLModel(network, classes=3, augmenter=None)

    loss = losses.MeanCrossEntropy()
    (_, whole, _), (_, cached, _) = (trained(loss, n, build) for n in (None, 2))
    # Keras names the variables of a module anew.
    for one, other in zip(whole.values(), cached.values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    torch.manual_seed(0)
    begin = torch.nn.Linear(4, 4).bias
    for module in modules:
        assert (module.bias.cpu() - begin).abs().max() > 1e-4
