"""A loss whose terms are shown beside it, by name."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
from keras import ops

from keras_tcl.training.guard import GuardedModel, without_faults
from keras_tcl.training.keras_fixes import arguments_of


class Terms(keras.metrics.Metric):
    """Means of the terms of a loss over an epoch, each as `name_loss`.

    Which terms there are depends on the compiled loss. Nothing of them is
    saved, so that a file suits a model that is compiled with another.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sums: dict[str, Any] = {}  # Of values and of samples.
        self.names: tuple[str, ...] = ()

    def show(self, names: Iterable[str]) -> None:
        """Shows terms of these names, and no others."""
        self.names = tuple(names)
        for name in self.names:
            if name not in self._sums:
                sums = self.add_variable((2,), "zeros", name=name)
                self._sums = {**self._sums, name: sums}

    @property
    def logs(self) -> list[str]:
        """Names under which logs show the terms."""
        return [f"{name}_loss" for name in self.names]

    def update_state(self, name: str, value: Any, size: Any) -> None:
        """Counts the mean of a term over a batch of so many samples."""
        size = ops.cast(size, "float32")
        self._sums[name].assign_add(ops.stack([value * size, size]))

    def result(self) -> dict[str, Any]:
        sums = [self._sums[name] + 0.0 for name in self.names]
        means = [ops.divide_no_nan(total[0], total[1]) for total in sums]
        return dict(zip(self.logs, means, strict=True))

    def save_own_variables(self, store: Any) -> None:
        pass

    def load_own_variables(self, store: Any) -> None:
        pass


class TermsModel(GuardedModel):
    """A model that shows the terms of its loss where results have names.

    They are in the progress bar, the history and dictionaries. Lists hold the
    loss and the compiled metrics, for `loss, accuracy = model.evaluate(x, y)`
    is to work under any loss.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.terms = Terms(name="terms")

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
        return set(self.terms.logs)

    def _listed(
        self, method: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """What `method` returns, by name or as a list without the terms."""
        arguments = arguments_of(method.__name__, self, *args, **kwargs)
        wants_names = arguments.pop("return_dict", False)
        logs = self._in_order(method(**arguments, return_dict=True))
        if wants_names:
            return logs
        terms = self._names_of_terms
        values = [value for name, value in logs.items() if name not in terms]
        return values if len(values) > 1 else values[0]
