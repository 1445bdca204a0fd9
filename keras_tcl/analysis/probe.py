"""Looks inside a network while it predicts."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_tcl.models import TCLModel, input_checks
from keras_tcl.models.kept_state import KeptState

Results = Callable[[dict[str, Any]], dict[str, Any]]


class Probe(KeptState):
    """Predicts what some layers of a `TCLModel` put out, in inference.

    Compiled as the model itself would be, with the model's weights.

    Args:
        model: `TCLModel`.
        layers: Dictionary of the layers to watch.
        results: Function of a dictionary of their outputs, of the same keys,
            that returns a dictionary of tensors `[batch, ...]`. A layer that
            took no part is missing; of one that was called more than once,
            the last call counts.

    Returns:
        `{"logits": [batch, T, classes], "results": results(outputs)}`.
    """

    def __init__(
        self,
        model: TCLModel,
        layers: Mapping[str, keras.layers.Layer],
        results: Results,
    ) -> None:
        super().__init__(autocast=False, name="probe")
        # The variables, without the model itself: its optimizer and metrics
        # are not needed.
        self.parts = [model.backbone, model.classifier, *model.heads.values()]
        self.step_logits = model.step_logits
        # Not by attribute: Keras would take the dictionary for its own.
        self.watch = functools.partial(recorded, layers)
        self.results = results
        self.built = True

    def call(self, inputs: Any) -> Any:
        x = inputs[0] if isinstance(inputs, (tuple, list)) else inputs
        with self.watch() as outputs:
            logits = self.step_logits(x)
        return {"logits": logits, "results": self.results(outputs)}


@contextlib.contextmanager
def recorded(
    layers: Mapping[str, keras.layers.Layer],
) -> Iterator[dict[str, Any]]:
    """Collects what layers put out while the context is open.

    It reaches layers within layers, which no functional graph shows.
    """
    outputs: dict[str, Any] = {}

    def recording(name: str, call: Any) -> Any:
        @functools.wraps(call)
        def record(*args: Any, **kwargs: Any) -> Any:
            outputs[name] = call(*args, **kwargs)
            return outputs[name]

        return record

    for name, layer in layers.items():
        vars(layer)["call"] = recording(name, layer.call)
    try:
        yield outputs
    finally:
        for layer in layers.values():
            del vars(layer)["call"]


def measure(probe: Probe, x: Any, batch_size: int | None) -> dict[str, Any]:
    """The probe's results for all samples, as arrays `[samples, ...]`.

    Raises:
        ValueError: If the data is empty, or not all of it is finite.
    """
    outputs = probe.predict(x, batch_size=batch_size, verbose=0)
    invalid = ~np.isfinite(outputs["logits"]).all(axis=(1, 2))
    if invalid.any():
        raise ValueError(
            f"The network answers NaN or infinite values to {invalid.sum()} "
            f"of {len(invalid)} samples, the first at index "
            f"{invalid.argmax()}. Remove or mend these samples; where it is "
            "all of them, the weights have diverged."
        )
    return outputs["results"]


def check_arguments(model: Any, x: Any) -> None:
    """Raises a ValueError where `model` or the array `x` does not fit."""
    if not isinstance(model, TCLModel):
        raise ValueError(
            "`model` must be a `keras_tcl.TCLModel`, as `keras_tcl."
            "sew_resnet18()` or `keras_tcl.load_model()` returns. (What "
            "`inference_model()` returns has no time steps to look at.) "
            f"Received: model={model!r}."
        )
    if isinstance(x, (tuple, list)):
        x = x[0]
    if not input_checks.is_array(x):
        return
    input_checks.check_sample_shape(x.shape[1:], model.sample_shape)
    if not len(x):
        raise ValueError(
            "There is nothing to measure: `x` holds no sample. "
            f"Received an array of shape {tuple(x.shape)}."
        )
    value_range = None if model.takes_events else model.value_range
    input_checks.check_arrays([x], value_range)
