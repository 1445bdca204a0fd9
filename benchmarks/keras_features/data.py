"""Rows on data, losses and metrics."""

import warnings

import keras
import numpy as np
from keras import ops

import keras_tcl
from benchmarks.keras_features.support import (
    BACKEND,
    CLASSES,
    Data,
    Limit,
    close,
    compiled,
    images,
    moved,
    needs,
    network,
    refusal,
    row,
    values,
)
from keras_tcl import graph
from keras_tcl.losses import STCL, TCL, MeanCrossEntropy

# --- Data --------------------------------------------------------------------


@row("`compile(loss=STCL())`, then `fit` with the default optimizer", "right")
def _(folder):
    model = network()
    model.compile(loss=STCL())
    before = values(model.trainable_variables)
    model.fit(*images(), verbose=0)
    count = moved(model.trainable_variables, before)
    assert count == len(before), f"{count} of {len(before)} weights moved"
    return f"{count} of {count} weights moved"


@row("`fit`: arrays, `PyDataset` with workers, generator", "right")
def _(folder):
    x, y = images()
    model = compiled(augmenter=None, optimizer=keras.optimizers.SGD(0.0))
    settings = {"shuffle": False, "verbose": 0}
    a = model.fit(x, y, batch_size=4, **settings).history["loss"]
    data = Data(x, y, workers=2, use_multiprocessing=False)
    b = model.fit(data, **settings).history["loss"]
    batches = (Data(x, y)[i % 2] for i in range(10))
    c = model.fit(batches, steps_per_epoch=2, verbose=0).history["loss"]
    close(b, a)
    return f"losses {close(c, a)}"


@row("`fit`: `tf.data`", "right")
def _(folder):
    needs("tensorflow")
    import tensorflow as tf

    x, y = images()
    model = compiled(augmenter=None, optimizer=keras.optimizers.SGD(0.0))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    a = model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history
    b = model.fit(data, verbose=0).history
    return f"loss {close(b['loss'], a['loss'])}"


@row("`fit`: PyTorch `DataLoader`", "right")
def _(folder):
    needs("torch")
    import torch

    x, y = images()
    model = compiled(augmenter=None, optimizer=keras.optimizers.SGD(0.0))
    pairs = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
    data = torch.utils.data.DataLoader(pairs, batch_size=4)
    a = model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history
    b = model.fit(data, shuffle=False, verbose=0).history
    return f"loss {close(b['loss'], a['loss'])}"


@row("`fit`: tensors of the backend", "right", quick=True)
def _(folder):
    x, y = images()
    model = compiled()
    tensors = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
    loss = model.evaluate(*tensors, verbose=0)[0]
    return f"loss {close(loss, model.evaluate(x, y, verbose=0)[0])}"


@row('a dictionary of inputs, `{"inputs": x}`', "FAIL", quick=True)
def _(folder):
    x, y = images()
    model = compiled(MeanCrossEntropy())
    model.fit({"inputs": x}, y, verbose=0)
    named = model.predict({"inputs": x}, verbose=0)
    return f"logits {close(named, model.predict(x, verbose=0))}"


@row("float images in [0, 1], arrays", "right", quick=True)
def _(folder):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        network().predict(images()[0] / 255.0, verbose=0)
    said = [str(w.message) for w in caught if "value_range" in str(w.message)]
    assert said, "no warning"
    return "warned, naming `value_range`"


@row("float images in [0, 1], a data set", "WRONG")
def _(folder):
    x, y = images()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compiled().fit(Data((x / 255.0).astype("float32"), y), verbose=0)
    said = [str(w.message) for w in caught if "value_range" in str(w.message)]
    assert said, "trained on black images without a word"
    return "warned, naming `value_range`"


@row("NaN pixels in a data set", "right")
def _(folder):
    x, y = images()
    x = x.astype("float32")
    x[5] = np.nan
    call = lambda: compiled().fit(Data(x, y), verbose=0)  # noqa: E731
    return refusal(call, "NaN", "still good")


@row("`class_weight`", "right")
def _(folder):
    weights = dict.fromkeys(range(CLASSES), 0.0)
    for y in (images()[1], np.eye(CLASSES)[images()[1]]):
        model = compiled()
        history = model.fit(
            images()[0], y, class_weight=weights, verbose=0
        ).history
        close(history["loss"], [0.0])
    return "weights of 0: a loss of 0, for ids and one-hot labels"


