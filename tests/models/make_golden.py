"""Makes the golden files: the networks as SpikingJelly 2.0 computes them.

Not run by the tests, which only read the files. To make them again:

    python -m venv peers
    peers/bin/pip install torch numpy scipy tqdm loguru
    peers/bin/pip install --no-deps spikingjelly==2.0.0
    peers/bin/python tests/models/make_golden.py

The residual networks are made of SpikingJelly's own blocks with narrow
widths, ResNet-19 and VGGSNN of its layers under the names of TET's code. The
neurons are those of `keras_tcl.layers.LIF()`. Each file holds, by PyTorch
names and in PyTorch's layout: input and labels, state dict, logits of every
time step in inference and in training, gradients of the mean cross entropy,
and the normalizations' statistics after the training step.

A spike is a step function of the potential, so a last-bit difference in a
convolution's sum can flip one that is close to its threshold. The seed of
each file is the first for which no potential comes nearer than `MARGIN`, and
at least one in twenty neurons of every layer fires: whatever the order of
summation, all spikes agree.
"""

import math
import sys
import types
from pathlib import Path

# SpikingJelly's networks ask torchvision for a download function, no more.
for module in ("torchvision", "torchvision._internally_replaced_utils"):
    sys.modules[module] = types.ModuleType(module)
sys.modules["torchvision._internally_replaced_utils"].__dict__.update(
    load_state_dict_from_url=None
)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from spikingjelly.activation_based import (  # noqa: E402
    functional,
    layer,
    neuron,
    surrogate,
)
from spikingjelly.activation_based.model import (  # noqa: E402
    sew_resnet,
    spiking_resnet,
)

MARGIN = 2e-5
CLASSES = 5
FOLDER = Path(__file__).parent / "golden"


def lif(**_):
    return neuron.LIFNode(
        tau=2.0,
        decay_input=False,
        v_threshold=1.0,
        v_reset=0.0,
        surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0),
        detach_reset=False,
    )


def set_stem(network, channels, filters, kind):
    if kind == "cifar":
        convolution = layer.Conv2d(channels, filters, 3, 1, 1, bias=False)
        pool = torch.nn.Identity()
    else:
        convolution = layer.Conv2d(channels, filters, 7, 2, 3, bias=False)
        pool = layer.MaxPool2d(3, 2, 1)
    network.inplanes = filters
    network.dilation = 1
    network.groups = 1
    network.base_width = 64
    network._norm_layer = layer.BatchNorm2d
    network.conv1 = convolution
    network.bn1 = layer.BatchNorm2d(filters)
    network.sn1 = lif()
    network.maxpool = pool


def set_stages(network, blocks, widths, block, **kwargs):
    for i, (count, width) in enumerate(zip(blocks, widths, strict=True)):
        stage = network._make_layer(
            block,
            width,
            count,
            stride=2 if i else 1,
            spiking_neuron=lif,
            **kwargs,
        )
        setattr(network, f"layer{i + 1}", stage)
    for i in range(len(blocks), 4):
        setattr(network, f"layer{i + 1}", torch.nn.Identity())
    network.avgpool = layer.AdaptiveAvgPool2d((1, 1))


class SEWResNet(sew_resnet.SEWResNet):
    """SpikingJelly's, with any stages, widths and stem."""

    def __init__(self, blocks, widths, channels, stem, connection, classes):
        torch.nn.Module.__init__(self)
        set_stem(self, channels, widths[0], stem)
        set_stages(self, blocks, widths, sew_resnet.BasicBlock, cnf=connection)
        self.fc = layer.Linear(widths[-1], classes)


class SpikingResNet(spiking_resnet.SpikingResNet):
    """SpikingJelly's, with any stages, widths and stem."""

    def __init__(self, blocks, widths, channels, stem, classes):
        torch.nn.Module.__init__(self)
        set_stem(self, channels, widths[0], stem)
        set_stages(self, blocks, widths, spiking_resnet.BasicBlock)
        self.fc = layer.Linear(widths[-1], classes)


class ResNet19(spiking_resnet.SpikingResNet):
    """Stages of SpikingJelly's blocks and TET's classifier."""

    def __init__(self, blocks, widths, channels, stem, hidden, classes):
        torch.nn.Module.__init__(self)
        set_stem(self, channels, stem, "cifar")
        set_stages(self, blocks, widths, spiking_resnet.BasicBlock)
        self.fc1 = layer.Linear(widths[-1], hidden)
        self.spike = lif()
        self.fc2 = layer.Linear(hidden, classes)

    def fc(self, x):
        return self.fc2(self.spike(self.fc1(x)))


class Named(torch.nn.Module):
    """A module under the attribute of TET's containers."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return x


class VGGSNN(torch.nn.Module):
    """Convolutions and average pooling, with the names of TET's code."""

    def __init__(self, stages, channels, positions, classes):
        super().__init__()
        units = []
        for widths in stages:
            for width in widths:
                weights = torch.nn.Sequential(
                    layer.Conv2d(channels, width, 3, 1, 1),
                    layer.BatchNorm2d(width),
                )
                units.append(Named(fwd=Named(module=weights), act=lif()))
                channels = width
            units.append(layer.AvgPool2d(2))
        self.features = torch.nn.Sequential(*units)
        self.classifier = Named(
            module=layer.Linear(channels * positions, classes)
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 2))


