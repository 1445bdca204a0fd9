"""Rows on callbacks, optimizers, precision and loops of one's own."""

import keras
import numpy as np
from keras import ops

from benchmarks.keras_features.support import (
    BACKEND,
    Limit,
    close,
    compiled,
    fitted,
    gradients,
    images,
    moved,
    needs,
    network,
    refusal,
    row,
    values,
)
from keras_tcl import graph
from keras_tcl.layers import Neuron
from keras_tcl.losses import TCL, MeanCrossEntropy


def fit(model, *callbacks, epochs=3, **kwargs):
    x, y = images()
    return model.fit(
        x,
        y,
        batch_size=4,
        epochs=epochs,
        validation_data=(x, y),
        callbacks=list(callbacks),
        verbose=0,
        **kwargs,
    ).history


@row("`ModelCheckpoint`: best only, weights only", "right")
def _(folder):
    model, path = compiled(), folder / "best.keras"
    only = folder / "last.weights.h5"
    history = fit(
        model,
        keras.callbacks.ModelCheckpoint(path, save_best_only=True),
        keras.callbacks.ModelCheckpoint(only, save_weights_only=True),
    )
    # In batches as in `fit`: the contrastive term compares within a batch.
    best = keras.models.load_model(path)
    loss = best.evaluate(*images(), batch_size=4, verbose=0)[0]
    close(loss, min(history["val_loss"]), 1e-4)
    other = compiled()
    other.load_weights(only)
    x, _ = images()
    last = close(other.predict(x, verbose=0), model.predict(x, verbose=0))
    return f"the file evaluates to the best `val_loss`; weights {last}"


@row("`BackupAndRestore`: an exception at epoch 2, a new model", "right")
def _(folder):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def begin():
        keras.utils.set_random_seed(0)
        return compiled(augmenter=None)

    whole = fit(begin(), shuffle=False)["loss"]
    backup = keras.callbacks.BackupAndRestore(folder / "backup")
    try:
        fit(begin(), backup, Stop(), shuffle=False)
    except KeyboardInterrupt:
        pass
    backup = keras.callbacks.BackupAndRestore(folder / "backup")
    rest = fit(begin(), backup, shuffle=False)["loss"]
    return f"losses {close(rest, whole[-len(rest) :])} to an unbroken run"


@row("`EarlyStopping(restore_best_weights=True)`", "right")
def _(folder):
    model = compiled(optimizer=keras.optimizers.SGD(0.5))
    stopping = keras.callbacks.EarlyStopping(
        patience=1, restore_best_weights=True
    )
    history = fit(model, stopping, epochs=4)
    loss = model.evaluate(*images(), batch_size=4, verbose=0)[0]
    return f"best `val_loss` {close(loss, min(history['val_loss']), 1e-4)}"


@row("learning rate callbacks, `CSVLogger`", "right")
def _(folder):
    model = compiled()
    fit(
        model,
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / 2**epoch),
        keras.callbacks.ReduceLROnPlateau(patience=9),
        keras.callbacks.CSVLogger(folder / "log.csv"),
    )
    lines = (folder / "log.csv").read_text().splitlines()
    assert len(lines) == 4 and "val_contrastive_loss" in lines[0]
    return f"rate {close(float(model.optimizer.learning_rate), 0.025)}"


@row("`TensorBoard`", "right")
def _(folder):
    needs("tensorboard")
    fit(compiled(), keras.callbacks.TensorBoard(folder, histogram_freq=1))
    assert any(folder.rglob("events*"))
    return "files are written"


@row("`TerminateOnNaN`", "right on PyTorch")
def _(folder):
    model = compiled()
    kernel = graph.layers(model.network, keras.layers.Dense)[0].kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    history = fit(model, keras.callbacks.TerminateOnNaN())
    assert len(history["loss"]) == 1, history
    return "stops in the first epoch"


@row("`SwapEMAWeights`", "right")
def _(folder):
    optimizer = keras.optimizers.SGD(0.1, use_ema=True)
    model = compiled(optimizer=optimizer)
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    history = fit(model, swap)
    assert np.isfinite(history["val_loss"]).all()
    return "finite"


@row("a callback that predicts and sets weights", "right")
def _(folder):
    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen = self.model.predict(images()[0], verbose=0)
            self.model.set_weights(self.model.get_weights())

    look, model = Look(), compiled()
    fit(model, look, epochs=2)
    return f"logits {close(look.seen, model.predict(images()[0], verbose=0))}"


@row("gradient accumulation, `LossScaleOptimizer`", "right")
def _(folder):
    for optimizer in (
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
        keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.1), initial_scale=8.0
        ),
    ):
        model = compiled(optimizer=optimizer)
        before = values(model.trainable_variables)
        fit(model, epochs=1)
        assert moved(model.trainable_variables, before), optimizer
    return "weights moved"


@row("clipping, EMA, exclusions, schedules, several optimizers", "right")
def _(folder):
    kinds = keras.optimizers
    adamw = kinds.AdamW(1e-3)
    adamw.exclude_from_weight_decay(var_names=["gamma", "beta"])
    schedule = kinds.schedules.CosineDecay(0.1, 10)
    for optimizer in (
        kinds.SGD(0.1, clipnorm=1.0),
        kinds.SGD(schedule, global_clipnorm=1.0, use_ema=True),
        kinds.Adam(clipvalue=0.1),
        adamw,
        kinds.Lion(),
        kinds.Muon(),
    ):
        model = compiled(MeanCrossEntropy(), optimizer=optimizer)
        loss = model.train_on_batch(*images())[0]
        assert np.isfinite(loss), optimizer
    return "finite"


