"""Where a training on several processes leaves that on one: which spikes.

    KERAS_BACKEND=torch python -m benchmarks.flips "Distillation sew events"

A spike is a threshold. Where rounding takes a membrane potential across it, a
whole spike differs between two trainings that are equal otherwise. This
trains one cell of `benchmarks.distribution` on one device and on two, keeps
the weights before each step, and shows the whole batch to the network with
each. Printed are, step by step, how far the weights lie apart, how many spikes
differ in the first layer where any does, and how close to the threshold the
potentials come. On PyTorch, `--stem STEP` shows the one of the stem that comes
closest in a step, normalized by PyTorch's kernel, as on one process; by sums,
as on several; and in float64.
"""

import pathlib
import sys
import tempfile

import keras
import numpy as np

import keras_tcl
from benchmarks import distribution
from keras_tcl import graph
from keras_tcl.layers import Neuron
from tests.distribution import launch, training


def train(cell, folder, devices):
    """Train, and keep the weights before each step and after the last."""
    if devices > 1:
        training.show_devices(devices)
    process = keras_tcl.distribution.data_parallel()
    kept = []

    def keep(batch, logs=None):
        kept.append([keras.ops.convert_to_numpy(w) for w in model.weights])

    model, data = distribution.prepared(cell, process)
    keep(0)
    keeps = keras.callbacks.LambdaCallback(on_train_batch_end=keep)
    model.fit(data, verbose=0, callbacks=[keeps])
    if process.is_first:
        names = [w.path for w in model.weights]
        arrays = {
            f"{step}/{name}": weight
            for step, weights in enumerate(kept)
            for name, weight in zip(names, weights, strict=True)
        }
        np.savez(folder / "weights.npz", **arrays)


def potentials(model, x):
    """Of each layer of neurons, its potentials before the reset, float64."""
    found = {}

    def visit(layer, *args, **kwargs):
        if isinstance(layer, Neuron):
            u, steps = 0.0, []
            inputs = keras.ops.convert_to_numpy(args[0]).astype("float64")
            for x_t in np.moveaxis(inputs, 1, 0):
                steps.append(layer.decay * u + x_t)
                u = np.where(steps[-1] >= layer.threshold, 0.0, steps[-1])
            found[layer.name] = np.stack(steps, 1) - layer.threshold
        return graph.called(True)(layer, *args, **kwargs)

    graph.run(model.network, x, True, visit)
    return found


def compare(cell, folders):
    """Rows of the table: one for each step."""
    model, data = distribution.prepared(cell, keras_tcl.distribution.Process())
    files = [np.load(folder / "weights.npz") for folder in folders]
    names = [w.path for w in model.weights]
    floats = [
        name
        for name, weight in zip(names, model.weights, strict=True)
        if "float" in weight.dtype
    ]
    for step, (x, _) in enumerate(data):
        apart, where = max(
            (np.abs(files[0][f"{step}/{n}"] - files[1][f"{step}/{n}"]).max(), n)
            for n in floats
        )
        found = []
        for file in files:
            model.set_weights([file[f"{step}/{name}"] for name in names])
            found.append(potentials(model, keras.ops.cast(x, "float32")))
        text = "none"
        for layer, one in found[0].items():
            other = found[1][layer]
            flipped = (one >= 0) != (other >= 0)
            if flipped.any():
                nearest = [np.abs(h[flipped]).max() for h in (one, other)]
                text = (
                    f"{flipped.sum()} of {flipped.size} in {layer}, at most "
                    f"{max(nearest):.0e} from the threshold"
                )
                break
        nearest, layer = min((np.abs(h).min(), n) for n, h in found[0].items())
        yield (
            f"| {step + 1} | {apart:.0e} in {where} | {text} "
            f"| {nearest:.0e} in {layer} |"
        )


def stem(cell, step):
    """Rows of the stem's potential that is nearest to the threshold."""
    import torch

    from keras_tcl.kernels import torch_batch_normalization as kernel

    model, data = distribution.prepared(cell, keras_tcl.distribution.Process())
    batches = [x for x, _ in data]
    keras.utils.set_random_seed(0)
    for x, y in list(data)[: step - 1]:
        model.train_on_batch(x, y)
    found = {}

    def visit(layer, *args, **kwargs):
        if layer.name == "stem_bn":
            found["inputs"] = args[0].detach()
        return graph.called(True)(layer, *args, **kwargs)

    x = keras.ops.cast(batches[step - 1], "float32")
    graph.run(model.network, x, True, visit)
    layer = next(
        x for x in graph.inner_layers(model.network) if x.name == "stem_bn"
    )
    layer = getattr(layer, "layer", layer)
    neuron = graph.layers(model.network, Neuron)[0]
    gamma, beta = (w.value.detach() for w in (layer.gamma, layer.beta))
    inputs = found["inputs"]

    def by_sums(values):
        count = len(values)
        centered = values - values.sum(0) / count
        variance = centered.square().sum(0) / count
        return centered * torch.rsqrt(variance + layer.epsilon) * gamma + beta

    values = inputs.reshape(-1, inputs.shape[-1])
    ways = {
        "PyTorch's kernel, float32": kernel.normalize_batch(
            values, gamma, beta, layer.epsilon
        )[0],
        "by sums, float32": by_sums(values),
        "by sums, float64": by_sums(values.double()),
    }
    ways = {
        name: charged(x.reshape(inputs.shape), neuron)
        for name, x in ways.items()
    }
    nearest = ways["by sums, float64"].abs().argmin()
    for name, h in ways.items():
        distance = float(h.flatten()[nearest])
        yield f"| {name} | {distance:+.1e} | {int(distance >= 0)} |"


def charged(inputs, neuron):
    """Potentials before the reset, less the threshold."""
    import torch

    u, steps = 0.0, []
    for t in range(inputs.shape[1]):
        steps.append(neuron.decay * u + inputs[:, t])
        u = torch.where(steps[-1] >= neuron.threshold, 0.0, steps[-1])
    return torch.stack(steps, 1) - neuron.threshold


def main():
    cell = next(
        cell
        for cell in distribution.cells(sys.argv[1])
        if " ".join(map(str, cell)).startswith(sys.argv[1])
    )
    if "--stem" in sys.argv:
        print("| normalized | potential - threshold | spike |")
        print("| --- | --- | --- |")
        print("\n".join(stem(cell, int(sys.argv[-1]))))
        return
    if len(sys.argv) > 2:
        train(cell, pathlib.Path(sys.argv[2]), int(sys.argv[3]))
        return
    ways = list(distribution.WAYS[distribution.BACKEND].values())[:2]
    with tempfile.TemporaryDirectory() as folder:
        folders = []
        for processes, devices in ways:
            folders.append(pathlib.Path(folder) / str(len(folders)))
            folders[-1].mkdir()
            command = [sys.executable, "-m", "benchmarks.flips", sys.argv[1]]
            command += [str(folders[-1]), str(devices)]
            launch.all_of(command, processes, folders[-1])
        print(
            "| step | weights apart before it | spikes that differ "
            "| nearest to the threshold |\n| --- | --- | --- | --- |"
        )
        print("\n".join(compare(cell, folders)))


if __name__ == "__main__":
    main()
