"""Optional packages, imported when first needed."""

import importlib
from typing import Any


def require(module: str, purpose: str, install: str) -> Any:
    """Import an optional module, or say what to install.

    Args:
        module: String, dotted name of the module.
        purpose: String, what it is needed for, as a noun phrase.
        install: String, what pip is to install, such as
            `"keras_tcl[data]"`.

    Returns:
        The module.

    Raises:
        ImportError: where it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs the package `{module.split('.')[0]}`, which "
            f"cannot be imported ({error}). Install it with "
            f"`pip install {install}`."
        ) from error
