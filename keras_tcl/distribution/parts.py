"""Arrays, and what each of several processes trains on of them."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import inputs
from keras_tcl.data.shards import check_shard, part
from keras_tcl.distribution import arguments
from keras_tcl.distribution.process import Process


class Parts(keras.utils.PyDataset):
    """One process's part of each batch of arrays that all processes have.

    Args:
        arrays: Tuple `(x, y, sample_weight)`, each an array or a tuple of
            them; the last ones may be `None`.
        batch_size: Integer, that of all processes together. Defaults to 32.
        process: Which part.
        seed: Integer, the order of the epochs; or `None` for that of the
            arrays.

    Raises:
        ValueError: If a batch cannot be divided.
    """

    def __init__(
        self,
        arrays: tuple[Any, ...],
        batch_size: int | None,
        process: Process,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.arrays = tuple(x for x in arrays if x is not None)
        self.size = len(keras.tree.flatten(arrays[0])[0])
        self.batch_size = batch_size or 32
        self.shard = check_shard(
            process, self.batch_size, self.size % self.batch_size
        )
        self._seed = seed
        self._epoch = -1
        self.on_epoch_begin()

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        start = index * self.batch_size
        chosen = part(self._order[start : start + self.batch_size], self.shard)
        return keras.tree.map_structure(
            lambda x: x[chosen], keras.tree.map_structure(_array, self.arrays)
        )

    def on_epoch_begin(self) -> None:
        self._epoch += 1
        self._order = np.arange(self.size)
        if self._seed is not None:
            generator = np.random.default_rng([self._seed, self._epoch])
            generator.shuffle(self._order)


def share(given: dict[str, Any], process: Process, seed: int | None) -> None:
    """Make the data that `fit` or `evaluate` was given those of a process.

    Args:
        given: Arguments by name, which are changed.
        process: Which part.
        seed: Integer, that of an order of arrays where they are shuffled;
            `None` for none.

    Raises:
        ValueError: If arrays cannot be divided, or a data set is the part of
            another process.
    """
    batch_size = given.pop("batch_size", None)
    if inputs.is_array(keras.tree.flatten(given["x"])[0]):
        arrays = (
            given["x"],
            given.pop("y", None),
            given.pop("sample_weight", None),
        )
        fraction = given.pop("validation_split", 0.0)
        if fraction and given.get("validation_data") is None:
            arrays, given["validation_data"] = divided(arrays, fraction)
        shuffles = given.pop("shuffle", True)
        seed = seed if shuffles else None
        given["x"] = Parts(arrays, batch_size, process, seed)
    arguments.check_shard(given["x"], process)
    validation = given.get("validation_data")
    if isinstance(validation, (tuple, list)):
        size = given.pop("validation_batch_size", None) or batch_size
        arrays = (*validation, None)[:3]
        given["validation_data"] = Parts(arrays, size, process)
    elif validation is not None:
        arguments.check_shard(validation, process)


def divided(
    arrays: tuple[Any, ...], fraction: float
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Arrays without their last fraction, and these, as `validation_split`."""
    size = len(keras.tree.flatten(arrays[0])[0])
    at = int(np.floor(size * (1.0 - fraction)))

    def cut(where: slice) -> tuple[Any, ...]:
        return keras.tree.map_structure(
            lambda x: None if x is None else x[where], arrays
        )

    return cut(slice(at)), cut(slice(at, None))


def _array(x: Any) -> Any:
    return ops.convert_to_numpy(x) if ops.is_tensor(x) else np.asarray(x)
