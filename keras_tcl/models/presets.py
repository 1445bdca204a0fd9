"""Trained networks to start from: folders with a configuration and weights.

The folders are laid out as KerasHub's presets. Those in `keras_tcl/presets`
are shipped, and known by their names.
"""

import copy
import datetime
import hashlib
import inspect
import json
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_tcl.models.cards import model_card
from keras_tcl.models.cost import count_parameters
from keras_tcl.version import __version__

CONFIG, METADATA = "config.json", "metadata.json"
WEIGHTS, CARD = "model.weights.h5", "README.md"
SHIPPED = pathlib.Path(__file__).parents[1] / "presets"

# What Keras writes for values that are no objects of a class.
_VALUES = (
    *("__tensor__", "__keras_tensor__", "__numpy__"),
    *("__bytes__", "__slice__", "__ellipsis__"),
)


def list_presets(network: str | None = None) -> dict[str, dict[str, Any]]:
    """Returns the trained networks that come with this package, by name.

    Args:
        network: String, a name of `list_models()`, for the presets of that
            network alone. Defaults to all.

    Returns:
        Dictionary from each name to what its `metadata.json` says: `network`
        and its `arguments`, `description`, `data`, `recipe`, `results`, ...

    Example:

    >>> presets = keras_tcl.list_presets("sew_resnet8")
    >>> presets["digits"]["arguments"]["classes"]
    10
    """
    folders = sorted(f.parent for f in SHIPPED.glob(f"*/{METADATA}"))
    found = {f.name: _read_json(f, METADATA) for f in folders}
    return {k: v for k, v in found.items() if network in (None, v["network"])}


def save_preset(
    model: Any, folder: Any, metadata: Mapping[str, Any] | None = None
) -> None:
    """Does what `keras_tcl.TCLModel.save_to_preset` says."""
    folder = pathlib.Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(
            f"A preset is a folder, and {str(folder)!r} is a file. Nothing "
            "was written. Give another name."
        )
    config = keras.saving.serialize_keras_object(model)
    config = {
        key: config[key]
        for key in ("module", "class_name", "config", "registered_name")
    }
    # What could not be read back is not written. The weights are those of a
    # copy without optimizer, projection heads and augmenter: they fit all.
    failure = "This model cannot become a preset"
    _built(config, type(model), failure)
    settings = {**config["config"], "augmenter": None}
    alike = _built({**config, "config": settings}, type(model), failure)
    alike.network.set_weights(model.network.get_weights())
    facts = {**_own(metadata), **_facts(model)}
    contents = {
        CONFIG: _as_json(config),
        CARD: model_card(facts, folder.name).encode("utf-8"),
    }
    # Nothing but a disk can fail from here on.
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as name:
        made = pathlib.Path(name)
        for file, content in contents.items():
            (made / file).write_bytes(content)
        alike.save_weights(made / WEIGHTS)
        (made / METADATA).write_bytes(
            _as_json({**facts, "sha256": checksums(made)})
        )
        for file in (WEIGHTS, CONFIG, METADATA, CARD):
            if file != CARD or not (folder / CARD).exists():
                os.replace(made / file, folder / file)


def load_preset(cls: type, preset: Any, load_weights: bool = True) -> Any:
    """Does what `keras_tcl.TCLModel.from_preset` says."""
    folder = _folder(preset)
    metadata, config = (_read_json(folder, f) for f in (METADATA, CONFIG))
    _check_config(folder, metadata)
    if load_weights:
        _check_weights(folder, metadata)
    model = _built(config, cls, f"{str(folder)!r} cannot be read")
    if load_weights:
        model.load_weights(folder / WEIGHTS)
    return model


