"""The base class of the spiking neurons."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_tcl import kernels, surrogates


class Neuron(keras.layers.Layer):
    r"""Spiking neurons over a whole sequence, told by one time step of them.

    A subclass writes `step`, and what it has of initial state and weights:

    ```python
    @keras.saving.register_keras_serializable("my_neurons")
    class AdaptiveLIF(keras_tcl.layers.Neuron):
        def build(self, input_shape):
            self.rise = self.add_weight(
                shape=(input_shape[-1],), initializer="ones", name="rise"
            )

        def initial_state(self, shape):
            return {"u": keras.ops.zeros(shape), "a": keras.ops.zeros(shape)}

        def step(self, x, state):
            h = 0.5 * state["u"] + x
            v = h - 1.0 - self.rise * state["a"]
            s = keras_tcl.surrogates.spike(v, "atan")
            return s, {"u": h * (1 - s), "a": 0.9 * state["a"] + s}
    ```

    The layer calls it for `t = 1..T`, from the initial state at every call:

    ```
    s_t, state_t = step(x_t, state_{t-1})
    ```

    so it keeps no state between calls, and there is nothing to reset. The
    gradient is backpropagation through time. Input of a step, state and
    weights are float32 under every dtype policy; the spikes have the compute
    dtype. The program that is compiled has the same size for any T above 16.

    With `training=False`, as in `predict` and `evaluate`, the layer is the
    plain recurrence: `spike` has no gradient, and PyTorch keeps nothing for
    one. A training loop that leaves the argument out trains.

    A step that resets by a product, as the one above, is NaN after an
    infinite input (above 65,504 in float16), and then never fires. Gradients
    are those of `keras` and of PyTorch's `backward`; the transforms of
    `torch.func` (`grad`, `vmap`, `jvp`) are not supported.

    Call arguments:
        inputs: Tensor of shape `[batch, T, ...]`; T must be static.
        training: Boolean or `None`.

    Input shape:
        `[batch, T, ...]`, rank 2 or more.

    Output shape:
        The same.

    Raises:
        ValueError: If the input has no time axis, T is `None` or 0, or `step`
            returns another shape than that of its input, or another state
            than it got (structure, shapes and dtypes).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A step of one's own has no faster twin, whatever it inherits.
        if "step" in vars(cls) and "sequence" not in vars(cls):
            cls.sequence = Neuron.sequence  # type: ignore[method-assign]

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        """One time step; what a subclass writes, in `keras.ops`.

        Args:
            x: Input of the step, float32 tensor `[batch, ...]`.
            state: State after the step before.

        Returns:
            `(spikes, state)`: a tensor of the shape of `x`, and the state
            after the step, in the structure, shapes and dtypes it came in.
        """
        raise NotImplementedError(f"{self._title} has no `step`.")

    def initial_state(self, shape: tuple) -> Any:
        """State before the first step: a tensor, or any structure of them.

        Args:
            shape: Shape `(batch, ...)` of the input of one step. `batch` may
                be a tensor.

        Returns:
            One float32 tensor of zeros, if a subclass says nothing else; `()`
            for a neuron without state.
        """
        return ops.zeros(shape, "float32")

    def sequence(self, x: Any, training: bool | None = None) -> Any:
        """Spikes of all time steps; `step` over time, or its faster twin.

        Args:
            x: Input `[batch, T, ...]` in the compute dtype.
            training: As of the layer. If `False`, `spike` is already the
                plain step function.

        Returns:
            Spikes `[batch, T, ...]` in the compute dtype.
        """
        batch, _, *rest = ops.shape(x)
        state = self.resting_state((batch, *rest))
        changing = self.non_trainable_variables
        if not changing:
            return kernels.over_time(self._checked_step, x, state)

        # The scope within hides the values that a scope around it has.
        learned = self.trainable_variables
        fixed = [(v, ops.convert_to_tensor(v.value)) for v in learned]

        # What a step assigns, such as the state of a random generator, must
        # go with the loop on JAX.
        def step(x: Any, carry: Any) -> tuple[Any, Any]:
            state, values = carry
            pairs = [*fixed, *zip(changing, values, strict=True)]
            with keras.StatelessScope(state_mapping=pairs) as scope:
                spikes, state = self._checked_step(x, state)
            new = [scope.get_current_value(v) for v in changing]
            old = zip(new, values, strict=True)
            return spikes, (state, [n if n is not None else v for n, v in old])

        values = [ops.convert_to_tensor(v.value) for v in changing]
        spikes, (_, values) = kernels.over_time(
            step, x, (state, values), return_state=True
        )
        for variable, value in zip(changing, values, strict=True):
            variable.assign(value)
        return spikes

    def advance(
        self, x: Any, state: Any, training: bool | None = None
    ) -> tuple[Any, Any]:
        """One time step as the layer runs it: `step`, checked and cast.

        `advance` called T times, from `resting_state`, is the layer. Call it
        inside a layer, for it takes no symbolic tensors.

        Args:
            x: Input `[batch, ...]` of the step, of any dtype.
            state: State after the step before.
            training: As of the layer.

        Returns:
            `(spikes, state)`, the spikes in the compute dtype.
        """
        with _inference(training is False):
            x = ops.cast(x, self.compute_dtype)
            return self._checked_step(x, state)

    def resting_state(self, shape: tuple) -> Any:
        """`initial_state` in float32, whatever precision Keras is set to."""
        return keras.tree.map_structure(
            lambda tensor: ops.cast(tensor, "float32"),
            self.initial_state(shape),
        )

    def _checked_step(self, x: Any, state: Any) -> tuple[Any, Any]:
        x = ops.cast(x, "float32")
        returned = self.step(x, state)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ValueError(
                f"`step` of {self._title} must return the pair (spikes, "
                f"state). Received: {_described(returned)}."
            )
        spikes, new = returned
        if not _is_alike(spikes, x, ignore_dtype=True):
            raise ValueError(
                f"`step` of {self._title} must return spikes of the shape of "
                f"its input, {tuple(x.shape)}. Received: {_described(spikes)}."
            )
        if not _is_alike(new, state):
            raise ValueError(
                f"`step` of {self._title} must return the state in the "
                f"structure, shapes and dtypes it got: {_described(state)}. "
                f"Received: {_described(new)}."
            )
        return ops.cast(spikes, self.compute_dtype), new

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        self._check_time_axis(inputs.shape)
        x = ops.cast(inputs, self.compute_dtype)
        with _inference(training is False):
            return self.sequence(x, training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        self._check_time_axis(input_shape)
        return tuple(input_shape)

    def compute_output_spec(
        self, inputs: Any, training: bool | None = None
    ) -> Any:
        batch, timesteps, *rest = self.compute_output_shape(inputs.shape)
        # A fault in `step` shows when the network is made.
        _FirstStep(self).compute_output_spec(
            keras.KerasTensor((batch, *rest), "float32")
        )
        return keras.KerasTensor((batch, timesteps, *rest), self.compute_dtype)

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = "float32",
        **kwargs: Any,
    ) -> Any:
        """As `keras.layers.Layer.add_weight`, but float32 for the potential."""
        kwargs = {"autocast": False, **kwargs}
        return super().add_weight(shape, initializer, dtype, **kwargs)

    @property
    def _title(self) -> str:
        return f"{type(self).__name__} {self.name!r}"

    def _check_time_axis(self, shape: Any) -> None:
        if len(shape) < 2:
            raise ValueError(
                f"{self._title} expects a sequence of shape [batch, T, ...]. "
                f"Received an input of shape {tuple(shape)}. For a still "
                "input, add the time axis with "
                "`keras_tcl.layers.DirectEncoding`."
            )
        if not shape[1]:
            raise ValueError(
                f"{self._title} needs to know the number of time steps T, "
                "axis 1 of its input, and at least one. Received an input of "
                f"shape {tuple(shape)}. Give T in the input's shape, for "
                "example `keras.Input((4, ...))`; in a tf.data pipeline, fix "
                "it with `tf.ensure_shape`."
            )


