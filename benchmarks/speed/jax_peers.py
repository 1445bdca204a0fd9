"""The networks of `peers.py` in JAX (Flax NNX), with Spyx' neuron.

Spyx' LIF resets by subtraction, one step later than the others' (the spike is
that of the potential before the charge), and its decay is a weight that is
trained: the nearest it has.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import spyx.axn
import spyx.nn
from flax import nnx


def lif(shape):
    """Neuron of a layer whose outputs have `shape`, without batch and time."""
    return spyx.nn.LIF(
        shape,
        beta=0.5,
        threshold=1.0,
        activation=spyx.axn.triangular(k=1),
        rngs=nnx.Rngs(0),
    )


def folded(module, x):
    """Apply `module` to every step of `[T, B, ...]` at once."""
    outputs = module(x.reshape(-1, *x.shape[2:]))
    return outputs.reshape(*x.shape[:2], *outputs.shape[1:])


def spikes(neuron, x):
    return spyx.nn.run(neuron, x)[0]


class Unit(nnx.Module):
    """Convolution and normalization."""

    def __init__(self, inputs, filters, size, stride=1, bias=False):
        rngs = nnx.Rngs(0)
        self.convolution = nnx.Conv(
            inputs,
            filters,
            (size, size),
            (stride, stride),
            padding=size // 2,
            use_bias=bias,
            rngs=rngs,
        )
        self.normalization = nnx.BatchNorm(filters, momentum=0.9, rngs=rngs)

    def __call__(self, x):
        return self.normalization(self.convolution(x))


class Block(nnx.Module):
    def __init__(self, inputs, filters, stride, size):
        self.first = Unit(inputs, filters, 3, stride)
        self.second = Unit(filters, filters, 3)
        shape = (size, size, filters)
        self.neurons = nnx.List([lif(shape), lif(shape), lif(shape)])
        changes = stride > 1 or inputs != filters
        self.shortcut = Unit(inputs, filters, 1, stride) if changes else None

    def __call__(self, x):
        y = spikes(self.neurons[0], folded(self.first, x))
        y = spikes(self.neurons[1], folded(self.second, y))
        if self.shortcut is not None:
            x = spikes(self.neurons[2], folded(self.shortcut, x))
        return x + y


class SEWResNet18(nnx.Module):
    """Images `[B, 32, 32, 3]` to logits `[T, B, classes]`."""

    def __init__(self, timesteps, classes=10):
        self.timesteps = timesteps
        self.stem, self.stem_neuron = Unit(3, 64, 3), lif((32, 32, 64))
        blocks, inputs, size = [], 64, 32
        for filters in (64, 128, 256, 512):
            for number in range(2):
                stride = 2 if filters > 64 and number == 0 else 1
                size //= stride
                blocks.append(Block(inputs, filters, stride, size))
                inputs = filters
        self.blocks = nnx.List(blocks)
        self.classifier = nnx.Linear(512, classes, rngs=nnx.Rngs(0))

    def __call__(self, x):
        x = self.stem(x)
        x = jnp.broadcast_to(x, (self.timesteps, *x.shape))
        x = spikes(self.stem_neuron, x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean((2, 3)))


class VGGSNN(nnx.Module):
    """Event frames `[T, B, 48, 48, 2]` to logits `[T, B, classes]`."""

    def __init__(self, timesteps, classes=10):
        units, neurons, inputs, size = [], [], 2, 48
        for stage in ([64, 128], [256, 256], [512, 512], [512, 512]):
            for filters in stage:
                units.append(Unit(inputs, filters, 3, bias=True))
                neurons.append(lif((size, size, filters)))
                inputs = filters
            size //= 2
        self.units, self.neurons = nnx.List(units), nnx.List(neurons)
        self.classifier = nnx.Linear(512 * 3 * 3, classes, rngs=nnx.Rngs(0))

    def __call__(self, x):
        for number, neuron in enumerate(self.neurons):
            x = spikes(neuron, folded(self.units[number], x))
            if number % 2:
                x = folded(lambda x: nnx.avg_pool(x, (2, 2), (2, 2)), x)
        return self.classifier(x.reshape(*x.shape[:2], -1))


NETWORKS = {"sew_resnet18": SEWResNet18, "vggsnn": VGGSNN}


def steps(case):
    """Function that runs one step and returns when it is done."""
    if case["precision"] != "float32":
        raise ImportError("written for float32 only")
    if case["network"] == "lif":
        return _layer_step(case)
    network = NETWORKS[case["network"]](case["timesteps"])
    optimizer = nnx.Optimizer(
        network, optax.sgd(1e-3, momentum=0.9), wrt=nnx.Param
    )
    rng = np.random.default_rng(0)
    shape = (case["batch"], case["size"], case["size"], case["channels"])
    if case["events"]:
        shape = (case["timesteps"], *shape)
    x = jnp.asarray(rng.uniform(size=shape).astype("float32"))
    y = jnp.asarray(rng.integers(0, 10, case["batch"]))

    @nnx.jit
    def train(network, optimizer, x, y):
        def loss(network):
            logits = network(x).mean(0)
            return optax.softmax_cross_entropy_with_integer_labels(
                logits, y
            ).mean()

        value, gradients = nnx.value_and_grad(loss)(network)
        optimizer.update(network, gradients)
        return value

    @nnx.jit
    def infer(network, x):
        return network(x).mean(0)

    if case["mode"] == "train":
        network.train()
        return lambda: jax.block_until_ready(train(network, optimizer, x, y))
    network.eval()
    return lambda: jax.block_until_ready(infer(network, x))


def _layer_step(case):
    neuron = lif((32, 32, 64))
    shape = (case["timesteps"], case["batch"], 32, 32, 64)
    rng = np.random.default_rng(0)
    x, upstream = (
        jnp.asarray(rng.normal(shift, 1, shape).astype("float32"))
        for shift in (0.3, 0.0)
    )

    @jax.jit
    def both(x, upstream):
        outputs, pull_back = jax.vjp(lambda x: spikes(neuron, x), x)
        return outputs, pull_back(upstream)

    return lambda: jax.block_until_ready(both(x, upstream))
