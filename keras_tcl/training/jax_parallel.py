"""Data parallel training on JAX, by `keras.distribution`.

A batch is one array, whatever devices and processes it lies on, so a step is
that of one device. What is left to do is to divide data among processes.
"""

import random
from typing import Any

from keras_tcl.distribution import jax_devices, replicas
from keras_tcl.distribution.parts import share
from keras_tcl.distribution.process import Process
from keras_tcl.training import fingerprint
from keras_tcl.training.keras_fixes import FixedKeras, arguments_of


class ParallelModel(FixedKeras):
    """A model that trains in several processes, if there are several."""

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        process = jax_devices.process()
        if process.count == 1:
            return super().fit(x, y, *args, **kwargs)
        given = arguments_of("fit", self, x, y, *args, **kwargs)
        seed = jax_devices.from_first(random.getrandbits(31))
        shuffles = given.get("shuffle", True)
        given["shuffle"] = False  # Keras would, in each process by itself.
        share(given, process, seed if shuffles else None)
        _check_last_batch(given["x"], process)
        _check_last_batch(given.get("validation_data"), process)
        jax_devices.same("settings", fingerprint.of_fit(self, given))
        with replicas.first_reports(given, process, self):
            return super().fit(**given)

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        process = jax_devices.process()
        if process.count == 1:
            return super().evaluate(x, y, *args, **kwargs)
        given = arguments_of("evaluate", self, x, y, *args, **kwargs)
        share(given, process, None)
        _check_last_batch(given["x"], process)
        if not process.is_first:
            given["verbose"] = 0
        return super().evaluate(**given)


def _check_last_batch(data: Any, process: Process) -> None:
    """Raise a ValueError if processes would have unequal parts of a batch."""
    size = getattr(data, "size", None)  # Of `Parts`.
    if hasattr(data, "source"):
        size = len(data.source)
    if size is None or getattr(data, "drop_remainder", False):
        return
    rest = size % data.batch_size
    if rest % process.count:
        raise ValueError(
            "On JAX, processes must have equal parts of every batch, and the "
            f"last one has {rest} of {size} examples for {process.count} "
            "processes: choose another `batch_size`, or read the data with "
            f"`drop_remainder=True`. Received: batch_size={data.batch_size}."
        )