CASES = {
    "sew_resnet": (
        lambda: SEWResNet([2, 1], [8, 12], 3, "cifar", "add", CLASSES),
        "images",
        (16, 16, 3),
    ),
    "sew_resnet_imagenet": (
        lambda: SEWResNet([1, 1], [8, 12], 2, "imagenet", "iand", CLASSES),
        "frames",
        (32, 32, 2),
    ),
    "spiking_resnet": (
        lambda: SpikingResNet([2, 1], [8, 12], 3, "cifar", CLASSES),
        "images",
        (16, 16, 3),
    ),
    "resnet19": (
        lambda: ResNet19([1, 1, 1], [12, 16, 20], 3, 8, 24, CLASSES),
        "images",
        (12, 12, 3),
    ),
    "vggsnn": (
        lambda: VGGSNN([[8, 8], [12], [16]], 2, 2 * 3, CLASSES),
        "frames",
        (16, 24, 2),
    ),
}


def spread(network, inputs):
    """Weights for which neurons fire at every depth, and not all of them."""
    normalizations = [
        module
        for module in network.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    for module in normalizations:
        torch.nn.init.uniform_(module.weight, 0.8, 1.6)
        torch.nn.init.normal_(module.bias, 0.2, 0.3)
        module.momentum = 1.0
    for module in network.modules():
        if isinstance(module, layer.Linear):
            # Its inputs, mean firing rates, are small.
            torch.nn.init.normal_(module.weight)
    with torch.no_grad():
        network.train()(inputs)
    functional.reset_net(network)
    # Statistics like those of the data, but not the same.
    for module in normalizations:
        module.momentum = 0.1
        module.running_mean += 0.1 * torch.randn_like(module.running_mean)
        module.running_var *= 1 + 0.2 * torch.rand_like(module.running_var)


def spying(network, record):
    """Note potentials of the neurons and sizes of the normalized batches."""

    def neurons(_, inputs, spikes):
        u = torch.zeros_like(inputs[0][0])
        for x in inputs[0].detach():
            h = 0.5 * u + x
            u = torch.where(h >= 1.0, 0.0, h)
            record["margin"] = min(
                record["margin"], (h - 1.0).abs().min().item()
            )
        record["rates"].append(spikes.mean().item())

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, neuron.LIFNode):
            hooks.append(module.register_forward_hook(neurons))
        elif isinstance(module, torch.nn.BatchNorm2d):

            def count(module, inputs, _, name=name):
                size = inputs[0].numel() // module.num_features
                record["counts"][name] = size

            hooks.append(module.register_forward_hook(count))
    return hooks


def sample(kind, shape, batch, timesteps, generator):
    """Input as Keras takes it: channels last, time second."""
    if kind == "images":
        return generator.uniform(0, 1, (batch, *shape)).astype("float32")
    return generator.poisson(0.4, (batch, timesteps, *shape)).astype("float32")


def sequence(x, timesteps):
    """Input as SpikingJelly takes it: [T, B, C, H, W]."""
    x = torch.from_numpy(x)
    if x.dim() == 4:
        x = x[:, None].expand(-1, timesteps, -1, -1, -1)
    return x.permute(1, 0, 4, 2, 3).contiguous()


def run(network, inputs, labels):
    """What a golden file holds about a network, and what the spies saw."""
    record = {"margin": math.inf, "rates": [], "counts": {}}
    hooks = spying(network, record)
    arrays = {}
    for name, value in network.state_dict().items():
        arrays[f"state/{name}"] = value.numpy().copy()
    with torch.no_grad():
        logits = network.eval()(inputs)
    functional.reset_net(network)
    arrays["logits/inference"] = logits.transpose(0, 1).numpy()
    logits = network.train()(inputs)
    functional.reset_net(network)
    arrays["logits/training"] = logits.detach().transpose(0, 1).numpy()
    loss = torch.nn.functional.cross_entropy(logits.mean(0), labels)
    loss.backward()
    for name, value in network.named_parameters():
        arrays[f"gradient/{name}"] = value.grad.numpy()
    for name, value in network.named_buffers():
        if "running" in name:
            arrays[f"after/{name}"] = value.numpy()
    for name, value in record["counts"].items():
        arrays[f"count/{name}"] = np.int64(value)
    for hook in hooks:
        hook.remove()
    return arrays, record


def make(name, batch=3, timesteps=4):
    build, kind, shape = CASES[name]
    for seed in range(1000):
        torch.manual_seed(seed)
        generator = np.random.default_rng(seed)
        x = sample(kind, shape, batch, timesteps, generator)
        inputs = sequence(x, timesteps)
        labels = generator.integers(0, CLASSES, batch)
        network = build()
        functional.set_step_mode(network, "m")
        spread(network, inputs)
        arrays, record = run(network, inputs, torch.from_numpy(labels))
        rates = record["rates"]
        if record["margin"] > MARGIN and 0.05 < min(rates) < max(rates) < 0.8:
            break
    else:
        raise RuntimeError(f"No seed is good enough for {name}.")
    path = FOLDER / f"{name}.npz"
    np.savez_compressed(path, x=x, y=labels, **arrays)
    print(
        f"{name}: seed {seed}, nearest potential {record['margin']:.1e} from "
        f"the threshold, firing rates {min(rates):.2f} to {max(rates):.2f}, "
        f"{path.stat().st_size / 1e3:.0f} kB"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for name in CASES:
        make(name)
