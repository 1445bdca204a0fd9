"""One training of five steps, on as many devices as the environment says.

`python -m tests.distribution.training '{"loss": "STCL", ...}'` writes weights
and results as JSON and NumPy's arrays.
"""

import json
import os
import signal
import sys

SETTINGS = {
    "output": None,  # Path of the `.npz` file, `{index}` in it the process.
    "loss": "STCL",  # Or one that has been made.
    "views": None,  # Those that the loss asks for; or a number.
    "family": "sew",
    "widths": None,  # Channels of each stage.
    "events": False,
    "synchronized": True,
    "virtual": 1,  # Devices of each process, on JAX and TensorFlow.
    # Whether JAX's devices share the kernels: "before" `data_parallel()` is
    # called, or "after".
    "sharded": None,
    "size": 40,  # Samples.
    "batch_size": 8,
    "epochs": 1,
    "shuffle": False,
    "optimizer": "sgd",
    "arrays": False,  # Whether `fit` is given arrays.
    "own_data": False,  # Whether it is given a data set of one's own.
    "micro_batch_size": None,
    "frozen": False,  # Whether statistics are.
    "all_frozen": False,  # Whether all weights but the classifier's are.
    "threshold": 1.0,
    "whole": None,  # What needs all of the data: "calibrate" or "report".
    "monitor": False,  # Whether a callback measures at every latency.
    "evaluate": False,  # Whether one evaluates arrays at the end of an epoch.
    "fault": None,
    "of": 1,  # The process that has the fault.
    "after": 0,  # Epochs before a death.
    "backup": None,  # Folder of a `BackupAndResume`.
    "crops": False,  # Whether views are cropped at random.
}


def main(**given):
    settings = {**SETTINGS, **given}
    if settings["virtual"] > 1:
        show_devices(settings["virtual"])
    import keras
    import numpy as np

    import keras_tcl

    if settings["sharded"] == "before":
        share_kernels(settings["virtual"])
    process = keras_tcl.distribution.data_parallel()
    if settings["sharded"] == "after":
        share_kernels(settings["virtual"] * process.count)
    model = built(settings)
    x, y = samples(settings)
    if settings["fault"]:
        x, y = spoilt(settings["fault"], process, x, y, settings)
    options = {"verbose": 0, "epochs": settings["epochs"]}
    if settings["fault"] == "broken_off":
        break_off(model, batches(x, y, settings, process), settings)
        model = built(settings)
    if settings["fault"] == "death" and process.index == settings["of"]:
        kill = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: (
                batch == 2
                and len(model.history.epoch) == settings["after"]
                and os.kill(os.getpid(), signal.SIGKILL)
            )
        )
        options["callbacks"] = [kill]
    if settings["backup"]:
        backup = keras_tcl.callbacks.BackupAndResume(
            settings["backup"], "epoch" if settings["own_data"] else 1
        )
        options.setdefault("callbacks", []).append(backup)
    if settings["whole"] == "calibrate":
        model.calibrate(batches(x, y, settings, process))
    if settings["whole"] == "report":
        keras_tcl.analysis.report(model, batches(x, y, settings, process))
    if settings["monitor"]:
        monitor = keras_tcl.analysis.LatencyMonitor(
            batches(x, y, settings, process)
        )
        options.setdefault("callbacks", []).append(monitor)
    if settings["evaluate"]:
        evaluation = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: logs.update(
                own=model.evaluate(x, y, 8, verbose=0)[0]
            )
        )
        options.setdefault("callbacks", []).append(evaluation)
    if settings["arrays"]:
        data = {"x": x, "y": y, "batch_size": settings["batch_size"]}
        made = keras.callbacks.CallbackList([], add_history=True, model=model)
        options["callbacks"] = made
        history = model.fit(**data, shuffle=False, **options)
    else:
        data = {"x": batches(x, y, settings, process)}
        begun = []
        count = keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs: begun.append(batch)
        )
        options.setdefault("callbacks", []).append(count)
        history = model.fit(data["x"], **options)
        if settings["fault"] == "broken_off":
            assert 0 < len(begun) < len(data["x"]), "It did not resume."
    results = model.evaluate(**data, return_dict=True, verbose=0)
    weights = [keras.ops.convert_to_numpy(w) for w in model.weights]
    names = [w.path for w in model.weights]
    if settings["output"]:
        np.savez(
            settings["output"].format(index=process.index),
            results=json.dumps([history.history, results]),
            timesteps=model.evaluate_timesteps(
                batches(x, y, settings, process)
            ),
            predicted=model.predict(
                batches(x, y, settings, process), verbose=0
            ),
            names=json.dumps(names),
            **{f"w{i}": w for i, w in enumerate(weights)},
        )
    print("results", process.index, results)


