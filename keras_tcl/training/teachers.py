"""A loss whose teacher sees what the model sees."""

from typing import Any

import keras
from keras import ops

from keras_tcl.losses import TemporalLoss
from keras_tcl.training.gradient_caching import MicroBatches
from keras_tcl.training.keras_fixes import clear_losses
from keras_tcl.training.terms import TermsModel


class TaughtModel(TermsModel):
    """A model whose loss may have a teacher, a network trained already.

    The teacher is the loss's: the model neither trains nor saves it.
    """

    _micro_batches: MicroBatches | None = None

    # No attribute or property: Keras would save what it finds there.
    def _teachers(self) -> list[keras.Model]:
        loss = getattr(self, "loss", None)
        return loss.teachers() if isinstance(loss, TemporalLoss) else []

    def _taught(self, x: Any, views: int) -> dict[str, Any]:
        """`{"teacher": logits}` of raw pixels or frames, if there is one.

        Args:
            x: Tensor `[batch * V, ...]`.
            views: Integer V.

        Raises:
            ValueError: The loss needs one and has none: it is from a file.
        """
        loss = getattr(self, "loss", None)
        for teacher in self._teachers():

            def predict(x: Any, teacher: keras.Model = teacher) -> Any:
                return ops.stop_gradient(teacher(x, training=False))

            if self._micro_batches is None:
                logits = predict(x)
            else:
                logits = self._micro_batches.without_gradient(predict, x, views)
            # Keras clears those of the outermost model, and of its layers.
            clear_losses(teacher)
            return {"teacher": logits}
        if isinstance(loss, TemporalLoss) and "teacher" in loss.needs:
            raise ValueError(
                f"The loss {loss.name!r} has no teacher: a file holds a loss "
                "without it. Compile the model again, with "
                "`Distillation(teacher)` and, to go on with the training, "
                "`optimizer=model.optimizer`."
            )
        return {}

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Also a teacher's: on JAX, a compiled step takes them as arguments.

        (As constants, they would be part of every program, which took twice
        as long to compile: 8 million weights, 61 MB of program.)
        """
        own = super().non_trainable_variables
        known = {id(variable) for variable in self.variables}
        others = [v for model in self._teachers() for v in model.variables]
        return [*own, *(v for v in others if id(v) not in known)]