def with_preset(
    network: str, given: dict[str, Any], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Arguments of a network's function, those of a preset among them.

    Where `weights` names a preset of this network, its arguments are the
    defaults, and its file takes the place of the name.

    Args:
        network: String, the function's name.
        given: The arguments that the user gave.
        parameters: The `inspect.Parameter`s of the network by name.

    Raises:
        ValueError: If `weights` is neither a file nor a preset of this
            network, or an argument is not the preset's.
    """
    weights = given.get("weights")
    if weights is None:
        return given
    if not isinstance(weights, (str, os.PathLike)):
        raise ValueError(
            "`weights` must be the path of a `.weights.h5` file, the name of "
            f"a preset, or None. Received: weights={weights!r}."
        )
    name = os.fspath(weights)
    if name not in list_presets():
        if not os.path.isfile(name) and not name.endswith(
            (".h5", ".keras", ".json")
        ):
            raise ValueError(_no_weights(network, name))
        return given
    if name not in list_presets(network):
        raise ValueError(_no_weights(network, name))
    folder = SHIPPED / name
    metadata = _read_json(folder, METADATA)
    _check_config(folder, metadata)
    _check_weights(folder, metadata)
    own = metadata["arguments"]
    if not given.get("skip_mismatch"):
        _check_arguments(name, given, own, parameters)
    return {**own, **given, "weights": str(folder / WEIGHTS)}


def _no_weights(network: str, weights: str) -> str:
    others = list_presets()
    if weights in others:
        found = f"is of another network, {others[weights]['network']}"
    elif os.path.isdir(weights):
        found = (
            "is a folder, which `keras_tcl.TCLModel.from_preset` opens if it "
            "is a preset"
        )
    else:
        found = "is no file, and no preset"
    names = list(list_presets(network))
    return (
        f"`weights` must be the path of a `.weights.h5` file, or a preset of "
        f"{network}, of which there are {names}. Received: "
        f"weights={weights!r}, which {found}."
    )


def _check_arguments(
    preset: str, given: Any, own: Any, parameters: Mapping[str, Any]
) -> None:
    """Raises a ValueError where the user wants another network."""
    # Any T will do: what a network does first does not depend on it.
    for name in given.keys() & parameters.keys() - {"name", "timesteps"}:
        default = parameters[name].default
        trained = own.get(name, None if default is inspect._empty else default)
        if not _same(name, given[name], trained):
            raise ValueError(
                f"The preset {preset!r} was trained with {name}={trained!r}. "
                f"Leave `{name}` out; or give `skip_mismatch=True` for a "
                "network that only begins with those of its weights that fit. "
                f"Received: {name}={given[name]!r}."
            )


def _same(name: str, given: Any, trained: Any) -> bool:
    def plain(value: Any) -> Any:
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(value, (tuple, list)):
            return [plain(x) for x in value]
        return value

    given, trained = plain(given), plain(trained)
    if name == "input_shape" and isinstance(given, list) and len(given) == 4:
        given, trained = given[1:], trained[-3:] * (len(trained) == 4)
    # An array in disguise would be equal element by element.
    return bool(type(given == trained) is bool and given == trained)


def checksums(folder: pathlib.Path) -> dict[str, str]:
    """What `metadata.json` has as `"sha256"`, of the files in a folder."""
    return {file: _digest(folder / file) for file in (WEIGHTS, CONFIG)}


def _own(metadata: Any) -> dict[str, Any]:
    """What the user says of a preset, as it will be read again."""
    if not isinstance(metadata, (Mapping, type(None))):
        raise ValueError(
            "`metadata` must be a dictionary, or None. Nothing was written. "
            f"Received: metadata={metadata!r}."
        )
    return json.loads(_as_json(dict(metadata or {})))


def _facts(model: Any) -> dict[str, Any]:
    """What a saved preset says of itself."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "keras_version": keras.__version__,
        "keras_tcl_version": __version__,
        "backend": keras.config.backend(),
        "date_saved": now.strftime("%Y-%m-%d@%H:%M:%S"),
        "parameter_count": count_parameters(model),
        "classes": model.classes,
        "sample_shape": list(model.sample_shape),
        "value_range": None if model.takes_events else list(model.value_range),
        "timesteps": model.timesteps or model.sample_shape[0],
    }


def _folder(preset: Any) -> pathlib.Path:
    if isinstance(preset, (str, os.PathLike)):
        if os.fspath(preset) in list_presets():
            return SHIPPED / preset
        if os.path.isdir(preset):
            return pathlib.Path(preset)
    raise ValueError(
        "A preset is a folder that `save_to_preset` wrote, or one of those "
        f"that are shipped: {list(list_presets())}. Received: {preset!r}, "
        "which is neither."
    )


