"""What `fit` keeps to itself, for a callback (Keras 3.15)."""

import sys
from types import FrameType
from typing import Any

import keras


class RunningFit:
    """The `fit` that is calling this.

    Keras hands its callbacks neither the list of them, nor what counts the
    batches of an epoch; they are found where `fit` has them.

    Args:
        model: The model in training.

    Raises:
        RuntimeError: Outside of `fit`, or where another version of Keras has
            other names for them.
    """

    def __init__(self, model: keras.Model) -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            found = frame.f_locals
            if frame.f_code.co_name == "fit" and found.get("self") is model:
                if {"epoch_iterator", "callbacks"} <= set(found):
                    self._iterator: Any = found["epoch_iterator"]
                    self._list: Any = found["callbacks"]
                    self.steps: int | None = self._iterator.num_batches
                    return
            frame = frame.f_back
        raise RuntimeError(
            "This callback must be called by `fit`, and knows that of Keras "
            f"3.15. Received: Keras {keras.__version__}."
        )

    @property
    def callbacks(self) -> list[Any]:
        """All callbacks, in their order."""
        return list(self._list.callbacks)

    @property
    def dataset(self) -> Any:
        """What `fit` was given as a `PyDataset`, or `None`."""
        return getattr(self._iterator.data_adapter, "py_dataset", None)

    @property
    def has_own_steps(self) -> bool:
        """Whether `fit` was told `steps_per_epoch`."""
        return self._iterator.steps_per_epoch is not None

    def go_first(self, callback: Any) -> None:
        """Have a callback called before all others.

        Safe while that callback is being called: those after it stay where
        they are.
        """
        self._list.callbacks.remove(callback)
        self._list.callbacks.insert(0, callback)

    def build(self, model: keras.Model) -> None:
        """Make all metrics now, as Keras does on JAX and PyTorch."""
        model._symbolic_build(iterator=self._iterator)
        self._iterator.reset()

    def expect(self, steps: int | None) -> None:
        """Have the epoch that begins end after so many batches."""
        self._iterator._num_batches = steps