@row("`sample_weight`", "right")
def _(folder):
    model, (x, y) = compiled(), images()
    zeros = np.zeros(len(y))
    a = model.fit(x, y, sample_weight=zeros, verbose=0).history["loss"]
    b = model.evaluate(x, y, sample_weight=zeros, verbose=0)[0]
    close([*a, b], [0.0, 0.0])
    return "weights of 0: a loss of 0, in `evaluate` too"


@row("`validation_split`, `validation_data` with weights", "right")
def _(folder):
    model, (x, y) = compiled(), images()
    a = model.fit(x, y, validation_split=0.5, verbose=0).history
    data = (x, y, np.zeros(len(y)))
    b = model.fit(x, y, validation_data=data, verbose=0).history
    assert np.isfinite(a["val_loss"]).all()
    return f"weights of 0: {close(b['val_loss'], [0.0])} to 0"


@row(
    "`loss` and `val_loss` are one quantity, of one view and equal batches",
    "WRONG",
)
def _(folder):
    model, (x, y) = network(augmenter=None), images()
    model.trainable = False  # Moving statistics in both.
    model.compile(keras.optimizers.SGD(0.0), TCL())
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    return f"of frozen statistics {close(history['val_loss'], history['loss'])}"


@row("regularizers in `loss` and `val_loss`", "WRONG")
def _(folder):
    model, (x, y) = network(), images()
    plain = {}
    for strength in (0.0, 1.0):
        for layer in graph.layers(model.network, keras.layers.Dense):
            layer.kernel.regularizer = keras.regularizers.L2(strength)
            square = np.square(values([layer.kernel])[0]).sum()
        model.compile("sgd", TCL())
        plain[strength] = model.evaluate(x, y, verbose=0)
    return f"penalty {close(plain[1.0] - plain[0.0], square, 1e-3)}"


