"""What to say where Keras' backend is not installed."""

import importlib.util
import os

BACKENDS = ("tensorflow", "jax", "torch")


def explained(error: ModuleNotFoundError) -> ImportError:
    """Returns an error that says what to install or to set.

    Args:
        error: What importing Keras raised; returned as it is if it is not the
            backend that is missing.
    """
    missing = (error.name or "").partition(".")[0]
    if missing not in BACKENDS:
        return error
    setting = "the environment variable KERAS_BACKEND"
    if not os.environ.get("KERAS_BACKEND"):
        home = os.environ.get("KERAS_HOME", os.path.join("~", ".keras"))
        setting = f"{os.path.join(home, 'keras.json')} or its own default"
    others = " or ".join(
        f"KERAS_BACKEND={name}"
        for name in BACKENDS
        if name != missing and importlib.util.find_spec(name)
    )
    choice = f", or set one that is: {others}" if others else ""
    return ImportError(
        f"Keras takes {missing} as its backend by {setting}, and {missing} "
        f'is not installed. Install it (`pip install "keras-tcl[{missing}]"`)'
        f"{choice}."
    )
