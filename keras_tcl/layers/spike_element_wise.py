"""The residual connection of SEW-ResNet."""

from typing import Any

import keras

from keras_tcl import checks

CONNECTIONS = ("add", "and", "iand")


@keras.saving.register_keras_serializable(package="keras_tcl")
class SpikeElementWise(keras.layers.Layer):
    """Joins the spikes of a residual block with those of its shortcut.

    With `s` the block's spikes and `i` the shortcut's, element by element:

    | connection | output | values |
    | --- | --- | --- |
    | `"add"` | `s + i` | 0, 1, 2, ... |
    | `"and"` | `s * i` | 0, 1 |
    | `"iand"` | `i * (1 - s)` | 0, 1 |

    No neuron follows, so after `"add"` the values are small integers.

    Args:
        connection: One of `"add"`, `"and"`, `"iand"`. Defaults to `"add"`.

    Call arguments:
        inputs: Pair `(spikes, shortcut)` of tensors of one shape.

    Raises:
        ValueError: If `connection` is unknown, or the input is not a pair of
            tensors of one shape.

    Example:

    >>> spikes = keras.ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0])
    >>> shortcut = keras.ops.convert_to_tensor([0.0, 1.0, 0.0, 1.0])
    >>> joined = keras_tcl.layers.SpikeElementWise("iand")((spikes, shortcut))
    >>> keras.ops.convert_to_numpy(joined).tolist()
    [0.0, 1.0, 0.0, 0.0]

    Reference:

    - [Fang et al., 2021](https://arxiv.org/abs/2102.04159)
    """

    def __init__(self, connection: str = "add", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection = checks.choice("connection", connection, CONNECTIONS)

    def build(self, input_shape: Any) -> None:
        # A single tensor would unpack along its batch axis.
        is_pair = len(input_shape) == 2 and isinstance(
            input_shape[0], (list, tuple)
        )
        if not is_pair or tuple(input_shape[0]) != tuple(input_shape[1]):
            raise ValueError(
                "SpikeElementWise expects a pair (spikes, shortcut) of "
                "tensors of one shape. Received an input of shape "
                f"{input_shape}."
            )

    def call(self, inputs: Any) -> Any:
        spikes, shortcut = inputs
        if self.connection == "add":
            return spikes + shortcut
        if self.connection == "and":
            return spikes * shortcut
        return shortcut * (1 - spikes)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "connection": self.connection}