@row("`steps_per_execution=2`", "right, n/a on PyTorch")
def _(folder):
    model = network()
    if BACKEND == "torch":
        model.compile("sgd", TCL(), steps_per_execution=2)
        refusal(lambda: model.fit(*images(), verbose=0), "steps_per_execution")
        raise Limit("`steps_per_execution` must be 1 with the PyTorch backend")
    model.compile("sgd", TCL(), steps_per_execution=2)
    loss = model.fit(*images(), batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    return "finite"


# --- Losses and metrics ------------------------------------------------------


@row("`train_on_batch`, `test_on_batch` give the loss first", "WRONG")
def _(folder):
    model, (x, y) = compiled(optimizer=keras.optimizers.SGD(0.0)), images()
    logs = model.test_on_batch(x, y, return_dict=True)
    listed = [logs["loss"], logs["accuracy"]]
    close(model.test_on_batch(x, y), listed)
    close(model.evaluate(x, y, verbose=0), listed)
    loss, accuracy = model.train_on_batch(x, y)
    assert accuracy in np.arange(len(y) + 1) / len(y), (loss, accuracy)
    return "`loss, accuracy = ...`"


@row("`predict_on_batch`", "right", quick=True)
def _(folder):
    model, (x, _) = network(), images()
    return close(model.predict_on_batch(x), model.predict(x, verbose=0))


@row("metrics: accuracy, F1, top-k, one-hot labels", "right")
def _(folder):
    x, y = images()
    onehot = np.eye(CLASSES, dtype="float32")[y]
    metrics = [
        "accuracy",
        keras.metrics.F1Score(average="macro"),
        keras.metrics.TopKCategoricalAccuracy(2, name="top2"),
    ]
    model = compiled(metrics=metrics)
    logs = model.evaluate(x, onehot, verbose=0, return_dict=True)
    order = model.predict(x, verbose=0).argsort(axis=-1)[:, ::-1]
    close(logs["accuracy"], (order[:, 0] == y).mean())
    close(logs["top2"], (order[:, :2] == y[:, None]).any(axis=1).mean())
    return "accuracy and top-2 equal to NumPy"


@row("metrics: AUC of logits, own function, `weighted_metrics`", "right")
def _(folder):
    def mean_logit(y_true, y_pred):
        return ops.mean(y_pred, axis=-1)

    x, y = images()
    model = network()
    auc = keras.metrics.AUC(from_logits=True, multi_label=True, num_labels=3)
    model.compile("sgd", TCL(), metrics=[auc, mean_logit])
    onehot = np.eye(CLASSES, dtype="float32")[y]
    logs = model.evaluate(x, onehot, verbose=0, return_dict=True)
    close(logs["mean_logit"], model.predict(x, verbose=0).mean())
    model.compile("sgd", TCL(), weighted_metrics=["accuracy"])
    weight = np.zeros(len(y)) + (np.arange(len(y)) == 0)
    logs = model.evaluate(
        x, y, sample_weight=weight, verbose=0, return_dict=True
    )
    assert logs["accuracy"] in (0.0, 1.0), logs
    return "mean logit equal to NumPy"


@row("metrics of probabilities, `Precision()`", "0.0 everywhere")
def _(folder):
    raise Limit(
        "a metric sees what the loss sees, logits: `Precision(thresholds=0)`, "
        "`BinaryAccuracy(threshold=0)`, `AUC(from_logits=True)`"
    )


@row("Keras' losses of logits, in every spelling", "WRONG for functions")
def _(folder):
    x, y = images()
    model, found = network(), []
    for loss in (
        "sparse_categorical_crossentropy",
        keras.losses.sparse_categorical_crossentropy,
        keras.losses.SparseCategoricalCrossentropy,
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ):
        model.compile("sgd", loss)
        found.append(model.evaluate(x, y, verbose=0))
    logits = model.predict(x, verbose=0)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return f"cross entropy {close(found, -log_p[np.arange(len(y)), y].mean())}"


@row("losses of probabilities, in every spelling", "WRONG", quick=True)
def _(folder):
    model = network()
    for loss in (
        "kl_divergence",
        keras.losses.kl_divergence,
        [keras.losses.KLDivergence()],
        keras.losses.Poisson(),
        keras.losses.SparseCategoricalCrossentropy(),
    ):
        said = refusal(lambda loss=loss: model.compile("sgd", loss), "logits")
    return said


@row("several labels of one sample", "refused; right with BCE(from_logits)")
def _(folder):
    x, _ = images()
    y = (np.random.default_rng(0).random((len(x), CLASSES)) > 0.5) * 1.0
    y[0] = 1.0
    model = network()
    model.compile("sgd", "binary_crossentropy")
    model.fit(x, y, verbose=0)
    z = model.predict(x, verbose=0)
    close(model.evaluate(x, y, verbose=0), (np.logaddexp(0, z) - y * z).mean())
    model.compile("sgd", STCL())
    refusal(lambda: model.fit(x, y, verbose=0), "sum to 1")
    return "BCE of logits equal to NumPy; STCL is refused"


@row("one output: two classes, a number", "right with BCE, MSE; STCL refused")
def _(folder):
    x, y = images()
    y = (y > 0) * 1.0
    model = network(classes=1)
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    z = model.predict(x, verbose=0)[:, 0]
    said = close(model.evaluate(x, y, verbose=0), np.square(y - z).mean())
    model.compile("sgd", "binary_crossentropy")
    close(model.evaluate(x, y, verbose=0), (np.logaddexp(0, z) - y * z).mean())
    refusal(lambda: model.compile("sgd", STCL()), "one output")
    return f"MSE {said} to NumPy; STCL is refused"


@row("`loss_weights`", "WRONG")
def _(folder):
    model, (x, y) = network(), images()
    found = []
    for weight in (1.0, 0.5):
        loss = "sparse_categorical_crossentropy"
        model.compile("sgd", loss, loss_weights=weight)
        found.append(model.evaluate(x, y, verbose=0))
    close(found[1], 0.5 * found[0])
    call = lambda: model.compile("sgd", TCL(), loss_weights=0.5)  # noqa: E731
    return refusal(call, "`weight`")


@row("a dictionary of losses", "FAIL", quick=True)
def _(folder):
    losses = {"a": "mse", "logits": "mse"}
    return refusal(lambda: network().compile("sgd", losses), "one output")


@row("a network of several inputs", "FAIL", quick=True)
def _(folder):
    a, b = keras.Input((2, 4, 4, 1)), keras.Input((2, 4, 4, 1))
    x = keras.layers.Add()([a, b])
    logits = keras_tcl.layers.Classifier(3)(x)
    two = keras.Model([a, b], {"stage": x, "logits": logits})
    refusal(lambda: keras_tcl.TCLModel(two), "It has 2 inputs", "make one")
    return (
        "refused: `network` must be ... It has 2 inputs; of several, make one"
    )
