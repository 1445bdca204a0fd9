"""What a model does on two replicas of TensorFlow, beside `fit`; as JSON."""

import json

import keras
import numpy as np
import tensorflow as tf

import keras_tcl
from tests.distribution import training

training.show_devices(2)
found = {}
process = keras_tcl.distribution.data_parallel()
assert tf.distribute.get_strategy().num_replicas_in_sync == 2
model = training.built({**training.SETTINGS, "family": "sew"})
x, y = training.samples({**training.SETTINGS, "size": 16})

for method in (model.train_on_batch, model.test_on_batch):
    try:
        method(x, y)
    except ValueError as error:
        found[method.__name__] = str(error)

TCL = keras_tcl.losses.TCL
ignoring = keras.losses.SparseCategoricalCrossentropy(
    from_logits=True, ignore_class=0
)
accumulating = keras.optimizers.SGD(gradient_accumulation_steps=2)
for name, optimizer, loss in (
    ("accumulation", accumulating, TCL()),
    ("reduction", keras.optimizers.SGD(), TCL(reduction="sum")),
    ("ignored", keras.optimizers.SGD(), ignoring),
):
    try:
        model.compile(optimizer, loss)
    except ValueError as error:
        found[name] = str(error)

model = training.built({**training.SETTINGS, "family": "sew"})
found["predicted"] = [
    keras.ops.convert_to_numpy(y).tolist()
    for y in (model.predict_on_batch(x), model.predict(x, verbose=0))
]
outputs = []


@keras.saving.register_keras_serializable(package="tests")
class Crop(keras_tcl.augmentation.RandomCrop):
    def call(self, images, training=None):
        views = super().call(images, training=training)
        tf.py_function(lambda x: outputs.append(x.numpy()), [views], [])
        return views


model.augmenter = Crop(2)
alike = np.repeat(x[:1], 16, axis=0)
(seed,) = model.augmenter.variables
start = keras.ops.convert_to_numpy(seed)
# As a callback that resumes puts it back.
puts_back = keras.callbacks.LambdaCallback(
    on_train_batch_begin=lambda batch, logs: seed.assign(start)
)
model.fit(alike, y, batch_size=16, verbose=0, callbacks=[puts_back])
found["shapes"] = [list(view.shape) for view in outputs]
found["augmented_alike"] = bool(np.array_equal(*outputs))

bad = x.astype("float32")
bad[-1] = np.nan
try:
    model.fit(tf.data.Dataset.from_tensor_slices((bad, y)).batch(16), verbose=0)
except ValueError as error:
    found["nan"] = str(error)

model.calibrate(x)
found["calibrated"] = [
    w.numpy().tolist() for w in model.network.weights if "moving" in w.path
]
# Half precision: the gradient of the second replica alone overflows.
keras.config.set_dtype_policy("mixed_float16")
half = training.built({**training.SETTINGS, "loss": "TET", "views": 1})
weights = np.ones(16, "float32")
weights[-1] = 1e30
before = [keras.ops.convert_to_numpy(w) for w in half.trainable_weights]
half.fit(x, y, 16, sample_weight=weights, shuffle=False, verbose=0)
found["overflow"] = [
    bool(np.array_equal(old, keras.ops.convert_to_numpy(new)))
    for old, new in zip(before, half.trainable_weights, strict=True)
]
found["scale"] = float(keras.ops.convert_to_numpy(half.optimizer.dynamic_scale))
keras.config.set_dtype_policy("float32")

model.network.save_weights("weights.weights.h5")
print(json.dumps(found))
