"""What one of several processes or replicas does without the others."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import inputs
from keras_tcl.distribution import replicas


class LocalModel(keras.Model):
    """A model that one process predicts with, and saves, by itself.

    In Keras 3.15, TensorFlow's replicas each predict all of a batch that
    `predict_on_batch` is given, and processes wait for each other in
    `predict`, and where variables are made, as they are while a model is
    saved.
    """

    _predict_alone: Any = None

    @property
    def _replicas(self) -> int:
        """Among how many replicas TensorFlow divides a batch."""
        strategy = getattr(self, "distribute_strategy", None)
        return getattr(strategy, "num_replicas_in_sync", 1)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        backend = keras.config.backend()
        if backend == "torch" or replicas.process().count == 1:
            return super().predict(x, batch_size, verbose, steps, callbacks)
        if steps is not None or callbacks:
            raise ValueError(
                "`predict` in several processes takes neither `steps` nor "
                f"`callbacks`. Received: steps={steps}, callbacks={callbacks}."
            )
        outputs = [
            self.predict_on_batch(batch)
            for batch in inputs.batches_of_inputs(x, batch_size)
        ]
        return keras.tree.map_structure(
            lambda *parts: np.concatenate(parts), *outputs
        )

    def predict_on_batch(self, x: Any) -> Any:
        if self._replicas == 1:
            return super().predict_on_batch(x)
        if self._predict_alone is None:
            self._predict_alone = replicas.compiled(self.predict_step)
        outputs = self._predict_alone((x,))
        return keras.tree.map_structure(ops.convert_to_numpy, outputs)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the model, as `keras.Model.save` does."""
        with replicas.alone():
            super().save(*args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """Saves the weights, as `keras.Model.save_weights` does."""
        with replicas.alone():
            super().save_weights(*args, **kwargs)