@row("global `mixed_bfloat16`, `mixed_float16`, `bfloat16`", "right")
def _(folder):
    for policy in ("mixed_bfloat16", "mixed_float16", "bfloat16"):
        keras.config.set_dtype_policy(policy)
        model = fitted(loss=TCL(weight=0.1))
        x, _ = images()
        assert model.predict(x, verbose=0).dtype == "float32"
    return "finite, logits float32"


@row("global `float64`", "FAIL on PyTorch")
def _(folder):
    keras.config.set_dtype_policy("float64")
    model = fitted()
    if BACKEND == "jax":
        raise Limit("JAX computes in float32 unless `jax_enable_x64` is set")
    assert model.compute_dtype == "float64"
    return "finite"


@row("`dtype=` of a network", "WRONG", quick=True)
def _(folder):
    model = network(dtype="mixed_bfloat16")
    kinds = (Neuron, keras.layers.Conv2D)
    layers = graph.layers(model.network)
    inner = [getattr(layer, "layer", layer) for layer in layers]
    found = {x.compute_dtype for x in inner if isinstance(x, kinds)}
    assert found == {"bfloat16"}, found
    return "reaches every layer of neurons and every convolution"


@row("`dtype=` of a network drawn before", "WRONG", quick=True)
def _(folder):
    from keras_tcl import TCLModel, sew_resnet

    plain = sew_resnet.network([1], [4], (8, 8, 3))
    return refusal(lambda: TCLModel(plain, dtype="mixed_bfloat16"), "set_dtype")


@row("`run_eagerly=True`, `jit_compile=False`", "right")
def _(folder):
    found = []
    for kwargs in ({"run_eagerly": True}, {"jit_compile": False}):
        keras.utils.set_random_seed(0)
        model = network(augmenter=None)
        model.compile(keras.optimizers.SGD(0.1), TCL(), **kwargs)
        found.append(model.train_on_batch(*images()))
    return f"losses {close(found[0], found[1])}"


@row("`jit_compile=True`", "FAIL on PyTorch")
def _(folder):
    if BACKEND == "torch":
        raise Limit(
            "`torch.compile` of a training step takes minutes for any network "
            "of this depth; the default on PyTorch is not to compile"
        )
    model = network()
    model.compile("sgd", TCL(), jit_compile=True)
    assert np.isfinite(model.fit(*images(), verbose=0).history["loss"]).all()
    return "finite"


@row("`compile(remat=...)`, T changed after loading", "right on PyTorch")
def _(folder):
    found = []
    for remat in (None, "block"):
        keras.utils.set_random_seed(0)
        model = network(augmenter=None)
        model.compile(keras.optimizers.SGD(0.1), TCL(), remat=remat)
        found.append(model.train_on_batch(*images()))
    said = close(found[0], found[1])
    model.save(folder / "model.keras")
    model = keras.models.load_model(folder / "model.keras")
    steps = model.predict_timesteps(images()[0])
    model.timesteps = 1
    close(model.predict(images()[0], verbose=0), steps[:, 0])
    return f"losses {said}"


@row("equal seeds, equal losses; a batch of 1 as of 8", "right")
def _(folder):
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        found.append(compiled().fit(*images(), verbose=0).history["loss"])
    x, _ = images()
    model = network()
    ones = model.predict(x, batch_size=1, verbose=0)
    close(ones, model.predict(x, batch_size=8, verbose=0))
    return f"losses {close(found[0], found[1], 0.0)}"


def counted(training):
    model, (x, y) = network(augmenter=None), images()
    model.compile(loss="sparse_categorical_crossentropy")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    x, y = ops.convert_to_tensor(x), ops.convert_to_tensor(y)

    def function():
        logits = model(x, **training)
        if isinstance(logits, dict):
            logits = ops.mean(logits["logits"], axis=(1, 2))
        return loss(y, logits)

    found = gradients(function, model.trainable_variables)
    good = [g is not None and bool(ops.any(g != 0)) for g in found]
    assert all(good), f"{len(good) - sum(good)} of {len(good)} are None or 0"
    return f"{len(good)} of {len(good)} gradients are not 0"


@row("a loop of one's own, `model(x, training=True)`", "right")
def _(folder):
    return counted({"training": True})


@row("a loop of one's own, `model(x)`", "WRONG", quick=True)
def _(folder):
    return counted({})


@row("`ops.vectorized_map` over the model", "right, FAIL on PyTorch")
def _(folder):
    model, (x, _) = network(), images()
    x = ops.convert_to_tensor(x.astype("float32"))

    def one(image):
        return model(image[None], training=False)[0]

    if BACKEND == "torch":
        try:
            mapped = ops.vectorized_map(one, x)
        except RuntimeError as error:
            raise Limit(
                "`torch.vmap` maps no kernels with a gradient of their own: "
                "give the model the batch"
            ) from error
    else:
        mapped = ops.vectorized_map(one, x)
    return close(ops.convert_to_numpy(mapped), model.predict(x, verbose=0))


@row("`keras.distribution.DataParallel`", "right on JAX")
def _(folder):
    if BACKEND != "jax":
        raise Limit("`keras.distribution` is for JAX in Keras 3.15")
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        fitted()
    finally:
        keras.distribution.set_distribution(None)
    return "finite, on one device"


@row("KerasTuner", "right")
def _(folder):
    needs("keras_tuner")
    import keras_tuner

    def build(choice):
        return compiled(timesteps=choice.Int("timesteps", 1, 2))

    tuner = keras_tuner.RandomSearch(
        build, "val_accuracy", max_trials=2, directory=folder
    )
    x, y = images()
    tuner.search(x, y, validation_data=(x, y), verbose=0)
    return f"best T {tuner.get_best_hyperparameters()[0]['timesteps']}"
