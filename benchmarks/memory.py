"""What a training step of SEW-ResNet-18 allocates, with and without remat.

    KERAS_BACKEND=jax python benchmarks/memory.py
    KERAS_BACKEND=torch python benchmarks/memory.py

32x32 images, float32, mean cross entropy. Counts tensors alone, which is what
fills a GPU: on JAX the buffers XLA plans for one step (no step is run), on
PyTorch the peak of the allocations of a step. Not counted are weights and
momenta (90 MB), the compiler, and the C library's free lists, which on a CPU
make the resident set grow further than this (`benchmarks/speed` measures it).
TensorFlow's XLA gives no account of its buffers on a CPU.
"""

import argparse

import keras
import numpy as np

import keras_tcl
from keras_tcl.losses import MeanCrossEntropy

CASES = [(4, None), (8, None), (16, None), (16, "stage"), (16, "block")]


def compiled_model(timesteps, remat):
    model = keras_tcl.sew_resnet18(timesteps=timesteps, augmenter=None)
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.9)
    model.compile(optimizer, MeanCrossEntropy(), remat=remat)
    return model


def planned_by_xla(model, x, y):
    import jax

    model._symbolic_build(data_batch=(x, y))
    model.optimizer.build(model.trainable_variables)
    state = model._get_jax_state(
        trainable_variables=True,
        non_trainable_variables=True,
        optimizer_variables=True,
        metrics_variables=True,
    )
    step = jax.jit(model.train_step, donate_argnums=0)
    plan = step.lower(tuple(state), (x, y)).compile().memory_analysis()
    return plan.temp_size_in_bytes


def allocated_by_torch(model, x, y):
    from torch._C._profiler import _EventType
    from torch.profiler import ProfilerActivity, profile

    def fit():
        model.fit(x, y, batch_size=len(x), verbose=0)

    fit()  # Makes what stays: the momenta.
    with profile(
        activities=[ProfilerActivity.CPU], profile_memory=True
    ) as profiler:
        fit()
    tree = profiler.profiler.kineto_results.experimental_event_tree()
    changes, events = [], list(tree)
    while events:
        event = events.pop()
        events.extend(event.children)
        if event.tag == _EventType.Allocation:
            size = event.extra_fields.alloc_size  # Negative when freed.
            changes.append((event.start_time_ns, size))
    return np.cumsum([size for _, size in sorted(changes)]).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    batch = parser.parse_args().batch
    backend = keras.config.backend()
    measure = {"jax": planned_by_xla, "torch": allocated_by_torch}[backend]
    x = np.zeros((batch, 32, 32, 3), "float32")
    y = np.zeros(batch, "int32")
    for timesteps, remat in CASES:
        size = measure(compiled_model(timesteps, remat), x, y)
        print(
            f"{backend}, batch {batch}, T = {timesteps}, remat = {remat}: "
            f"{size / 1e6:.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
