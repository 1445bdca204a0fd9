"""From functions that draw networks to models by name."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import keras

from keras_tcl import graph
from keras_tcl.layers import BatchNormalization
from keras_tcl.models.cost import count_macs, count_parameters
from keras_tcl.models.presets import with_preset
from keras_tcl.models.tcl_model import TCLModel


class ModelFunction(Protocol):
    """A function that makes a model; `network` draws its network alone."""

    __name__: str
    network: Callable[..., keras.Model]

    def __call__(self, *args: Any, **kwargs: Any) -> TCLModel: ...


_MODELS: dict[str, ModelFunction] = {}


def trainable(draw: Callable[..., keras.Model]) -> ModelFunction:
    """Makes of a function that draws a network one that returns a `TCLModel`.

    The new function takes the arguments of both, `weights` behind
    `timesteps`, by name too; `dtype`, the policy under which it is drawn; and
    `synchronized`, that of its batch normalizations. What was decorated stays
    at hand as its attribute `network`.
    """
    drawing = inspect.signature(draw).parameters
    training = {
        name: p.replace(kind=p.KEYWORD_ONLY)
        for name, p in inspect.signature(TCLModel).parameters.items()
        if name not in ("network", "classes", "kwargs")
    }
    for name, default in (("dtype", None), ("synchronized", False)):
        training[name] = inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default
        )
    parameters = {**training, **drawing}
    parameters["weights"] = training["weights"].replace(
        kind=inspect.Parameter.POSITIONAL_OR_KEYWORD
    )
    order = list(dict.fromkeys([*drawing, *training]))
    order.remove("weights")
    order.insert(order.index("timesteps") + 1, "weights")
    signature = inspect.Signature(
        sorted((parameters[name] for name in order), key=lambda p: p.kind),
        return_annotation=TCLModel,
    )

    @functools.wraps(draw)
    def make(*args: Any, **kwargs: Any) -> TCLModel:
        given = signature.bind(*args, **kwargs).arguments
        given = with_preset(draw.__name__, given, drawing)
        given.setdefault("name", parameters["name"].default)
        with _dtype_policy(given.get("dtype")):
            network = draw(**{k: v for k, v in given.items() if k in drawing})
        if given.pop("synchronized", False):
            for layer in graph.inner_layers(network):
                if isinstance(layer, BatchNormalization):
                    layer.synchronized = True
        mine = {k: v for k, v in given.items() if k in training}
        return TCLModel(network, name=given["name"], **mine)

    made = cast(Any, make)
    made.__signature__ = signature
    made.network = draw
    return cast(ModelFunction, make)


@contextlib.contextmanager
def _dtype_policy(dtype: Any) -> Iterator[None]:
    """Within, Keras' default policy is another, if one is given."""
    before = keras.config.dtype_policy()
    if dtype is not None:
        keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def variant(of: ModelFunction) -> Callable[..., ModelFunction]:
    """Registers a network of fixed depth and width by its function's name.

    The function takes `*args` and `**kwargs` and hands them on to
    `of.network`, whose other arguments become its own, with the defaults that
    it gives itself.
    """

    def decorate(draw: Callable[..., keras.Model]) -> ModelFunction:
        @functools.wraps(draw)
        def named(*args: Any, **kwargs: Any) -> keras.Model:
            kwargs.setdefault("name", draw.__name__)
            return draw(*args, **kwargs)

        own = inspect.signature(draw).parameters
        parameters = {
            name: own.get(name, p).replace(kind=p.kind)
            for name, p in inspect.signature(of.network).parameters.items()
            if not name.startswith("stackwise_")
        }
        name = parameters["name"].replace(default=draw.__name__)
        parameters["name"] = name
        cast(Any, named).__signature__ = inspect.Signature(
            list(parameters.values()), return_annotation=keras.Model
        )
        named.__doc__ = (
            f"{inspect.cleandoc(draw.__doc__ or '')}\n\nArguments and errors "
            f"are those of `keras_tcl.{of.__name__}`, with the defaults shown."
        )
        _MODELS[draw.__name__] = model = trainable(named)
        return model

    return decorate


def list_models() -> list[str]:
    """Returns the names that `create_model` knows, sorted.

    Each is also a function of `keras_tcl`.
    """
    return sorted(_MODELS)


def create_model(name: str, **kwargs: Any) -> TCLModel:
    """Makes a model by the name of its network.

    Args:
        name: One of `list_models()`.
        **kwargs: Passed on to the function of that name: `input_shape`,
            `classes`, `timesteps`, `weights`, ...

    Returns:
        A `keras_tcl.TCLModel`.

    Raises:
        ValueError: If the name is unknown, or an argument does not fit.

    Example:

    >>> model = keras_tcl.create_model("spiking_vgg11", classes=100)
    >>> model.classes
    100
    """
    if name not in _MODELS:
        raise ValueError(
            f"There is no model of this name; there are {list_models()}. "
            f"Received: name={name!r}."
        )
    return _MODELS[name](**kwargs)


def model_table(**kwargs: Any) -> str:
    """Returns a Markdown table of all networks and what they cost.

    Args:
        **kwargs: As for `create_model`, for all of them.

    Example:

    ```python
    print(keras_tcl.models.model_table())
    ```
    """
    lines = [
        "| model | input | parameters | MACs per step | output stages |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in list_models():
        model = create_model(name, **kwargs)
        shape = model.sample_shape[-3:]
        stages = [
            "x".join(map(str, stage.shape[-3:]))
            for stage in model.stages.values()
        ]
        lines.append(
            f"| `{name}` | {'x'.join(map(str, shape))} "
            f"| {count_parameters(model) / 1e6:.2f} M "
            f"| {count_macs(model) / 1e6:.0f} M | {', '.join(stages)} |"
        )
    return "\n".join(lines)
