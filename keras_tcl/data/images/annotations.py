"""Reading the lists and .mat files of the official releases."""

import pathlib
from typing import Any

from keras_tcl.optional import require


def read_list(path: pathlib.Path) -> list[tuple[str, str]]:
    """Lines of the form `key value`, where the value may hold blanks.

    Raises:
        ValueError: where a line has no value, or the file is no text.
    """
    pairs = []
    for number, line in enumerate(read_lines(path), start=1):
        key, _, value = line.partition(" ")
        if not value.strip():
            raise ValueError(
                f"{path}, line {number}: expected a key and a value. "
                f"Received: {line!r}. The file is damaged."
            )
        pairs.append((key, value.strip()))
    return pairs


def read_integers(path: pathlib.Path) -> dict[str, int]:
    """Lines of the form `key integer`, as a dict.

    Raises:
        ValueError: where a value is no integer, or as `read_list`.
    """
    pairs = read_list(path)
    try:
        return {key: int(value) for key, value in pairs}
    except ValueError as error:
        raise ValueError(
            f"{path} must have an integer in each line ({error}). The file "
            "is damaged."
        ) from error


def read_lines(path: pathlib.Path) -> list[str]:
    """The lines of a text file that are not blank."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text file ({error}).") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_mat(path: pathlib.Path, variable: str, name: str) -> Any:
    """One variable of a MATLAB file, as scipy gives it, squeezed.

    Raises:
        ValueError: where the file is no MATLAB file or lacks the variable.
        ImportError: where scipy is missing.
    """
    scipy_io = require(
        "scipy.io", f"the official files of `{name}`", "keras_tcl[data]"
    )
    try:
        return scipy_io.loadmat(path, squeeze_me=True)[variable]
    except Exception as error:
        # scipy raises anything from TypeError to zlib.error.
        raise ValueError(
            f"{path} holds no MATLAB variable `{variable}` "
            f"({type(error).__name__}: {error}). It is damaged or of another "
            "data set."
        ) from error
