"""Keras' own losses and metrics, which must take logits here."""

import inspect
from typing import Any

import keras

_KINDS = {
    name.lower(): kind
    for name, kind in vars(keras.losses).items()
    if inspect.isclass(kind)
}
# They read their input as probabilities, or as rates, and cannot be told that
# it is logits.
_OF_PROBABILITIES = {
    keras.losses.CategoricalGeneralizedCrossEntropy,
    keras.losses.Dice,
    keras.losses.KLDivergence,
    keras.losses.MeanSquaredLogarithmicError,
    keras.losses.Poisson,
    keras.losses.Tversky,
}
_METRICS_OF_PROBABILITIES = (
    keras.metrics.KLDivergence,
    keras.metrics.MeanSquaredLogarithmicError,
    keras.metrics.Poisson,
)


def loss_of_logits(loss: Any) -> Any:
    """The one loss of logits that is meant by what `compile` was given.

    One that is named, or given as a class or a function of `keras.losses`, is
    told that it gets logits.

    Raises:
        ValueError: If there are several, or it takes probabilities.
    """
    given = loss
    if isinstance(given, (list, tuple)) and len(given) == 1:
        (given,) = given
    is_config = isinstance(given, dict) and "class_name" in given
    if isinstance(given, (dict, list, tuple)) and not is_config:
        raise ValueError(
            "The model has one output, its logits, and takes one loss. To "
            "train several outputs, each with a loss, make a `keras.Model` "
            "of `model.inputs` and of outputs that you draw from "
            f"`model.stages` and `model.output`. Received: loss={loss!r}."
        )
    is_name = isinstance(given, str)
    if is_name or is_config:
        given = keras.losses.get(given)
    kind = _kind_of(given)
    if kind in _OF_PROBABILITIES:
        raise ValueError(
            "The model returns logits, but this loss takes probabilities, or "
            "other numbers that are never negative. Use a loss that takes "
            "logits, such as `keras.losses.CategoricalCrossentropy("
            "from_logits=True)` (for soft labels it differs from the KL "
            "divergence by a constant), or a function of your own that makes "
            f"probabilities of them first. Received: loss={loss!r}."
        )
    takes_logits = getattr(given, "from_logits", True)
    if kind and "from_logits" in inspect.signature(kind).parameters:
        if inspect.isclass(given) or (is_name and isinstance(given, kind)):
            make: Any = given if inspect.isclass(given) else type(given)
            return make(from_logits=True)
        if inspect.isfunction(given):
            return kind(from_logits=True)
        if hasattr(given, "keywords"):  # A `functools.partial`.
            takes_logits = given.keywords.get("from_logits", False)
    if takes_logits is False:
        name = (kind or type(given)).__name__
        raise ValueError(
            "The model returns logits, but this loss takes probabilities. "
            f"Use `{name}(from_logits=True)`. Received: loss={loss!r} with "
            "from_logits=False."
        )
    return given() if inspect.isclass(given) else given


def metrics_of_logits(metrics: Any) -> Any:
    """Metrics as `compile` takes them, told that they get logits.

    Those that can be told are: by name, as a class or a function of Keras.

    Raises:
        ValueError: If one takes probabilities.
    """
    if isinstance(metrics, dict) and "class_name" not in metrics:
        return {k: metrics_of_logits(v) for k, v in metrics.items()}
    if isinstance(metrics, (list, tuple)):
        return [metrics_of_logits(metric) for metric in metrics]
    # Keras itself chooses which accuracy is meant.
    is_accuracy = isinstance(metrics, str) and metrics in ("accuracy", "acc")
    if metrics is None or is_accuracy:
        return metrics
    given = metrics
    if isinstance(metrics, (str, dict)) or inspect.isclass(metrics):
        given = keras.metrics.get(metrics)
    if isinstance(given, _METRICS_OF_PROBABILITIES):
        raise _metric_of_probabilities(metrics, "one that takes logits")
    if isinstance(given, keras.metrics.Metric):
        config = given.get_config()
        if config.get("from_logits", True) is not False:
            return metrics
        if given is metrics:
            way = f"`{type(given).__name__}(from_logits=True)`"
            raise _metric_of_probabilities(metrics, way)
        name = metrics if isinstance(metrics, str) else config["name"]
        config = {**config, "from_logits": True, "name": name}
        return type(given).from_config(config)
    function = getattr(given, "func", given)
    if "from_logits" in inspect.signature(function).parameters:
        if function is given:
            return keras.metrics.MeanMetricWrapper(
                given, name=given.__name__, from_logits=True
            )
        if not given.keywords.get("from_logits"):
            raise _metric_of_probabilities(metrics, "`from_logits=True`")
    return metrics


def takes_ids(loss: Any) -> bool:
    """Whether a Keras loss takes class ids."""
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    return loss is keras.losses.sparse_categorical_crossentropy or isinstance(
        loss, keras.losses.SparseCategoricalCrossentropy
    )


def ignored_class(loss: Any) -> int | None:
    """The class id that a Keras loss leaves out, if there is one."""
    return getattr(loss, "ignore_class", None)


def _metric_of_probabilities(metric: Any, way: str) -> ValueError:
    return ValueError(
        "The model returns logits, but this metric takes probabilities. Use "
        f"{way}. Received: metric {metric!r}."
    )


def _kind_of(loss: Any) -> Any:
    """The class of `keras.losses` that a loss is of, or `None`."""
    loss = getattr(loss, "func", loss)
    kinds = loss.__mro__ if inspect.isclass(loss) else type(loss).__mro__
    for kind in (loss,) if inspect.isfunction(loss) else kinds:
        if kind.__module__.startswith("keras."):
            # `BinaryCrossentropy`, or its function `binary_crossentropy`.
            name = kind.__name__.replace("_", "").lower()
            if name in _KINDS:
                return _KINDS[name]
    return None
