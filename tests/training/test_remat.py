"""Training that computes activations twice: the same numbers, less kept."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_tcl
from keras_tcl import graph
from keras_tcl.layers import LIF, DirectEncoding, EachStep
from keras_tcl.losses import STCL, MeanCrossEntropy
from keras_tcl.training.remat import Remat

BACKEND = keras.config.backend()
# As in test_tcl_model.py: compiling would cost more than the steps.
EAGER = BACKEND == "tensorflow"
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (8, 8, 8, 3)).astype("float32")
FRAMES = RNG.poisson(0.5, (8, 3, 8, 8, 2)).astype("float32")
LABELS = np.arange(8) % 3

two_stages = {
    "stackwise_num_blocks": [1, 2],
    "stackwise_num_filters": [4, 8],
    "classes": 3,
}


def sew(shape=(8, 8, 3), **options):
    return keras_tcl.models.sew_resnet(
        input_shape=shape, timesteps=3, **{**two_stages, **options}
    )


def spiking_resnet():
    return keras_tcl.models.spiking_resnet(
        input_shape=(8, 8, 3), timesteps=3, **two_stages
    )


def vgg():
    return keras_tcl.models.spiking_vgg(
        [[4, 4], [8]], input_shape=(8, 8, 3), timesteps=3, classes=3
    )


def branched():
    """Stages beside one another, and a random layer."""
    x = inputs = keras.Input((8, 8, 3))
    x = DirectEncoding(3)(x)
    first = LIF()(EachStep(layers.Conv2D(4, 3))(x))
    x = EachStep(layers.Dropout(0.5, seed=1))(first)
    second = LIF()(EachStep(layers.Conv2D(4, 3))(x))
    third = layers.Add()([first[:, :, 1:-1, 1:-1], second])
    stages = {"a": first, "b": second, "c": third}
    return keras_tcl.TCLModel(keras.Model(inputs, stages), classes=3)


def regularized():
    """Losses of activities and of weights."""
    neuron = LIF(activity_regularizer=keras.regularizers.L1(1e-3))
    model = sew(neuron=neuron)
    kernel = model.network.get_layer("stage2_block1_1_conv").layer
    kernel.kernel_regularizer = keras.regularizers.L2(0.1)
    kernel.kernel.regularizer = kernel.kernel_regularizer
    return model


def trained(build, remat, x=IMAGES, timesteps=None):
    keras.utils.set_random_seed(0)
    model = build()
    if timesteps:
        model.timesteps = timesteps
    model.compile(
        keras.optimizers.SGD(0.1), STCL(), remat=remat, run_eagerly=EAGER
    )
    losses = model.fit(x, LABELS, 4, epochs=2, shuffle=False, verbose=0)
    return losses.history["loss"], model.get_weights()


@pytest.mark.parametrize("remat", ["stage", "block"])
@pytest.mark.parametrize(
    "build, x, timesteps",
    [
        (sew, IMAGES, None),
        (sew, IMAGES, 2),
        (lambda: sew((None, 8, 8, 2)), FRAMES, None),
        (spiking_resnet, IMAGES, None),
        (vgg, IMAGES, None),
        (branched, IMAGES, None),
        (regularized, IMAGES, None),
    ],
)
def test_the_same_numbers(build, x, timesteps, remat):
    losses, weights = trained(build, None, x, timesteps)
    losses_again, weights_again = trained(build, remat, x, timesteps)
    np.testing.assert_allclose(losses, losses_again, rtol=1e-4)
    for a, b in zip(weights, weights_again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "build, by_stage, by_block",
    [
        (sew, ["stage1_block1_out", "stage2_block2_out", "classifier"], 5),
        (vgg, ["stage1_pool", "stage2_1_spike", "classifier"], 5),
    ],
)
def test_parts(build, by_stage, by_block):
    """Stem, stages, blocks or layers of neurons, and the classifier."""
    network = build().network
    parts = Remat(network, "stage").parts
    assert [part.operations[-1].name for part, _ in parts] == by_stage
    assert len(Remat(network, "block").parts) == by_block
    names = [layer.name for part, _ in parts for layer in part.layers]
    missing = {layer.name for layer in network.layers} - set(names)
    assert not missing


@pytest.mark.parametrize("build", [sew, spiking_resnet, vgg, branched])
def test_a_walk_is_the_whole(build):
    network = build().network
    x = ops.convert_to_tensor(IMAGES)
    expected = network(x, training=False)
    features = graph.walk(network, x, graph.called(training=False))
    assert list(features) == list(expected)
    for name, value in features.items():
        np.testing.assert_array_equal(
            ops.convert_to_numpy(value), ops.convert_to_numpy(expected[name])
        )


@pytest.mark.skipif(BACKEND != "torch", reason="compiled elsewhere")
def test_inference_forgets_what_it_no_longer_needs(monkeypatch):
    outputs, alive = [], []

    def call(self, inputs, training=None):
        spikes = original(self, inputs, training=training)
        # What Keras holds by cycles of references is not meant here.
        gc.collect()
        alive.append(sum(output() is not None for output in outputs))
        outputs.append(weakref.ref(spikes))
        return spikes

    original = LIF.call
    monkeypatch.setattr(LIF, "call", call)
    sew(stackwise_num_blocks=[4, 4]).predict(IMAGES, verbose=0)
    assert len(alive) == 18  # Of the stem, the blocks, and the shortcut.
    assert max(alive) <= 3


def test_regularizers_count():
    plain, penalized = (
        trained(build, "stage")[0][0] for build in (sew, regularized)
    )
    assert penalized > plain + 1.0


def test_compiled():
    """Under XLA too, where that is not the default."""
    model = sew()
    model.compile(
        "sgd",
        MeanCrossEntropy(),
        remat="block",
        jit_compile=BACKEND != "torch",
    )
    losses = model.fit(IMAGES, LABELS, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


def kept(remat):
    """Bytes that a training step keeps for its backward pass, or needs."""
    model = keras_tcl.models.sew_resnet(
        [2, 2],
        [16, 32],
        input_shape=(32, 32, 3),
        classes=3,
        timesteps=4,
        augmenter=None,
    )
    model.compile("sgd", MeanCrossEntropy(), remat=remat)
    x = RNG.uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    if BACKEND == "torch":
        import torch

        storages = {}

        def pack(tensor):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            outputs = model(ops.convert_to_tensor(x), training=True)
            assert outputs["logits"].requires_grad
            return sum(storages.values())
    import jax

    def loss(trained, others):
        outputs, _ = model.stateless_call(trained, others, x, training=True)
        return outputs["logits"].sum()

    values = [
        [v.value for v in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
        )
    ]
    compiled = jax.jit(jax.grad(loss)).lower(*values).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.skipif(
    BACKEND == "tensorflow", reason="it does not tell; see benchmarks/speed"
)
def test_less_is_kept():
    nothing, stage, block = map(kept, (None, "stage", "block"))
    if BACKEND == "torch":  # It counts what is kept, not what is needed.
        assert max(stage, block) < 0.3 * nothing
    else:
        assert block < stage < nothing
        assert block < 0.6 * nothing


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    keras.config.set_dtype_policy(policy)
    losses, _ = trained(sew, None)
    losses_again, weights = trained(sew, "block")
    # One rounding otherwise may turn a spike.
    np.testing.assert_allclose(losses, losses_again, rtol=0.05)
    assert all(np.isfinite(w).all() for w in weights)


def test_is_saved(tmp_path):
    model = sew()
    model.compile("sgd", STCL(), remat="stage")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()["remat"] == "stage"


def test_unknown():
    with pytest.raises(ValueError, match=r"`remat` must be one of .*layer"):
        sew().compile("sgd", STCL(), remat="layer")