def _read_json(folder: pathlib.Path, name: str) -> dict[str, Any]:
    """The dictionary in a file of a preset."""
    try:
        content = json.loads((folder / name).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(_not_whole(folder, f"{name}: {error}")) from error
    if not isinstance(content, dict):
        raise ValueError(_not_whole(folder, f"{name} is no dictionary"))
    return content


def _check_config(folder: pathlib.Path, metadata: Mapping[str, Any]) -> None:
    """Raises a ValueError if the network is not the one that was saved.

    A preset written before there was a checksum of it is taken as it is.
    """
    known = metadata.get("sha256")
    if isinstance(known, Mapping) and CONFIG in known:
        _check_digest(folder, CONFIG, known[CONFIG])


def _check_weights(folder: pathlib.Path, metadata: Mapping[str, Any]) -> None:
    """Raises a ValueError if the weights are not those that were saved."""
    try:
        wanted = metadata["sha256"][WEIGHTS]
    except (KeyError, TypeError) as error:
        reason = f"{METADATA} has no checksum of {WEIGHTS}"
        raise ValueError(_not_whole(folder, reason)) from error
    _check_digest(folder, WEIGHTS, wanted)


def _check_digest(folder: pathlib.Path, name: str, wanted: Any) -> None:
    try:
        found = _digest(folder / name)
    except OSError as error:
        raise ValueError(_not_whole(folder, str(error))) from error
    if found != wanted:
        reason = f"{name} is not what {METADATA} has the checksum of"
        raise ValueError(_not_whole(folder, reason))


def _not_whole(folder: pathlib.Path, reason: str) -> str:
    return (
        f"{str(folder)!r} is not a whole preset: it is damaged, or of another "
        f"library ({reason}). Nothing was loaded. A preset has the files "
        f"{CONFIG}, {METADATA} and {WEIGHTS}, as "
        "`keras_tcl.TCLModel.save_to_preset` writes them: save or copy it "
        "anew."
    )


def _built(config: Mapping[str, Any], cls: type, failure: str) -> Any:
    """The model of a configuration that has nothing unknown in it.

    Raises:
        ValueError: If it is none of class `cls`, has a class or function that
            is neither Keras' nor registered, or Python code.
    """
    for inner in _objects(config):
        name = inner.get("registered_name") or inner["class_name"]
        if inner["class_name"] in ("Lambda", "__lambda__"):
            raise ValueError(
                f"{failure}: it holds Python code, in a Lambda, and a preset "
                "is safe to open. Write a layer, and register it by "
                "`@keras.saving.register_keras_serializable()`."
            )
        if _object_of(inner) is None:
            raise ValueError(
                f"{failure}: it uses {name!r} (of {inner.get('module')!r}), "
                "which is neither Keras' nor registered. Import the module "
                "that defines it, under `@keras.saving."
                "register_keras_serializable()`."
            )
    found = _object_of(config)
    if not (isinstance(found, type) and issubclass(found, cls)):
        raise ValueError(
            f"{failure}: it is no {cls.__name__}. Received: the configuration "
            f"of {config.get('registered_name') or config.get('class_name')!r}."
        )
    try:
        # A copy, for Keras takes out what it has read.
        return keras.saving.deserialize_keras_object(
            copy.deepcopy(config), safe_mode=True
        )
    except Exception as error:  # Whatever a constructor says to bad settings.
        cause: BaseException = error
        while cause.__context__ is not None:  # Keras says it ever longer.
            cause = cause.__context__
        raise ValueError(f"{failure}: {cause}") from error


def _objects(config: Any) -> list[Mapping[str, Any]]:
    """Every description of an object within a configuration."""
    found: list[Mapping[str, Any]] = []
    left = [config]
    while left:
        value = left.pop()
        if isinstance(value, Mapping):
            left += value.values()
            if value.get("class_name", "__bytes__") not in _VALUES:
                found.append(value)
        elif isinstance(value, (list, tuple)):
            left += value
    return found


def _object_of(config: Mapping[str, Any]) -> Any:
    """The registered class of a description; one of Keras' as `True`."""
    keys = ("registered_name", "class_name", "module")
    registered, name, module = (config.get(key) for key in keys)
    if not isinstance(registered or name, str) or not isinstance(module, str):
        return None
    found = keras.saving.get_registered_object(registered or name)
    of_keras = module.split(".")[0] == "keras" or (
        (name, module) == ("function", "builtins")
    )
    return True if found is None and of_keras else found


def _digest(path: pathlib.Path) -> str:
    content = path.read_bytes()
    if path.name == CONFIG:  # Git may end lines as the system does.
        content = content.replace(b"\r\n", b"\n")
    return hashlib.sha256(content).hexdigest()


def _as_json(content: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False)
        return f"{text}\n".encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            "`metadata` must be a dictionary of what JSON knows: strings, "
            f"numbers, lists, dictionaries ({error}). Nothing was written."
        ) from error
