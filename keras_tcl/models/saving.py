"""Open a saved model, or say what is wrong with the file."""

import json
import os
import zipfile
from typing import Any

import keras

from keras_tcl.models.tcl_model import TCLModel


def load_model(filepath: str | os.PathLike[str], **kwargs: Any) -> Any:
    """Opens a `.keras` file that `model.save` wrote, under any backend.

    The same as `keras.models.load_model`, which works as well once
    `keras_tcl` is imported, with clearer words for files that cannot be
    opened.

    Args:
        filepath: Path of the file.
        **kwargs: As for `keras.models.load_model`.

    Returns:
        A `keras_tcl.TCLModel`, or the plain `keras.Model` of an inference or
        step model.

    Raises:
        ValueError: If the file is missing or damaged, or is the file of
            something else than a spiking network of this library.
    """
    path = os.fspath(filepath)
    if not os.path.exists(path):
        raise ValueError(f"There is no such file: {path!r}.")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(
            f"{path!r} is not a whole `.keras` file: it is truncated, "
            f"damaged, or of another kind ({error}). Nothing was loaded."
        ) from error
    if damaged is not None:
        raise ValueError(
            f"{path!r} is damaged: {damaged!r} within it has a wrong "
            "checksum. Nothing was loaded."
        )
    package = f"{TCLModel.__module__.partition('.')[0]}>"
    if package not in json.dumps(config):
        raise ValueError(
            f"{path!r} holds a {config.get('class_name')} without any layer "
            "of keras_tcl. Open it with `keras.models.load_model`."
        )
    return keras.models.load_model(filepath, **kwargs)
