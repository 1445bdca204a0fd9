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
        kernel = ops.convert_to_tensor(kernel)

        def convolved() -> Any:
            return self._convolution(inputs, kernel)

        if not replicas.are_in_step():
            return convolved()
        # A replica may have no samples. oneDNN's convolution of none has the
        # channels of its inputs (TensorFlow 2.21, on CPUs with AVX-512), and
        # then the sums of replicas are of other shapes.
        shape = self.compute_output_shape(inputs.shape)[1:]
        return ops.cond(
            ops.shape(inputs)[0] > 0,
            convolved,
            lambda: ops.zeros((0, *shape), inputs.dtype),
        )

    def _convolution(self, inputs: Any, kernel: Any) -> Any:
        if (
            self.data_format != "channels_last"
            or self.padding not in ("same", "valid")
            or self.groups != 1
            or set(self.dilation_rate) != {1}
        ):
            return super().convolution_op(inputs, kernel)
        return kernels.convolution(inputs, kernel, self.strides, self.padding)
