"""What the cost model predicts for GPUs: the tables of docs/scaling.md.

    KERAS_BACKEND=torch python -m benchmarks.scaling.plan

Nothing is measured here. Times are lower bounds, from the figures of data
sheets: those of an H100 SXM (80 GB) with NVLink in a host of 8 and InfiniBand
between hosts.
"""

import keras_tcl
from benchmarks.scaling import model as predicted

FLOPS = 989e12  # Dense bfloat16, a second.
MEMORY = 3.35e12  # Bytes a second.
WITHIN, BETWEEN = 450e9, 50e9  # Bytes a second, in each direction.
# Reads and writes of a step for each element that is kept. Of a unit's three
# tensors, forward: y written, read twice, z written, read, s written, read;
# backward: 3 of the neurons, 5 of the normalization, 4 of the convolution.
PASSES = 19 / 3
BFLOAT16 = 2

IMAGENET = {"input_shape": (224, 224, 3), "classes": 1000, "stem": "imagenet"}
NETWORKS = {
    "sew_resnet18, CIFAR-10": lambda: keras_tcl.sew_resnet18(),
    "sew_resnet34, ImageNet": lambda: keras_tcl.sew_resnet34(**IMAGENET),
    "sew_resnet34, twice as wide": lambda: keras_tcl.sew_resnet(
        [3, 4, 6, 3], [128, 256, 512, 1024], **IMAGENET
    ),
}
# Samples of a GPU where the network of ImageNet is trained on so many.
GPUS = {8: 256, 64: 64, 1024: 64}


def of_one_view(name, cost):
    """One network: what a view of a sample costs in training."""
    job = predicted.Job(1, dimension=0, width=BFLOAT16)
    flop = predicted.flop(cost, job)
    kept = [
        predicted.activation_bytes(cost, job._replace(remat=by)) / 1e6
        for by in (None, "stage", "block")
    ]
    moved = PASSES * cost.kept[None] * BFLOAT16
    cells = [
        name,
        f"{cost.parameters / 1e6:.1f}",
        f"{flop / 1e9:.1f}",
        *(f"{size:.1f}" for size in kept),
        f"{moved / 1e6:.0f}",
        f"{1e6 * flop / FLOPS:.0f}",
        f"{1e6 * moved / MEMORY:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def of_many(cost, devices, batch, views=2, stages=2):
    """One number of GPUs: a step, of a loss with a global contrast."""
    cost = cost._replace(features=cost.features[:stages])
    job = predicted.Job(batch, devices, views, width=BFLOAT16)
    traffic = predicted.traffic(cost, job)
    own, everyone = predicted.anchors(cost, job)
    gradients = traffic["gradients"] + traffic["statistics"]
    embeddings = traffic["gather"] + traffic["embeddings"]
    speed = WITHIN if devices <= 8 else BETWEEN
    computing = max(
        predicted.flop(cost, job) / FLOPS,
        PASSES * cost.kept[None] * batch * views * BFLOAT16 / MEMORY,
    )
    share = predicted.contrast_flop(cost, job) / predicted.flop(cost, job)
    cells = [
        devices,
        batch,
        f"{batch * devices:,}",
        f"{everyone:,}",
        f"{predicted.activation_bytes(cost, job) / 1e9:.1f}",
        f"{predicted.contrast_bytes(cost, job) / 1e9:.2f}",
        f"{100 * share:.1f}",
        f"{gradients / 1e6:.0f}",
        f"{embeddings / 1e6:.0f}",
        f"{1e3 * computing:.0f}",
        f"{1e3 * (gradients + embeddings) / speed:.1f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main():
    costs = {name: predicted.cost(make()) for name, make in NETWORKS.items()}
    print(
        "| network, T = 4 | parameters, M | GFLOP | kept, MB | remat stage | "
        "remat block | HBM, MB | FLOP, us | HBM, us |\n" + "| --- " * 9 + "|"
    )
    for name, cost in costs.items():
        print(of_one_view(name, cost))
    print(
        "\n| GPUs | samples each | batch | embeddings | activations, GB | "
        "similarities, GB | of FLOP, % | gradients, MB | embeddings, MB | "
        "computing, ms | sending, ms |\n" + "| --- " * 11 + "|"
    )
    for devices, batch in GPUS.items():
        print(of_many(costs["sew_resnet34, ImageNet"], devices, batch))
    print("\nsew_resnet18, 32x32, batch 16, float32:")
    for timesteps, remat in (
        (4, None),
        (8, None),
        (16, None),
        (16, "stage"),
        (16, "block"),
    ):
        cost = predicted.cost(keras_tcl.sew_resnet18(timesteps=timesteps))
        size = predicted.activation_bytes(cost, predicted.Job(16, remat=remat))
        print(f"T = {timesteps}, remat {remat}: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
