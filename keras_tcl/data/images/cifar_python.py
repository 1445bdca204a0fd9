"""The python version of CIFAR-10 and CIFAR-100: dictionaries, as pickles.

A pickle may call any function of Python. These may make arrays of NumPy.
"""

import codecs
import pathlib
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

# What makes an array, wherever this version of NumPy keeps it.
_RECONSTRUCT: Any = np.zeros(1).__reduce_ex__(2)[0]
_FROM_BUFFER: Any = np.zeros(1).__reduce_ex__(5)[0]

_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # Bytes, in the old protocol.
    ("_codecs", "encode"): codecs.encode,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which an array does not need"
            )
        return _KNOWN[module, name]


def read_python(
    paths: Sequence[pathlib.Path], label: str
) -> tuple[np.ndarray, np.ndarray]:
    """Read files of the python version without running what they say.

    Args:
        paths: Paths of the files.
        label: String, the key of the labels: `"labels"`, `"fine_labels"` or
            `"coarse_labels"`.

    Returns:
        Images, uint8 `[N, 32, 32, 3]`, and labels `[N]`.

    Raises:
        ValueError: naming the file, where it is damaged or another pickle.
    """
    images, labels = [], []
    for path in paths:
        try:
            with open(path, "rb") as stream:
                content = _ArraysOnly(stream, encoding="bytes").load()
            pixels = np.asarray(_entry(content, "data"))
            planes = pixels.reshape(-1, 3, 32, 32)
            numbers = np.asarray(_entry(content, label))
            if pixels.dtype != "uint8" or len(numbers) != len(planes):
                raise ValueError(
                    f"{pixels.dtype} {pixels.shape}, {len(numbers)} labels"
                )
        except Exception as error:  # A damaged pickle raises anything.
            raise ValueError(
                f"{path} is no file of CIFAR's python version, a dictionary "
                f"with {label!r} and uint8 'data' [N, 3072] "
                f"({type(error).__name__}: {error}). Fetch it again, or take "
                "the binary version."
            ) from error
        images.append(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)))
        labels.append(numbers)
    return np.concatenate(images), np.concatenate(labels)


def _entry(content: Any, key: str) -> Any:
    """The value of a key that Python 2 may have written, as bytes."""
    return content[key.encode() if key.encode() in content else key]