def break_off(model, data, settings):
    """Train until the third batch of the second epoch."""
    import keras

    import keras_tcl

    def stop(batch, logs):
        if batch == 2 and len(model.history.epoch) == 1:
            raise KeyboardInterrupt

    stopper = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    backup = keras_tcl.callbacks.BackupAndResume(settings["backup"], 1)
    try:
        model.fit(data, epochs=2, verbose=0, callbacks=[backup, stopper])
    except KeyboardInterrupt:
        return
    raise RuntimeError("It came to its end.")


def show_devices(count):
    """Have JAX or TensorFlow show so many CPUs."""
    if os.environ["KERAS_BACKEND"] == "jax":
        import jax

        jax.config.update("jax_num_cpu_devices", count)
        return
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * count)


def share_kernels(count):
    """Half of the devices have half of each kernel's output channels."""
    from keras import distribution

    mesh = distribution.DeviceMesh((count // 2, 2), ["batch", "model"])
    layouts = distribution.LayoutMap(mesh)
    layouts[".*conv.*kernel"] = (None, None, None, "model")
    layouts[".*classifier.*kernel"] = (None, "model")
    distribution.set_distribution(
        distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    )


def built(settings):
    import keras

    import keras_tcl

    keras.utils.set_random_seed(0)
    shape = (3, 8, 8, 2) if settings["events"] else (8, 8, 1)
    loss = loss_of(settings)
    options = {
        "input_shape": shape,
        "classes": 4,
        "timesteps": 2,
        "augmenter": augmenter(settings),
        "synchronized": settings["synchronized"],
        "neuron": keras_tcl.layers.LIF(threshold=settings["threshold"]),
    }
    if settings["family"] == "sew":
        widths = settings["widths"] or [8]
        model = keras_tcl.sew_resnet([1] * len(widths), widths, **options)
    else:
        widths = settings["widths"] or [8, 8]
        model = keras_tcl.spiking_vgg([[width] for width in widths], **options)
    of_weights = keras.regularizers.L2(1e-3)
    for layer in model.network._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.kernel_regularizer = of_weights
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = not settings["frozen"]
    if settings["all_frozen"]:
        for layer in model.network.layers:
            layer.trainable = layer.name == "classifier"
    optimizers = {
        "sgd": keras.optimizers.SGD(0.01, momentum=0.9),
        "clipped": keras.optimizers.SGD(0.01, global_clipnorm=0.1),
        "adam": keras.optimizers.Adam(1e-3, gradient_accumulation_steps=2),
    }
    model.compile(
        optimizers[settings["optimizer"]],
        loss=loss,
        metrics=["accuracy"],
        jit_compile=keras.config.backend() == "jax",
        micro_batch_size=settings["micro_batch_size"],
    )
    return model


def loss_of(settings):
    from keras_tcl import losses

    loss = settings["loss"]
    if isinstance(loss, str) and hasattr(losses, loss):
        loss = getattr(losses, loss)()
    if settings["views"] and isinstance(loss, losses.TemporalLoss):
        loss.views = settings["views"]
    return loss


def augmenter(settings):
    import keras_tcl

    if settings["crops"]:
        return keras_tcl.augmentation.RandomCrop(1)
    # Which sample is flipped would depend on the share it lies in.
    return second_flipped if settings["views"] != 1 else None


def second_flipped(x, training=True):
    """A second view that needs no random number."""
    from keras import ops

    number = ops.reshape(ops.arange(ops.shape(x)[0]), [-1] + [1] * (x.ndim - 1))
    return ops.where(number % 2 == 0, x, ops.flip(x, -2))


def samples(settings):
    import numpy as np

    generator = np.random.default_rng(0)
    size = settings["size"]
    shape = (3, 8, 8, 2) if settings["events"] else (8, 8, 1)
    y = np.arange(size) % 4
    x = generator.integers(0, 4 if settings["events"] else 256, (size, *shape))
    if not settings["events"]:
        return x.astype("uint8"), y
    return x.astype("float32"), y


def batches(x, y, settings, process):
    from keras_tcl.data import Batches, DataInfo
    from keras_tcl.data.sources import ArraySource

    if settings["own_data"]:
        return own_part(x, y, settings["batch_size"], process)
    source = ArraySource(DataInfo("tiny", 4, x.shape[1:]), x, y)
    return Batches(
        source,
        settings["batch_size"],
        shuffle=settings["shuffle"],
        seed=0,
        shard=process,
    )


def own_part(x, y, batch_size, process):
    """A data set of Keras' kind, of one process's samples."""
    import keras

    class OwnPart(keras.utils.PyDataset):
        def __len__(self):
            return len(x) // batch_size

        def __getitem__(self, number):
            first = number * batch_size + process.index
            part = slice(first, (number + 1) * batch_size, process.count)
            return x[part], y[part]

    return OwnPart()


def spoilt(fault, process, x, y, settings):
    """Data or a death of process 1 that the others must be told of."""
    x = x.astype("float32") if fault == "nan" else x.copy()
    if process.index != 1:
        return x, y
    if fault == "nan":
        x[-1] = float("nan")
    elif fault == "data":
        y = y[::-1].copy()
    elif fault == "batch_size":
        settings["batch_size"] *= 2
    return x, y


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
