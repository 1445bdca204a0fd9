"""A loss whose terms are shown beside it, by name."""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from keras_tcl.training.guard import GuardedModel, without_faults


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

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the loss and metrics, as `keras.Model.evaluate` does.

        The loss is the compiled one, as in training, of one view and without
        augmentation. Its terms have names: `return_dict=True` returns them.
        """
        return self._listed(super().evaluate, *args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Runs one training step, as `keras.Model.train_on_batch` does."""
        return self._listed(super().train_on_batch, *args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluates one batch, as `keras.Model.test_on_batch` does."""
        return self._listed(super().test_on_batch, *args, **kwargs)

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate()` lists, in its order.

        Keras knows those of compiled metrics from the first batch on.
        """
        try:
            names = list(
                self._in_order(without_faults(self.get_metrics_result()))
            )
        except ValueError:  # There has been no batch.
            names = super().metrics_names
        hidden = {self.faults.name, *self._names_of_terms}
        return [name for name in names if name not in hidden]

    @property
    def _names_of_terms(self) -> set[str]:
        return {metric.name for metric in self.terms.values()}

    def _listed(
        self, method: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """What `method` returns, by name or as a list without the terms."""
        keras_method = getattr(keras.Model, method.__name__)
        given = inspect.signature(keras_method).bind(self, *args, **kwargs)
        arguments = dict(given.arguments)
        del arguments["self"]
        wants_names = arguments.pop("return_dict", False)
        arguments.update(arguments.pop("kwargs", {}))
        logs = self._in_order(method(**arguments, return_dict=True))
        if wants_names:
            return logs
        terms = self._names_of_terms
        values = [value for name, value in logs.items() if name not in terms]
        return values if len(values) > 1 else values[0]
