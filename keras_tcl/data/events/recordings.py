"""Where the recordings of a data set are."""

import pathlib
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

from keras_tcl.data.events.readers import READERS
from keras_tcl.optional import require


def find_folder(
    data_dir: pathlib.Path, places: Sequence[str], names: Sequence[str]
) -> pathlib.Path | None:
    """Find where a data set lies, unpacking its archives at need.

    Args:
        data_dir: Folder of the data sets.
        places: Strings, the folders in it to look into.
        names: Strings, the data set's own folders. `NAME.zip` is unpacked
            where the folder is not there: whole, or not at all.

    Returns:
        The first place that has one of the folders, or `None`.

    Raises:
        ValueError: if an archive is damaged or holds something else.
    """
    for place in places:
        root = data_dir / place
        for name in names:
            for archive in (f"{name}.zip", f"{name.lower()}.zip"):
                if (root / archive).is_file() and not (root / name).is_dir():
                    _unpack(root / archive, root / name)
        if any((root / name).is_dir() for name in names):
            return root
    return None


def _unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(
        prefix=".unpack-", dir=archive.parent
    ) as staging:
        try:
            with zipfile.ZipFile(archive) as content:
                content.extractall(staging)
        except (zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise ValueError(
                f"{archive} is not a whole zip archive ({error}). Fetch it "
                "again."
            ) from error
        unpacked = pathlib.Path(staging, folder.name)
        if not unpacked.is_dir():
            raise ValueError(
                f"{archive} holds no folder {folder.name}: it belongs to "
                "another data set."
            )
        try:
            unpacked.rename(folder)
        except OSError:
            if not folder.is_dir():  # Another process was not faster.
                raise


def find_recordings(
    folder: pathlib.Path,
    class_names: Sequence[str],
    where: str,
    suffixes: Sequence[str] = tuple(READERS),
) -> tuple[list[pathlib.Path], list[int]]:
    """List the recordings below a folder that has one folder a class.

    Args:
        folder: The folder.
        class_names: The classes' folders in the order of their labels.
        where: String, which files to put where; the error's last words.
        suffixes: The suffixes of recordings.

    Returns:
        Paths, class by class and by name within one, and their labels.

    Raises:
        ValueError: if a class has no recording.
    """
    files: list[pathlib.Path] = []
    labels: list[int] = []
    for label, name in enumerate(class_names):
        found = sorted(
            path
            for path in (folder / name).glob("*")
            if path.suffix in suffixes and not path.name.startswith(".")
        )
        if not found:
            raise ValueError(
                f"{folder / name} holds no recording "
                f"({', '.join(suffixes)}). {where}"
            )
        files += found
        labels += [label] * len(found)
    return files, labels


def download(
    dataset: str, data_dir: pathlib.Path, where: str, **options: Any
) -> None:
    """Download and unpack a data set with tonic, below `data_dir / dataset`.

    Args:
        dataset: String, the class in `tonic.datasets`.
        data_dir: Folder.
        where: String, which files to put where; the error's last words.
        **options: Further arguments of that class.

    Raises:
        ImportError: without tonic.
        ValueError: if the download fails, as it does without a network.
    """
    datasets = require(
        "tonic.datasets", f"Downloading {dataset}", "keras_tcl[dvs]"
    )
    try:
        getattr(datasets, dataset)(save_to=str(data_dir), **options)
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"Downloading {dataset} failed ({error}). By hand: {where}"
        ) from error