def copy_of(neuron: Any, **config: Any) -> Any:
    """Another layer like `neuron`, with some of its config anew.

    Raises:
        ValueError: If `neuron` is no layer.
    """
    if not isinstance(neuron, keras.layers.Layer):
        raise ValueError(
            "`neuron` must be a layer, for example "
            "`keras_tcl.layers.LIF(decay=0.25)`, or `None`. "
            f"Received: neuron={neuron!r}."
        )
    return type(neuron).from_config({**neuron.get_config(), **config})


class _FirstStep(keras.Operation):
    """A neuron's first step, which Keras can run on symbolic tensors."""

    def __init__(self, neuron: Neuron) -> None:
        super().__init__(name=neuron.name)
        self.neuron = neuron

    def call(self, x: Any) -> Any:
        state = self.neuron.resting_state(ops.shape(x))
        return self.neuron.advance(x, state)[0]


@contextlib.contextmanager
def _inference(active: bool) -> Iterator[None]:
    if not active:
        yield
        return
    with surrogates.without_gradient(), kernels.no_autograd():
        yield


def _is_alike(new: Any, old: Any, ignore_dtype: bool = False) -> bool:
    """Whether structure, dtypes and shapes (as far as known) are the same."""
    try:
        keras.tree.assert_same_structure(new, old)
    except (TypeError, ValueError):
        return False
    return all(
        ops.is_tensor(a)
        and len(a.shape) == len(b.shape)
        and all(
            n is None or m is None or n == m
            for n, m in zip(a.shape, b.shape, strict=True)
        )
        and (ignore_dtype or _dtype(a) == _dtype(b))
        for a, b in zip(
            keras.tree.flatten(new), keras.tree.flatten(old), strict=True
        )
    )


def _dtype(tensor: Any) -> str:
    return keras.backend.standardize_dtype(tensor.dtype)


def _described(structure: Any) -> Any:
    return keras.tree.map_structure(
        lambda leaf: (
            f"{_dtype(leaf)} {tuple(leaf.shape)}"
            if ops.is_tensor(leaf)
            else type(leaf).__name__
        ),
        structure,
    )
