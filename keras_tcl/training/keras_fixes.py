"""What Keras needs mending for, each with its version and reason."""

import contextlib
import functools
import inspect
import os
import threading
import weakref
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import keras
from keras import ops

from keras_tcl.progress import on_terminal
from keras_tcl.training.local import LocalModel

_KINDS = (
    "trainable_variables",
    "non_trainable_variables",
    "optimizer_variables",
    "metrics_variables",
)
_PASSES = ("train", "test", "predict")


class FixedKeras(LocalModel):
    """`keras.Model` without some faults of Keras 3.15.

    1. On JAX, Keras takes the values out of the variables while a pass runs,
       and puts them back from `_jax_state`, which it sets after each step
       (and, in `evaluate` and `predict`, only if none has failed). Where the
       first step fails, because a data set cannot be read or an input cannot
       be traced, weights and optimizer state would be gone. So would they,
       where two threads run a pass at once; and on any backend, the passes
       of two threads would count in the same metrics.
    2. TensorFlow traces a second number of time steps T as an unknown one,
       which no neuron can unroll, and a second number of axes (labels as ids,
       then one-hot) as none at all: such data are compiled for anew. So are
       those after a failure, for half of its variables may be there.
    3. Keras saves what `jit_compile="auto"` meant on the backend that saved
       (PyTorch would then try to compile for minutes), PyTorch's optimizers
       as classes that exist there alone, and compiles no loaded model that
       has a `compile` of its own.
    4. A weights file that does not fit leaves half of it loaded, and open: a
       good file that takes its place could not be read.
    5. PyTorch returns losses and metrics as tensors, and `fit` warns that it
       cannot shuffle a `tf.data.Dataset`.
    6. TensorFlow and JAX sort the logs of a step by name.
    7. `verbose="auto"` takes any output of a Unix system for a terminal, and
       fills files with progress bars of control characters.
    8. `trainable` set after `compile` counts at once on PyTorch, from the next
       `compile` on TensorFlow, and fails on JAX without naming the reason.
    """

    _jax_state: Any = None
    _shapes_of_data: dict[str, list[Any]] = {}
    _wanted_jit_compile: Any = "auto"
    _functions_of_timesteps: dict[Any, list[Any]] = {}

    # --- 1 and 2: a pass over data ----------------------------------------

    def fit(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        is_ours = isinstance(x, keras.utils.PyDataset)
        if hasattr(x, "element_spec") and not is_ours and len(args) < 7:
            kwargs.setdefault("shuffle", False)
        self._check_trainable()
        with self._alone(trains=True), self._pass_over(x, y, "train"):
            return _in_lines(super().fit, x, y, *args, **kwargs)

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        with self._alone(), self._pass_over(x, y, "test"):
            results = _in_lines(super().evaluate, x, y, *args, **kwargs)
        return keras.tree.map_structure(float, results)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        with self._alone_on_jax(), self._pass_over(x, None, "predict"):
            return _in_lines(super().predict, x, *args, **kwargs)

    def train_on_batch(
        self, x: Any, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        self._check_trainable()
        with self._alone(), self._compiled_for(x, y, "train"):
            return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(
        self, x: Any, y: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        with self._alone(), self._compiled_for(x, y, "test"):
            return super().test_on_batch(x, y, *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        with self._alone_on_jax(), self._compiled_for(x, None, "predict"):
            return super().predict_on_batch(x)

    @contextlib.contextmanager
    def _alone(self, trains: bool = False) -> Iterator[None]:
        """Wait for the passes that other threads run over the same weights.

        Raises:
            RuntimeError: If one of them is a training, which may take hours,
                and may itself be waiting for this thread.
        """
        turn = _TURNS.setdefault(getattr(self, "network", self), _Turn())
        with turn.taken(trains):
            yield

    def _alone_on_jax(self) -> contextlib.AbstractContextManager:
        # The other backends predict in several threads at once.
        is_jax = keras.config.backend() == "jax"
        return self._alone() if is_jax else contextlib.nullcontext()

    @contextlib.contextmanager
    def _pass_over(self, x: Any, y: Any, kind: str) -> Iterator[None]:
        try:
            with self._compiled_for(x, y, kind):
                yield
        finally:
            if keras.config.backend() == "jax":
                self.jax_state_sync()
                self._jax_state = None

    def _get_jax_state(self, **wanted: Any) -> tuple[Any, ...]:
        state = super()._get_jax_state(**wanted)
        kinds = [kind for kind in _KINDS if wanted.get(kind)]
        self._jax_state = dict(zip(kinds, state, strict=True))
        return state

    @contextlib.contextmanager
    def _compiled_for(self, x: Any, y: Any, kind: str) -> Iterator[None]:
        self._follow_shapes(x, y, kind)
        try:
            yield
        except Exception:
            if keras.config.backend() == "tensorflow":
                self._forget_compiled_functions(kind)
            raise

    def _follow_shapes(self, x: Any, y: Any, kind: str) -> None:
        arrays = keras.tree.flatten(getattr(x, "element_spec", (x, y)))
        shapes = [getattr(array, "shape", None) for array in arrays]
        if shapes[0] is None or None in [getattr(s, "rank", 0) for s in shapes]:
            return
        seen = [
            (len(shape), shape[1] if len(shape) == 5 else None)
            for shape in shapes
            if shape is not None
        ]
        if seen != self._shapes_of_data.get(kind):
            self._forget_compiled_functions(kind)
        self._shapes_of_data = {**self._shapes_of_data, kind: seen}

    def _forget_compiled_functions(self, *kinds: str) -> None:
        """Compile anew at the next step: what they were made for changed."""
        self._functions_of_timesteps = {}
        self._predict_alone = None
        for kind in kinds or _PASSES:
            # Not `None`, for this may be in the middle of a pass.
            if getattr(self, f"{kind}_function", None) is not None:
                with self._new_step(f"{kind}_step"):
                    getattr(self, f"make_{kind}_function")(force=True)

    @contextlib.contextmanager
    def _new_step(self, name: str) -> Iterator[None]:
        """Within, a step's method is a function that JAX has never traced.

        For JAX, a bound method equals that of before: it would take up what
        it has compiled for that one, as long as anything keeps it.
        """
        if keras.config.backend() != "jax" or name in self.__dict__:
            yield
            return
        self.__dict__[name] = functools.partial(getattr(self, name))
        try:
            yield
        finally:
            del self.__dict__[name]

    def _exchange_compiled_functions(self, before: Any, now: Any) -> None:
        """Put away those of one T and take up those of another, if any."""
        names = [f"{kind}_function" for kind in _PASSES]
        kept = dict(self._functions_of_timesteps)
        kept[before] = [getattr(self, name) for name in names]
        self._forget_compiled_functions()
        for name, function in zip(names, kept.get(now, ()), strict=False):
            if function is not None:
                setattr(self, name, function)
        self._functions_of_timesteps = kept

    def _in_order(self, logs: dict[str, Any]) -> dict[str, float]:
        """Logs of a step as floats, in the order of `test_on_batch`."""
        names = list(logs)
        ordered = self._flatten_metrics_in_order({name: name for name in names})
        ordered = keras.tree.flatten(ordered)
        return {name: float(logs[name]) for name in ordered}

    # --- 3: a compiled model in a file ------------------------------------

    def compile(self, *args: Any, **kwargs: Any) -> None:
        given = arguments_of("compile", self, *args, **kwargs)
        self._wanted_jit_compile = given.get("jit_compile", "auto")
        super().compile(*args, **kwargs)

    def get_compile_config(self) -> Any:
        config = _of_any_backend(super().get_compile_config())
        if config:
            config["jit_compile"] = self._wanted_jit_compile
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    # --- 8: what is trained ------------------------------------------------

    def _check_trainable(self) -> None:
        if self.optimizer is None or not self.optimizer.built:
            return
        known = {id(v) for v in self.optimizer._trainable_variables}
        now = {id(v) for v in self.trainable_variables}
        if known != now:
            raise ValueError(
                f"The optimizer was built for {len(known)} trainable "
                f"variables, and the model has {len(now)} now: `trainable` of "
                "a layer, or of a model that shares it, was set after "
                "`compile()`. Call `compile()` again, with a new optimizer."
            )

    def _count_loss_as_built(self, y: Any, y_pred: Any) -> None:
        """For a model that computes a loss of several outputs by itself.

        Keras asks before every `fit` whether its own `CompileLoss` is built,
        which would pair labels with single outputs, and is never called.
        """
        if not self._compile_loss.built:
            self._compile_loss.build(y, y_pred)

    # --- 4: all weights or none -------------------------------------------

    def load_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Loads weights, as `keras.Model.load_weights` does, or none at all.

        A `.weights.h5` file has no checksum: a number changed by a fault of
        the disk is loaded as it is. A `.keras` file has one.

        Raises:
            ValueError: If the file is missing, damaged or of another network;
                weights and optimizer are then what they were before.
        """
        if not os.path.exists(filepath):
            raise ValueError(
                f"There is no file {str(filepath)!r}. Nothing was loaded."
            )
        variables = list(self.variables)
        if getattr(self, "optimizer", None) is not None:
            variables += self.optimizer.variables
        before = [ops.convert_to_numpy(v.value).copy() for v in variables]
        try:
            super().load_weights(filepath, *args, **kwargs)
        except Exception as error:
            reason = str(error)
        else:
            return
        # Outside of `except`, so that nobody keeps hold of the open file.
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        raise ValueError(
            f"The weights in {str(filepath)!r} do not fit this model, or "
            "the file is damaged. Nothing was loaded. Build the model as "
            "it was when the file was written (classes, stages, widths, "
            "compiled loss), or write the file again. To load what fits, from "
            "a model of another number of classes say, use "
            f"`load_weights(..., skip_mismatch=True)`. Keras said: {reason}"
        )


class _Turn:
    """Whose turn it is to work with the weights of a network."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._owner: int | None = None
        # Who trains, or waits to: the others need not wait for an hour.
        self._trainer: int | None = None

    @contextlib.contextmanager
    def taken(self, trains: bool) -> Iterator[None]:
        me = threading.get_ident()
        outer, waits = self._owner, self._owner != me
        if waits:
            self._refuse_beside_training(me)
        announces = trains and self._trainer is None
        if announces:
            self._trainer = me
        try:
            while not self._lock.acquire(timeout=0.05):
                self._refuse_beside_training(me)
            try:
                self._owner = me
                yield
            finally:
                self._owner = None if waits else outer
                self._lock.release()
        finally:
            if announces:
                self._trainer = None

    def _refuse_beside_training(self, me: int) -> None:
        if self._trainer not in (None, me):
            raise RuntimeError(
                "Another thread is training this model, and this would change "
                "what it counts, or take its weights away. Wait for it, or "
                "use a copy in this thread: `keras.models.clone_model` and "
                "`set_weights`."
            )


_TURNS: MutableMapping[Any, _Turn] = weakref.WeakKeyDictionary()


def _in_lines(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `fit`, ... with `verbose="auto"` as lines where no bar is seen."""
    given = inspect.signature(method).bind(*args, **kwargs)
    given.apply_defaults()
    if given.arguments["verbose"] == "auto" and not on_terminal():
        given.arguments["verbose"] = 2
    return method(*given.args, **given.kwargs)


def arguments_of(method: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """What a method of `keras.Model` is given behind `self`, by name."""
    signature = inspect.signature(getattr(keras.Model, method))
    given = signature.bind(*args, **kwargs).arguments
    given.update(given.pop("kwargs", {}))
    del given["self"]
    return given


def moving_statistics(model: keras.Model) -> list[Any]:
    """Floats that layers move by themselves, which no weights are."""
    found = {
        id(variable): variable
        for layer in model._flatten_layers()
        for variable in layer._non_trainable_variables
        if "float" in variable.dtype and not _is_at_rest(layer)
    }
    return list(found.values())


def _is_at_rest(layer: Any) -> bool:
    return (
        isinstance(layer, keras.layers.BatchNormalization)
        and not layer.trainable
    )


def clear_losses(layer: Any) -> None:
    """Forget the losses that a layer's last call added (Keras 3.15).

    `stateless_call` returns them, and leaves them with the layer as well.
    """
    layer._clear_losses()


def _of_any_backend(config: Any) -> Any:
    """A config in which PyTorch's own optimizers are those of any backend."""
    if isinstance(config, dict):
        config = {key: _of_any_backend(value) for key, value in config.items()}
        if str(config.get("module")).startswith("keras.src.backend.torch.opt"):
            config["module"] = "keras.optimizers"
            config["registered_name"] = None
        return config
    if isinstance(config, (list, tuple)):
        return [_of_any_backend(value) for value in config]
    return config
