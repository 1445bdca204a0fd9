"""Reads something out of a network, batch by batch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_tcl import graph
from keras_tcl.inputs import as_views
from keras_tcl.layers import DirectEncoding
from keras_tcl.training.keras_fixes import FixedKeras


class Readout:
    """Predicts what `function(network, x)` returns, as compiled as `predict`.

    Args:
        network: Functional `keras.Model`.
        function: Function of the network and a batch, mostly a
            `keras_tcl.graph.walk`, that returns a tensor `[batch, ...]` or a
            dictionary of such.
    """

    def __init__(
        self,
        network: keras.Model,
        function: Callable[[keras.Model, Any], Any],
    ) -> None:
        self._model = _Reader(network, function)

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = 0
    ) -> Any:
        """Results for all samples of arrays or a data set, in NumPy."""
        return self._model.predict(x, batch_size=batch_size, verbose=verbose)

    def predict_on_batch(self, x: Any) -> Any:
        """Results for one batch, in NumPy.

        Draws no random number, as `predict` does under PyTorch.
        """
        return keras.tree.map_structure(
            np.asarray, self._model.predict_on_batch(x)
        )


class _Reader(FixedKeras):
    def __init__(self, network: keras.Model, function: Any) -> None:
        super().__init__(autocast=False, name="readout")
        self.network = network
        self.function = function
        self.built = True
        # Found once: a pass, or a batch, looks at them.
        encodings = graph.layers(network, DirectEncoding)
        self._timesteps = lambda: [x.timesteps for x in encodings]
        self._seen = self._timesteps()

    def _follow_shapes(self, x: Any, y: Any, kind: str) -> None:
        super()._follow_shapes(x, y, kind)
        # That of still images may have been set since the last pass.
        if self._timesteps() != self._seen:
            self._seen = self._timesteps()
            self._forget_compiled_functions()

    def call(self, inputs: Any) -> Any:
        # A tuple of views stands for its first one.
        return self.function(self.network, as_views(inputs)[0])
