"""The cost model: what a training step computes, keeps and sends.

Counted by a walk over a network's graph, for each device of a data parallel
training with one contrast over the batch of all of them. `docs/scaling.md`
has the formulas, and compares them with measurements.
"""

import math
from typing import Any, NamedTuple

import keras

from keras_tcl import graph
from keras_tcl.layers import DirectEncoding, Neuron
from keras_tcl.training.remat import Remat

# Bytes of a number: of gradients, statistics and embeddings.
FLOAT = 4
# Tensors of the largest size that the backward pass holds beside what is
# kept: the gradients of a layer's output and of its input.
WORKING = 2
# Matrices of the size of the similarities at the peak of PyTorch, as measured;
# the loops that XLA fuses hold 1.3 of them.
MATRICES = 5


class Cost(NamedTuple):
    """Of one view of one sample, in training.

    Attributes:
        macs: Multiply-accumulate operations of a forward pass, of all T steps.
        macs_inside: Those whose factor is a pixel and not padding.
        first_macs, first_inside: Of these, those of the layer that reads the
            pixels, which need no gradient.
        kept: Elements kept for the backward pass, `{remat: number}`.
        largest: Elements of the largest tensor.
        parameters: Trained numbers of the network.
        channels: Of each batch normalization.
        timesteps: T of the embeddings.
        features: Channels of each stage that is embedded.
    """

    macs: int
    macs_inside: int
    first_macs: int
    first_inside: int
    kept: dict[str | None, int]
    largest: int
    parameters: int
    channels: tuple[int, ...]
    timesteps: int
    features: tuple[int, ...]


class Job(NamedTuple):
    """A data parallel training.

    Attributes:
        batch: Samples of each device.
        devices: How many there are.
        views: V, views of each sample.
        dimension: D, of an embedding; 0 for a loss without any.
        remat: As for `compile`.
        synchronized: Whether batch statistics are global.
        width: Bytes of an activation.
    """

    batch: int
    devices: int = 1
    views: int = 1
    dimension: int = 128
    remat: str | None = None
    synchronized: bool = True
    width: int = 4


def cost(model: Any) -> Cost:
    """Count a `keras_tcl.TCLModel`."""
    network = model.network
    counter = _Counter(network.inputs[0])
    graph.walk(network, counter.start, counter.visit)
    kept: dict[str | None, int] = {None: counter.kept()}
    for by in ("stage", "block"):
        kept[by] = _kept_with_remat(network, by)
    stages = [model.stages[name] for name in model.embedding_stages]
    return Cost(
        *counter.macs,
        *counter.first,
        kept,
        counter.largest,
        sum(math.prod(v.shape) for v in network.trainable_variables),
        tuple(counter.channels),
        network.output[graph.LOGITS].shape[1],
        tuple(stage.shape[-1] for stage in stages),
    )


def _kept_with_remat(network: keras.Model, by: str) -> int:
    """The inputs of all parts, and all that the greatest part keeps."""
    inputs, most = 0, 0
    for part, _ in Remat(network, by).parts:
        counter = _Counter(part.inputs[0])
        graph.walk(part, counter.start, counter.visit)
        inputs += _size(counter.start)
        most = max(most, counter.kept())
    return inputs + most


class _Counter:
    """Counts the layers that a walk visits, of a batch of one sample."""

    def __init__(self, x: Any) -> None:
        self.start = keras.KerasTensor((1, *x.shape[1:]), dtype=x.dtype)
        self.macs, self.first = [0, 0], [0, 0]
        self.channels: list[int] = []
        self.largest = 0
        self._kept: dict[int, int] = {}
        # Of a tensor, the one whose memory it shares; and its padding.
        self._memory: dict[int, Any] = {}
        self._padding: dict[int, int] = {}
        self._tensors: list[Any] = []  # So that no `id` comes twice.

    def kept(self) -> int:
        return sum(self._kept.values())

    def visit(self, outer: Any, *args: Any, **kwargs: Any) -> Any:
        output = outer.compute_output_spec(*args, **kwargs)
        layer = getattr(outer, "layer", outer)
        x = args[0]
        self._tensors += [x, output]
        self.largest = max(self.largest, _size(output))
        if isinstance(layer, keras.layers.Conv2D):
            self._multiply(
                *_macs_of_convolution(layer, x, output, self._padding)
            )
            self._keep(x)
        elif isinstance(layer, keras.layers.Dense):
            macs = layer.kernel.shape[0] * _size(output)
            self._multiply(macs, macs)
            self._keep(x)
        elif isinstance(layer, keras.layers.BatchNormalization):
            self.channels.append(x.shape[-1])
            self._keep(x)
        elif isinstance(
            layer,
            (Neuron, keras.layers.MaxPooling2D, keras.layers.AveragePooling2D),
        ):
            self._keep(x)
        elif isinstance(layer, DirectEncoding):
            self._memory[id(output)] = x  # A broadcast.
        elif isinstance(layer, keras.layers.ZeroPadding2D):
            self._padding[id(output)] = layer.padding[0][0]
        return output

    def _multiply(self, macs: int, inside: int) -> None:
        if not self.macs[0]:
            self.first = [macs, inside]
        self.macs = [self.macs[0] + macs, self.macs[1] + inside]

    def _keep(self, x: Any) -> None:
        x = self._memory.get(id(x), x)
        self._kept[id(x)] = _size(x)


