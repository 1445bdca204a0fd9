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


def compiled_by_xla(model, *data):
    """The training step that XLA has compiled. It is not run."""
    import jax
    from keras.src.backend.jax import trainer

    model._symbolic_build(data_batch=data)
    model.optimizer.build(model.trainable_variables)
    state = model._get_jax_state(
        trainable_variables=True,
        non_trainable_variables=True,
        optimizer_variables=True,
        metrics_variables=True,
    )
    if keras.distribution.distribution() is not None:
        data = trainer._distribute_data(data)
    step = jax.jit(model.train_step, donate_argnums=0)
    return step.lower(tuple(state), data).compile()


def planned_by_xla(model, x, y):
    plan = compiled_by_xla(model, x, y).memory_analysis()
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
