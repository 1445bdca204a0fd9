"""Training on several devices and hosts, with one contrast over all of them.

One script serves a laptop, several devices of one host, and several hosts, on
every backend:

```python
process = keras_tcl.distribution.data_parallel()  # Before anything is made.

info = keras_tcl.data.info("digits")
model = keras_tcl.sew_resnet8(**info.network_arguments(), synchronized=True)
model.compile("sgd", loss=keras_tcl.losses.TCL(), metrics=["accuracy"])
train = keras_tcl.data.load("digits", "train[:64]", 32, shard=process)
model.fit(train)
if process.is_first:
    model.save("model.keras")
```

A batch is that of all devices and processes together, and so is its contrast:
the weights after a step do not depend on how many there were. That holds for
`fit`, `evaluate`, `evaluate_timesteps` and what is on top of them; `predict`
and a loop of one's own see what their process is given. Data sets of other
kinds than `keras_tcl.data`'s give each process its own part; arrays are those
of all, and are divided.
"""

from keras_tcl.distribution.process import Process
from keras_tcl.distribution.setup import data_parallel

__all__ = ["Process", "data_parallel"]