def _macs_of_convolution(
    layer: Any, x: Any, output: Any, paddings: dict[int, int]
) -> tuple[int, int]:
    *kernel, _, _ = layer.kernel.shape
    padding = paddings.get(id(x), 0)
    size = [length - 2 * padding for length in x.shape[-3:-1]]
    inside = 1
    for axis in (0, 1):
        length, stride = output.shape[axis - 3], layer.strides[axis]
        before = (kernel[axis] - 1) // 2 if layer.padding == "same" else padding
        inside *= sum(
            min(size[axis], i * stride - before + kernel[axis])
            - max(0, i * stride - before)
            for i in range(length)
        )
    # Channels in and out, samples and time steps.
    others = math.prod(layer.kernel.shape[2:])
    others *= _size(output) // math.prod(output.shape[-3:])
    return others * math.prod((*kernel, *output.shape[-3:-1])), others * inside


def _size(x: Any) -> int:
    return math.prod(length or 1 for length in x.shape)


# --- Predictions, for each device ---------------------------------------------


def anchors(cost: Cost, job: Job) -> tuple[int, int]:
    """Embeddings of a device, and of all, of each stage."""
    own = job.batch * job.views * cost.timesteps
    return own, own * job.devices


def flop(cost: Cost, job: Job, inside: bool = False) -> int:
    """Of a step: products of network, projections and contrast.

    Forward, and twice as much backward; with remat, forward once more.

    Args:
        cost: Of the network.
        job: The training.
        inside: Whether to leave out products with padding, as XLA does.
    """
    macs = cost.macs_inside if inside else cost.macs
    first = cost.first_inside if inside else cost.first_macs
    passes = 4 if job.remat else 3
    samples = job.batch * job.views
    total = 2 * samples * (passes * macs - first)
    if job.dimension:
        own, _ = anchors(cost, job)
        for width in cost.features:
            total += 6 * own * (width * width + width * job.dimension)
        total += contrast_flop(cost, job)
    return total


def contrast_flop(cost: Cost, job: Job) -> int:
    """Of the similarities: own times all embeddings, forward and backward.

    And of the sums over a class: those of own samples of all samples' sums,
    with one gradient.
    """
    own, everyone = anchors(cost, job)
    samples = job.batch * job.batch * job.devices
    products = 6 * own * everyone + 4 * samples
    return products * job.dimension * len(cost.features)


def activation_bytes(cost: Cost, job: Job) -> int:
    """Kept for the backward pass, and held beside it at the peak."""
    samples = job.batch * job.views
    kept = cost.kept[job.remat] + WORKING * cost.largest
    return samples * kept * job.width


def contrast_bytes(cost: Cost, job: Job) -> int:
    """Of the matrix of similarities of all stages, without blocks."""
    own, everyone = anchors(cost, job)
    return MATRICES * len(cost.features) * own * everyone * FLOAT


def head_parameters(cost: Cost, job: Job) -> int:
    """Of the projection heads."""
    if not job.dimension:
        return 0
    return sum(
        width * width + width + width * job.dimension + job.dimension
        for width in cost.features
    )


def payloads(cost: Cost, job: Job) -> dict[str, int]:
    """Bytes that a device gives to the collectives of a step.

    `"gradients"` (all-reduce), with the moving statistics; `"statistics"`
    (all-reduce), of synchronized normalizations: forward of sums and of
    squares, and backward of both; `"gather"` (all-gather) of the embeddings;
    `"embeddings"` (all-reduce) of their gradient.
    """
    if job.devices == 1:
        return dict.fromkeys(
            ("gradients", "statistics", "gather", "embeddings"), 0
        )
    channels = sum(cost.channels)
    numbers = cost.parameters + head_parameters(cost, job) + 2 * channels
    counted = 2 * (2 * channels + len(cost.channels))
    own, everyone = anchors(cost, job)
    stages = len(cost.features)
    return {
        "gradients": FLOAT * numbers,
        "statistics": FLOAT * counted * job.synchronized,
        "gather": FLOAT * stages * own * job.dimension,
        "embeddings": FLOAT * stages * everyone * job.dimension,
    }


def traffic(cost: Cost, job: Job) -> dict[str, float]:
    """Bytes that a device sends, and as many that it receives, in rings."""
    n = job.devices
    found = payloads(cost, job)
    reduced = 2 * (n - 1) / n
    factors = {"gather": n - 1}
    return {k: v * factors.get(k, reduced) for k, v in found.items()}
