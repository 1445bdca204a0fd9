"""From raw pixels to what a network computes with."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import checks


@keras.saving.register_keras_serializable(package="keras_tcl")
class PixelNormalization(keras.layers.Layer):
    """Rescales pixels to [0, 1], and to mean 0 and deviation 1.

    ```
    y = ((x - low) / (high - low) - mean) / std
    ```

    It is float32 under every dtype policy: half precision would round pixels.

    Args:
        value_range: Pair of numbers, the least and the greatest value of a
            pixel, `(low, high)`. Defaults to `(0, 255)`.
        mean: Number, or one for each channel: mean of the pixels after
            rescaling to [0, 1]. Defaults to `0.5`.
        std: Number, or one for each channel: standard deviation of the pixels
            after rescaling to [0, 1]. Defaults to `0.25`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> layer = keras_tcl.layers.PixelNormalization(mean=0.5, std=0.5)
    >>> pixels = np.array([[0, 255]], "uint8")
    >>> keras.ops.convert_to_numpy(layer(pixels)).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        mean: float | Sequence[float] = 0.5,
        std: float | Sequence[float] = 0.25,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.value_range = checks.value_range(value_range)
        low, high = self.value_range
        try:
            means = np.asarray(mean, "float64")
            with np.errstate(all="ignore"):  # What float32 cannot hold, too.
                scales = 1.0 / ((high - low) * np.asarray(std, "float64"))
                offsets = -(low * scales) - means * scales * (high - low)
                finite = np.isfinite(offsets.astype("float32")).all()
                finite &= np.isfinite(scales.astype("float32")).all()
            good = finite and (scales > 0).all()
            good = good and offsets.size > 0 and offsets.ndim <= 1
        except (TypeError, ValueError, ArithmeticError):
            good = False
        if not good:
            raise ValueError(
                "`mean` and `std` must be numbers, or one number for each "
                "channel, of pixels rescaled to [0, 1]; `std` greater than 0. "
                f"Received: mean={mean}, std={std}."
            )
        self.mean, self.std = mean, std
        self._scales = scales
        self._offsets = offsets

    def build(self, input_shape: Any) -> None:
        if self._offsets.size not in (1, input_shape[-1]):
            raise ValueError(
                "`mean` and `std` must be numbers, or one number for each of "
                f"the {input_shape[-1]} channels. "
                f"Received: mean={self.mean}, std={self.std}."
            )

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        scales = ops.convert_to_tensor(self._scales, "float32")
        return x * scales + ops.convert_to_tensor(self._offsets, "float32")

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs.shape, dtype="float32")

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        def plain(value: Any) -> Any:
            return np.asarray(value).tolist()

        config = {
            "value_range": list(self.value_range),
            "mean": plain(self.mean),
            "std": plain(self.std),
        }
        return {**super().get_config(), **config}
