"""The same networks and neurons in plain PyTorch, with the peers' neurons.

A peer brings a function that makes its LIF neuron over a whole sequence
`[T, B, ...]`, with a decay of 0.5, a threshold of 1, a hard reset and a
triangular surrogate of width 1, or the nearest it has. Everything else is the
same for all: convolution and normalization see the time steps folded into the
batch, and a still image passes the stem's convolution once.
"""

import torch
from torch import nn


def spikingjelly_lif():
    from spikingjelly.activation_based import neuron, surrogate

    return neuron.LIFNode(
        tau=2.0,
        decay_input=False,
        v_threshold=1.0,
        v_reset=0.0,
        surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0),
        detach_reset=False,
        step_mode="m",
    )


class Stepwise(nn.Module):
    """Runs a neuron of one step at a time, with a state, over a sequence."""

    def __init__(self, neuron, state):
        super().__init__()
        self.neuron, self.state = neuron, state

    def forward(self, x):
        state, spikes = self.state(x[0]), []
        for x_t in x:
            spike, state = self.neuron(x_t, state)
            spikes.append(spike)
        return torch.stack(spikes)


def snntorch_lif():
    import snntorch

    neuron = snntorch.Leaky(
        beta=0.5,
        threshold=1.0,
        reset_mechanism="zero",
        spike_grad=snntorch.surrogate.triangular(),
    )
    return Stepwise(neuron, torch.zeros_like)


def norse_lif():
    import norse.torch as norse

    # dv = dt * tau_mem_inv * (x - v), so half of the potential is left.
    parameters = norse.LIFBoxParameters(
        tau_mem_inv=torch.tensor(500.0), method="triangle", alpha=1.0
    )
    return Stepwise(norse.LIFBoxCell(parameters, dt=0.001), lambda x: None)


NEURONS = {
    "spikingjelly": spikingjelly_lif,
    "snntorch": snntorch_lif,
    "norse": norse_lif,
    "relu": nn.ReLU,
}


def folded(module, x):
    """Apply `module` to every step of `[T, B, ...]` at once."""
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def unit(inputs, filters, size, stride=1, bias=False):
    return nn.Sequential(
        nn.Conv2d(inputs, filters, size, stride, size // 2, bias=bias),
        nn.BatchNorm2d(filters),
    )


class Block(nn.Module):
    """SEW-ResNet's basic block, spikes joined by addition."""

    def __init__(self, inputs, filters, stride, neuron):
        super().__init__()
        self.first = unit(inputs, filters, 3, stride)
        self.second = unit(filters, filters, 3)
        self.neurons = nn.ModuleList([neuron(), neuron()])
        self.shortcut = None
        if stride > 1 or inputs != filters:
            self.shortcut = unit(inputs, filters, 1, stride)
            self.neurons.append(neuron())

    def forward(self, x):
        y = self.neurons[0](folded(self.first, x))
        y = self.neurons[1](folded(self.second, y))
        if self.shortcut is not None:
            x = self.neurons[2](folded(self.shortcut, x))
        return x + y


class SEWResNet18(nn.Module):
    """Images `[B, 3, 32, 32]` to logits `[T, B, classes]`."""

    def __init__(self, neuron, timesteps, classes=10):
        super().__init__()
        self.timesteps = timesteps
        self.stem, self.stem_neuron = unit(3, 64, 3), neuron()
        blocks, inputs = [], 64
        for filters in (64, 128, 256, 512):
            for number in range(2):
                stride = 2 if filters > 64 and number == 0 else 1
                blocks.append(Block(inputs, filters, stride, neuron))
                inputs = filters
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(512, classes)

    def forward(self, x):
        x = self.stem(x).expand(self.timesteps, -1, -1, -1, -1)
        x = self.blocks(self.stem_neuron(x))
        return self.classifier(x.mean((-2, -1)))


class VGGSNN(nn.Module):
    """Event frames `[T, B, 2, 48, 48]` to logits `[T, B, classes]`."""

    def __init__(self, neuron, timesteps, classes=10):
        super().__init__()
        layers, inputs = [], 2
        for stage in ([64, 128], [256, 256], [512, 512], [512, 512]):
            for filters in stage:
                layers += [unit(inputs, filters, 3, bias=True), neuron()]
                inputs = filters
            layers.append(nn.AvgPool2d(2))
        self.layers = nn.ModuleList(layers)
        self.classifier = nn.Linear(512 * 3 * 3, classes)

    def forward(self, x):
        for module in self.layers:
            of_one_step = isinstance(module, (nn.Sequential, nn.AvgPool2d))
            x = folded(module, x) if of_one_step else module(x)
        return self.classifier(x.flatten(2))


NETWORKS = {"sew_resnet18": SEWResNet18, "vggsnn": VGGSNN}


def steps(library, case):
    """Function that runs one step and returns when it is done."""
    channels_last = library.endswith("-channels-last")
    neuron = NEURONS[library.removesuffix("-channels-last")]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = {"float32": None, "bfloat16": torch.bfloat16}[case["precision"]]
    reset = _reset(library)

    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    if case["network"] == "lif":
        layer = neuron().to(device)
        shape = (case["timesteps"], case["batch"], 64, 32, 32)
        x = torch.randn(shape, device=device) + 0.3
        upstream = torch.randn(shape, device=device)
        if dtype:
            x, upstream = x.to(dtype), upstream.to(dtype)
        x.requires_grad_()

        def step():
            layer(x).backward(upstream)
            x.grad = None
            reset(layer)
            wait()

        return step

    network = NETWORKS[case["network"]](neuron, case["timesteps"]).to(device)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
    size, channels = case["size"], case["channels"]
    shape = (case["batch"], channels, size, size)
    if case["events"]:
        shape = (case["timesteps"], *shape)
    x = torch.rand(shape, device=device)
    if channels_last and not case["events"]:
        x = x.to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (case["batch"],), device=device)
    autocast = torch.autocast(device, dtype, enabled=dtype is not None)

    def train():
        network.train()
        with autocast:
            logits = network(x).float().mean(0)
        loss = nn.functional.cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        reset(network)
        wait()

    def infer():
        network.eval()
        with torch.inference_mode(), autocast:
            network(x).float().mean(0)
        reset(network)
        wait()

    return {"train": train, "infer": infer}[case["mode"]]


def _reset(library):
    """What a library asks for between two batches."""
    if library.startswith("spikingjelly"):
        from spikingjelly.activation_based import functional

        return functional.reset_net
    return lambda network: None
