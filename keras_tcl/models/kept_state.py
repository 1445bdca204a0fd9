"""A model that keeps its state when a pass over the data fails."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

_KINDS = (
    "trainable_variables",
    "non_trainable_variables",
    "optimizer_variables",
    "metrics_variables",
)


class KeptState(keras.Model):
    """`keras.Model` whose `fit`, `evaluate` and `predict` may fail.

    Keras on JAX takes the values out of the variables while a pass runs, and
    puts them back from `_jax_state`, which it sets after each step (and, in
    `evaluate` and `predict`, only if none has failed). Where the first step
    fails, because a data set cannot be read or an input cannot be traced,
    weights and optimizer state would be gone. On other backends there is
    nothing to do.
    """

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        with self._state_kept():
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        with self._state_kept():
            return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        with self._state_kept():
            return super().predict(*args, **kwargs)

    def _get_jax_state(self, **wanted: Any) -> tuple[Any, ...]:
        state = super()._get_jax_state(**wanted)
        kinds = [kind for kind in _KINDS if wanted.get(kind)]
        self._jax_state: Any = dict(zip(kinds, state, strict=True))
        return state

    @contextlib.contextmanager
    def _state_kept(self) -> Iterator[None]:
        try:
            yield
        finally:
            if keras.config.backend() == "jax":
                self.jax_state_sync()
                self._jax_state = None
