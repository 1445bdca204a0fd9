"""A model's forward pass, compiled as its backend does it."""

import warnings
from collections.abc import Callable
from typing import Any

import keras

BACKEND = keras.config.backend()

if BACKEND == "tensorflow":
    import tensorflow as tf
elif BACKEND == "jax":
    import jax
elif BACKEND == "torch":
    import torch


def compiled(model: keras.Model) -> Callable[[Any], Any]:
    """Returns the function `model(x, training=False)`, compiled.

    The model's inputs and outputs are dictionaries of tensors.

    Unlike `predict_on_batch` it takes and returns tensors of the backend, so
    that what comes out can go in again without leaving the device. It sees
    the weights as they are at each call.
    """
    if BACKEND == "tensorflow":
        return tf.function(lambda x: model(x, training=False))
    if BACKEND == "jax":

        @jax.jit
        def run(trainable: Any, non_trainable: Any, x: Any) -> Any:
            outputs, new = model.stateless_call(
                trainable, non_trainable, x, training=False
            )
            # Only what the model assigns, such as a random generator's state.
            pairs = zip(new, non_trainable, strict=True)
            return outputs, [None if n is old else n for n, old in pairs]

        def run_and_assign(x: Any) -> Any:
            variables = model.non_trainable_variables
            outputs, new = run(
                [v.value for v in model.trainable_variables],
                [v.value for v in variables],
                x,
            )
            for variable, value in zip(variables, new, strict=True):
                if value is not None:
                    variable.assign(value)
            return outputs

        return run_and_assign

    return _traced(model)


def _traced(model: keras.Model) -> Callable[[Any], Any]:
    """PyTorch's: traced once for each shape, which spares Keras' Python.

    (The weights are read at each call: Keras assigns to them in place.)
    """
    programs: dict[Any, Any] = {}
    names = sorted(model.output)

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: dict[str, Any]) -> tuple[Any, ...]:
            outputs = self.model(x, training=False)
            return tuple(outputs[name] for name in names)

    def run(x: dict[str, Any]) -> dict[str, Any]:
        key = tuple((name, x[name].shape, x[name].device) for name in sorted(x))
        # The optimizing executor would compile during the first calls.
        with torch.no_grad(), torch.jit.optimized_execution(False):
            if key not in programs:
                with warnings.catch_warnings():
                    # Of shapes that are constants, as they are meant to be.
                    warnings.simplefilter("ignore")
                    programs[key] = torch.jit.trace(
                        Module().eval(), (x,), check_trace=False
                    )
            return dict(zip(names, programs[key](x), strict=True))

    return run
