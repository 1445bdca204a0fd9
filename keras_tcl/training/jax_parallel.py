"""Data parallel training on JAX, by `keras.distribution`.

A batch is one array, whatever devices and processes it lies on, so a step is
that of one device. What is left to do is to divide data among processes.
"""

import random
from typing import Any

import keras

from keras_tcl.distribution import arguments, jax_devices
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
        self._share(given, process, seed)
        arguments.keep_order(given)
        reports = arguments.first_reports(given, process, self)
        with reports, jax_devices.naming_the_ended():
            return super().fit(**given)

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        process = jax_devices.process()
        if process.count == 1:
            return super().evaluate(x, y, *args, **kwargs)
        given = arguments_of("evaluate", self, x, y, *args, **kwargs)
        self._share(given, process)
        if not process.is_first:
            given["verbose"] = 0
        with jax_devices.naming_the_ended():
            return super().evaluate(**given)

    def _share(
        self, given: dict[str, Any], process: Process, seed: int | None = None
    ) -> None:
        """Make the data that of this process, if all have the same."""
        distribution = keras.distribution.distribution()
        if isinstance(distribution, keras.distribution.ModelParallel):
            raise ValueError(
                "Of several processes that share the weights, none has all of "
                f"them to save. Received: {process.count} processes, and a "
                "`keras.distribution.ModelParallel`. It is for the devices of "
                "one process: start one that sees all devices of its host, or "
                "leave it to `keras_tcl.distribution.data_parallel()`."
            )
        if distribution is None:
            raise ValueError(
                f"{process.count} processes have no distribution, and would "
                "train apart: call `keras_tcl.distribution.data_parallel()` "
                "before anything is made."
            )
        share(given, process, seed)
        _check_batches(given["x"])
        _check_batches(given.get("validation_data"))
        jax_devices.same("settings", fingerprint.of_fit(self, given))


def _check_batches(data: Any) -> None:
    """Raise a ValueError if devices would have unequal parts of a batch."""
    size = getattr(data, "size", None)  # Of `Parts`.
    if hasattr(data, "source"):
        size = len(data.source)
    if size is None:
        return
    rest = size % data.batch_size
    if getattr(data, "drop_remainder", False):
        rest = 0
    devices = jax_devices.count()
    if data.batch_size % devices or rest % devices:
        raise ValueError(
            "On JAX, the devices of several processes must have equal parts of "
            f"every batch. Received: batch_size={data.batch_size}, and a last "
            f"batch of {rest}, for {devices} devices. Choose another "
            "`batch_size`, or read the data with `drop_remainder=True`."
        )
