"""What a backend says of a step: operations, memory, collectives.

Run by `benchmarks.scaling` in processes of its own, in each of which the
number of devices is fixed, with a JSON list of settings.
"""

import contextlib
import json
import os
import sys

import keras
import numpy as np

import keras_tcl
from benchmarks.scaling import hlo
from benchmarks.scaling import model as predicted
from tests.distribution import training

BACKEND = keras.config.backend()


def built(settings):
    """The network and the training that are measured."""
    keras.utils.set_random_seed(0)
    model = getattr(keras_tcl, settings["family"])(
        *settings["stages"],
        input_shape=settings["input_shape"],
        classes=10,
        timesteps=settings["timesteps"],
        augmenter=None
        if settings["loss"] != "STCL"
        else training.second_flipped,
        projection_dimension=settings["dimension"],
        synchronized=True,
    )
    model.compile(
        keras.optimizers.SGD(1e-3, momentum=0.9),
        getattr(keras_tcl.losses, settings["loss"])(),
        remat=settings["remat"],
    )
    return model


def job_of(model, settings):
    """The same in words of the cost model."""
    return predicted.Job(
        settings["batch"],
        settings["devices"],
        model.loss.views,
        settings["dimension"] if model.loss.needs_embeddings else 0,
        settings["remat"],
    )


def samples(settings):
    size = settings["batch"] * settings["devices"]
    x = np.random.default_rng(0).integers(
        0, 256, (size, *settings["input_shape"]), "uint8"
    )
    return x, np.arange(size) % 10


# --- JAX: what XLA has compiled for each device -------------------------------


def counted_by_xla(model, x, y):
    """Counts of one device's program. No step is run."""
    from benchmarks.memory import compiled_by_xla
    from keras_tcl.kernels import jax_convolution

    # The kernel gradient made for CPUs is a loop, of which XLA counts one
    # round; and it multiplies what is padded. As on a GPU, it is a convolution.
    jax_convolution.is_suited = lambda: False
    compiled = compiled_by_xla(model, x, y)
    plan, text = compiled.memory_analysis(), compiled.as_text()
    return {
        "flop": compiled.cost_analysis()["flops"],
        "products": hlo.products(text),
        "peak": plan.temp_size_in_bytes,
        "arguments": plan.argument_size_in_bytes,
        "collectives": hlo.collectives(text),
    }


# --- PyTorch: what a step has done --------------------------------------------


def counted_by_torch(model, x, y):
    """Counts of one step of this process."""
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.memory import allocated_by_torch

    size = len(x)

    def fit():
        model.fit(x, y, batch_size=size, verbose=0, shuffle=False)

    fit()
    with sent_by_torch() as sent:
        fit()
    counter = FlopCounterMode(display=False)
    with counter:
        fit()
    flop = counter.get_total_flops()
    return {
        "flop": flop,
        "products": flop,
        "peak": int(allocated_by_torch(model, x, y)),
        "collectives": sent,
    }


@contextlib.contextmanager
def sent_by_torch():
    """Count what this process gives to the collectives of `torch.distributed`.

    Numbers of floats: integers and objects are facts that processes agree on.
    """
    import torch.distributed as dist

    found = {}
    originals = dist.all_reduce, dist.all_gather

    def count(name, tensor):
        kind = name if tensor.is_floating_point() else f"{name} of integers"
        calls, size = found.get(kind, (0, 0))
        found[kind] = (calls + 1, size + tensor.numel() * tensor.element_size())

    def all_reduce(tensor, *args, **kwargs):
        count("all-reduce", tensor)
        return originals[0](tensor, *args, **kwargs)

    def all_gather(tensors, tensor, *args, **kwargs):
        count("all-gather", tensor)
        return originals[1](tensors, tensor, *args, **kwargs)

    dist.all_reduce, dist.all_gather = all_reduce, all_gather
    try:
        yield found
    finally:
        dist.all_reduce, dist.all_gather = originals


def measured(settings):
    """What one training is predicted to take, and takes."""
    model = built(settings)
    x, y = samples(settings)
    cost, job = predicted.cost(model), job_of(model, settings)
    if BACKEND == "jax":
        found = counted_by_xla(model, x, y)
    else:
        found = counted_by_torch(model, x, y)
    return {
        **settings,
        "backend": BACKEND,
        "predicted": {
            "flop": predicted.flop(cost, job, inside=BACKEND == "jax"),
            "contrast_flop": predicted.contrast_flop(cost, job),
            "activations": predicted.activation_bytes(cost, job),
            "similarities": predicted.contrast_bytes(cost, job),
            "payloads": predicted.payloads(cost, job),
        },
        "measured": found,
    }


def main():
    jobs = json.loads(sys.argv[1])
    if jobs[0]["devices"] > 1 and BACKEND != "torch":
        training.show_devices(jobs[0]["devices"])
    if jobs[0]["sharded"]:
        training.share_kernels(jobs[0]["devices"])
    process = keras_tcl.distribution.data_parallel()
    for settings in jobs:
        found = measured(settings)
        if process.is_first:
            print(json.dumps(found), flush=True)
    if BACKEND == "torch":
        # A process that waits for none, as each has done its last step.
        os._exit(0)


if __name__ == "__main__":
    main()
