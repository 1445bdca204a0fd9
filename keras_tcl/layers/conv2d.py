"""Convolution, without the detours of Keras on PyTorch and on JAX's CPU."""

from typing import Any

import keras
from keras import ops

from keras_tcl import kernels
from keras_tcl.distribution import replicas


@keras.saving.register_keras_serializable(package="keras_tcl")
class Conv2D(keras.layers.Conv2D):
    r"""`keras.layers.Conv2D`, quicker on PyTorch and where JAX runs on a CPU.

    ```
    y[p, o] = sum_{i, j, c} x[p * strides + (i, j), c] * kernel[i, j, c, o]
              + bias[o]
    ```

    The same layer with the same variables and, within rounding, the same
    numbers on every backend and device. On PyTorch it spares the copies that
    Keras makes of every input. Where JAX runs on a CPU, the gradient with
    respect to the kernel is a matrix product of patches instead of XLA's
    convolution, which takes 3 to 10 times as long as the forward pass there.

    Args:
        *args: As for `keras.layers.Conv2D`.
        **kwargs: As for `keras.layers.Conv2D`.

    Call arguments:
        inputs: Tensor `[batch, H, W, C]`, or channels first if the layer is
            told so.

    Example:

    >>> layer = keras_tcl.layers.Conv2D(8, 3, padding="same")
    >>> tuple(layer(keras.ops.ones((2, 32, 32, 3))).shape)
    (2, 32, 32, 8)
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        if (
            self.data_format != "channels_last"
            or self.padding not in ("same", "valid")
            or self.groups != 1
            or set(self.dilation_rate) != {1}
        ):
            return self._of_any(inputs, super().convolution_op(inputs, kernel))
        kernel = ops.convert_to_tensor(kernel)
        outputs = kernels.convolution(
            inputs, kernel, self.strides, self.padding
        )
        return self._of_any(inputs, outputs)

    def _of_any(self, inputs: Any, outputs: Any) -> Any:
        """The outputs, of a replica that has no samples, too.

        oneDNN's convolution of none (TensorFlow 2.21, on CPUs with AVX-512)
        returns them with the channels of its inputs, and the replicas' sums
        have other shapes.
        """
        if not replicas.are_in_step() or None in outputs.shape[1:]:
            return outputs
        size = ops.shape(inputs)[0]
        return ops.reshape(outputs, (size, *outputs.shape[1:]))
