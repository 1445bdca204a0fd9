"""Devices of JAX: `keras.distribution`, and what it lacks."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras.src.backend.jax import trainer


def start() -> None:
    """Have Keras divide batches among all devices of this process."""
    devices = keras.distribution.list_devices()
    if len(devices) > 1 and keras.distribution.distribution() is None:
        keras.distribution.set_distribution(Devices(devices))
        trainer.JAXEpochIterator._get_distributed_iterator = _each_laid_out


class Devices(keras.distribution.DataParallel):
    """`DataParallel` that takes batches which do not divide.

    Such a batch, mostly the last one, is computed by every device as a whole:
    slower, and the same.

    Args:
        devices: Sequence of devices, as Keras names them.
    """

    def __init__(self, devices: Sequence[Any]) -> None:
        super().__init__(devices=list(devices))

    def get_data_layout(self, data_shape: Any) -> Any:
        if data_shape[0] % self.device_mesh.devices.size:
            axes = [None] * len(data_shape)
            return keras.distribution.TensorLayout(axes, self.device_mesh)
        return super().get_data_layout(data_shape)


def _each_laid_out(iterator: Any, distribution: Any) -> Iterator[Any]:
    """Batches, each laid out by its own shape (Keras 3.15: the first one's)."""
    for data in iterator.data_adapter.get_jax_iterator():
        yield trainer._distribute_data(data)
