"""SGD with L2 regularization, the weight decay that the paper means."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="keras_tcl_benchmarks")
class L2SGD(keras.optimizers.SGD):
    """SGD that adds `l2 * w` to the gradient of every weight `w`.

    This is what `weight_decay` means in PyTorch's SGD, with which the field's
    recipes were tuned. Keras' own `weight_decay` is decoupled: it does not
    pass through the momentum, so that the same number decays `1 / (1 -
    momentum)`, ten times, less.

    Args:
        learning_rate: Float or schedule.
        momentum: Float.
        l2: Float.
        **kwargs: As for `keras.optimizers.SGD`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        l2: float = 5e-4,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, momentum, **kwargs)
        self.l2 = l2

    def update_step(
        self, gradient: Any, variable: Any, learning_rate: Any
    ) -> None:
        regularized = gradient + self.l2 * keras.ops.convert_to_tensor(variable)
        super().update_step(regularized, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "l2": self.l2}
