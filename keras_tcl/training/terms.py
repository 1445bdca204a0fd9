"""A loss whose terms are shown beside it, by name."""

from typing import Any

import keras

from keras_tcl.training.guard import GuardedModel


def term_metrics(*names: str) -> dict[str, keras.metrics.Mean]:
    """Returns `{name: metric}`, each shown as `name_loss`."""
    return {name: keras.metrics.Mean(name=f"{name}_loss") for name in names}


class TermsModel(GuardedModel):
    """A model that shows the terms of its loss where results have names.

    They are in the progress bar, the history and dictionaries. Lists hold the
    loss and the compiled metrics, for `loss, accuracy = model.evaluate(x, y)`
    is to work under any loss.
    """

    terms: dict[str, keras.metrics.Mean]

    def evaluate(
        self, *args: Any, return_dict: bool = False, **kwargs: Any
    ) -> Any:
        """Returns the loss and metrics, as `keras.Model.evaluate` does.

        The loss is the compiled one, as in training, of one view and without
        augmentation. Its terms have names: `return_dict=True` returns them.
        """
        logs = super().evaluate(*args, return_dict=True, **kwargs)
        return logs if return_dict else self._listed(logs)

    def train_on_batch(
        self, *args: Any, return_dict: bool = False, **kwargs: Any
    ) -> Any:
        logs = super().train_on_batch(*args, return_dict=True, **kwargs)
        return logs if return_dict else self._listed(logs)

    def test_on_batch(
        self, *args: Any, return_dict: bool = False, **kwargs: Any
    ) -> Any:
        logs = super().test_on_batch(*args, return_dict=True, **kwargs)
        return logs if return_dict else self._listed(logs)

    def _listed(self, logs: dict[str, Any]) -> Any:
        """Values in Keras' order, the loss first, without those of terms."""
        terms = {metric.name for metric in self.terms.values()}
        ordered = self._in_order(logs).items()
        values = [value for name, value in ordered if name not in terms]
        return values if len(values) > 1 else values[0]
