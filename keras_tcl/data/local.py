"""Official files that the user put under `data_dir`."""

import os
import pathlib
import tarfile
import tempfile
import zlib
from collections.abc import Mapping, Sequence


def default_data_dir() -> pathlib.Path:
    """`$KERAS_TCL_DATA_DIR`, or else `~/keras_tcl_data`."""
    named = os.environ.get("KERAS_TCL_DATA_DIR")
    return pathlib.Path(named or "~/keras_tcl_data").expanduser()


def find_files(
    data_dir: pathlib.Path,
    name: str,
    required: Sequence[str],
    archives: Mapping[str, str] | None = None,
) -> pathlib.Path | None:
    """Find the official files of a data set, unpacking archives at need.

    The place is `data_dir/name`, or also `data_dir` where everything required
    lies in one folder (of an unmistakable name, therefore). Unpacked files
    come first, then archives, which are unpacked beside themselves.

    Args:
        data_dir: Path.
        name: String, name of the data set.
        required: Strings, the paths that must be there.
        archives: Dict of the names of the official archives to the folders
            of the place to unpack them in (`""` for the place itself).

    Returns:
        The place, under which all of `required` exist, or `None` where there
        is no trace of the data set.

    Raises:
        ValueError: where only a part is there, or an archive is damaged or
            holds something else.
    """
    places = [data_dir / name]
    if len({_top(path) for path in required}) == 1:
        places.append(data_dir)
    for place in places:
        if all((place / path).exists() for path in required):
            return place
    for place in places:
        found = {
            place / file: folder
            for file, folder in (archives or {}).items()
            if (place / file).is_file()
        }
        if found:
            _unpack(found, place, required)
            return place
    for place in places:
        missing = [path for path in required if not (place / path).exists()]
        if len(missing) < len(required):
            raise ValueError(
                f"`{name}` is incomplete: {place} lacks "
                f"{', '.join(missing)}. Complete it, or remove what is there."
            )
    return None


def _unpack(
    archives: Mapping[pathlib.Path, str],
    place: pathlib.Path,
    required: Sequence[str],
) -> None:
    """Unpack archives into `place`: all that is required, or nothing.

    They are unpacked into a temporary folder first and moved when complete,
    so that a failure leaves nothing behind that could pass for the whole.
    """
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=place) as name:
        staging = pathlib.Path(name)
        for archive, folder in archives.items():
            try:
                with tarfile.open(archive) as file:
                    file.extractall(staging / folder, filter="data")
            except (tarfile.TarError, EOFError, zlib.error) as error:
                raise ValueError(
                    f"{archive} is no whole tar archive ({error}). It is "
                    "truncated or something else; fetch it again."
                ) from error
        missing = [
            path
            for path in required
            if not (staging / path).exists() and not (place / path).exists()
        ]
        if missing:
            raise ValueError(
                f"{', '.join(map(str, archives))} should bring, but do not, "
                f"{', '.join(missing)}: an archive is missing or belongs to "
                "another data set."
            )
        for top in {_top(path) for path in required}:
            if (staging / top).exists() and not (place / top).exists():
                try:
                    os.rename(staging / top, place / top)
                except OSError:
                    # A parallel process may have been faster; a file system
                    # that refuses is another matter.
                    if not (place / top).exists():
                        raise


def _top(path: str) -> str:
    return pathlib.PurePosixPath(path).parts[0]
