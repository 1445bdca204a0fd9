"""Files that the user put under `data_dir`: found, unpacked, listed."""

import os
import pathlib
import shutil
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_tcl import checks
from keras_tcl.data.sources import DataInfo
from keras_tcl.data.splits import SPLIT_RULES, split_rows


def default_data_dir() -> pathlib.Path:
    """`$KERAS_TCL_DATA_DIR`, or else `~/keras_tcl_data`."""
    named = os.environ.get("KERAS_TCL_DATA_DIR")
    return pathlib.Path(named or "~/keras_tcl_data").expanduser()


def find_files(
    data_dir: pathlib.Path,
    name: str,
    required: Sequence[str],
    archives: Mapping[str, str] | None = None,
    places: Sequence[str] | None = None,
) -> pathlib.Path | None:
    """Find the official files of a data set, unpacking archives at need.

    Unpacked files come first, then archives, which are unpacked beside
    themselves.

    Args:
        data_dir: Path.
        name: String, name of the data set.
        required: Strings, the paths that must be there.
        archives: Dict of the names of the official archives to the folders
            of the place to unpack them in (`""` for the place itself).
        places: Strings, the folders of `data_dir` to look into. Defaults to
            `name`, and to `data_dir` itself where everything required lies in
            one folder (of an unmistakable name, therefore).

    Returns:
        The place, under which all of `required` exist, or `None` where there
        is no trace of the data set.

    Raises:
        ValueError: where only a part is there, or an archive is damaged or
            holds something else.
    """
    if places is None:
        shared = len({_top(path) for path in required}) == 1
        places = [name, "."] if shared else [name]
    roots = [data_dir / place for place in places]
    for root in roots:
        if not _missing(required, root):
            return root
    for root in roots:
        found = {
            root / file: folder
            for file, folder in (archives or {}).items()
            if (root / file).is_file()
        }
        if found:
            unpack(found, root, required)
            return root
    for root in roots:
        missing = _missing(required, root)
        if len(missing) < len(required):
            raise ValueError(
                f"`{name}` is incomplete: {root} lacks "
                f"{', '.join(missing)}. Complete it, or remove what is there."
            )
    return None


def unpack(
    archives: Mapping[pathlib.Path, str],
    place: pathlib.Path,
    required: Sequence[str],
) -> None:
    """Unpack tar and zip archives into `place`: all required, or nothing.

    They are unpacked into a temporary folder first and moved when complete,
    so that a failure leaves nothing behind that could pass for the whole.

    Args:
        archives: Dict of archives to the folders of `place` for them.
        place: Path.
        required: Strings, the paths that must then be there. Only their top
            folders are moved.

    Raises:
        ValueError: where an archive is damaged or something is missing.
    """
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=place) as name:
        staging = pathlib.Path(name)
        for archive, folder in archives.items():
            # Python's zipfile keeps within the folder by itself.
            safe: Any = {} if archive.suffix == ".zip" else {"filter": "data"}
            try:
                shutil.unpack_archive(archive, staging / folder, **safe)
            except (
                shutil.ReadError,
                tarfile.TarError,
                zipfile.BadZipFile,
                EOFError,
                zlib.error,
            ) as error:
                raise ValueError(
                    f"{archive} is not a whole archive ({error}). It is "
                    "truncated or something else; fetch it again."
                ) from error
        missing = _missing(required, staging, place)
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


def _missing(required: Sequence[str], *roots: pathlib.Path) -> list[str]:
    return [
        path
        for path in required
        if not any((root / path).exists() for root in roots)
    ]


def warn_if_incomplete(
    info: DataInfo, split: str, count: int, place: pathlib.Path
) -> None:
    """Warn where a split is smaller or larger than the official one."""
    if count != info.splits[split]:
        warnings.warn(
            f"`{info.name}` in {place} has {count} examples in its split "
            f"{split!r}; the official release has {info.splits[split]}. "
            "Results do not compare with published ones.",
            stacklevel=2,
        )


def list_classes(
    root: pathlib.Path,
    class_names: Sequence[str],
    suffixes: Sequence[str],
    where: str,
) -> tuple[list[pathlib.Path], list[int]]:
    """List the files below a folder that has one folder a class.

    Args:
        root: The folder.
        class_names: The classes' folders in the order of their labels.
        suffixes: Strings, the suffixes of the files that count, lower case.
            A warning counts and names what else is there.
        where: String, which files to put where; the error's last words.

    Returns:
        Paths, class by class and by name within one, and their labels.

    Raises:
        ValueError: if a class has no file.
    """
    files, labels, skipped = _list(root, class_names, suffixes, where)
    _warn_of_skipped(root, skipped, suffixes)
    return files, labels


def _list(
    root: pathlib.Path,
    class_names: Sequence[str],
    suffixes: Sequence[str],
    where: str,
) -> tuple[list[pathlib.Path], list[int], list[pathlib.Path]]:
    """As `list_classes`, and what else is there."""
    files: list[pathlib.Path] = []
    labels: list[int] = []
    skipped: list[pathlib.Path] = []
    for label, name in enumerate(class_names):
        fitting: list[pathlib.Path] = []
        others: list[pathlib.Path] = []
        for path in sorted((root / name).glob("*")):
            if not path.name.startswith((".", "__")):
                fits = path.suffix.lower() in suffixes
                (fitting if fits else others).append(path)
        if not fitting:
            other = f" ({len(others)} others)" if others else ""
            raise ValueError(
                f"{root / name} holds no file of the kinds "
                f"{', '.join(suffixes)}{other}. Fill or remove it. {where}"
            )
        files += fitting
        labels += [label] * len(fitting)
        skipped += others
    return files, labels, skipped


def _warn_of_skipped(
    root: pathlib.Path,
    skipped: Sequence[pathlib.Path],
    suffixes: Sequence[str],
) -> None:
    if skipped:
        names = [path.relative_to(root).as_posix() for path in skipped[:3]]
        more = ", ..." if len(skipped) > 3 else ""
        warnings.warn(
            f"{len(skipped)} entries of the class folders in {root} are left "
            f"out, as they are no {', '.join(suffixes)} files: "
            f"{', '.join(names)}{more}.",
            stacklevel=2,
        )


class Folder(NamedTuple):
    """What a folder of the user's own holds, see `open_folder`."""

    info: DataInfo
    files: list[pathlib.Path]
    labels: np.ndarray
    rows: np.ndarray


def open_folder(
    info: DataInfo,
    split: str,
    root: pathlib.Path,
    suffixes: Sequence[str],
    split_seed: int,
    test_fraction: float,
) -> Folder:
    """List a folder of the user's own, and split it where it is not split.

    Where there is a folder `train`, it and the others beside it are the
    splits. Otherwise a share of each class, drawn at random, is `"test"`, the
    rest `"train"`, and `"all"` is everything. Classes are numbered by name.

    Args:
        info: `DataInfo`, to be completed.
        split: String.
        root: The folder.
        suffixes: Strings, the suffixes of the files that count.
        split_seed: See `split_rows`.
        test_fraction: See `split_rows`.

    Returns:
        A `Folder`: the completed `DataInfo`, the files of all splits, their
        labels, and the positions of those in this split.

    Raises:
        ValueError: where there is no class, a class folder has no file, a
            split does not exist, or a split has a class that `train` lacks.
    """
    notes: dict[str, Any]
    split_names = _folders(root) if (root / "train").is_dir() else []
    classes = _folders(root / "train" if split_names else root)
    if not classes:
        raise ValueError(
            "`data_dir` must be a folder with one folder of files for each "
            f"class. {root} holds no class. {info.where}"
        )
    if split_names:
        files: list[pathlib.Path] = []
        labels: list[int] = []
        skipped: list[pathlib.Path] = []
        splits = {}
        for name in split_names:
            own = _folders(root / name)  # A split may lack a class.
            unknown = sorted(set(own) - set(classes))
            if unknown:
                raise ValueError(
                    f"{root / name} has the class {unknown[0]!r}, which "
                    f"{root / 'train'} lacks."
                )
            found, local, others = _list(root / name, own, suffixes, info.where)
            splits[name] = np.arange(len(files), len(files) + len(found))
            files += found
            skipped += others
            labels += [classes.index(own[label]) for label in local]
        notes = {"split_rule": "the folders"}
    else:
        files, labels, skipped = _list(root, classes, suffixes, info.where)
        splits = split_rows("random", labels, None, split_seed, test_fraction)
        splits["all"] = np.arange(len(files))
        notes = {
            "split_rule": "random",
            "split_rule_says": SPLIT_RULES["random"],
            "split_seed": split_seed,
            "test_fraction": test_fraction,
        }
    rows = splits[checks.choice("split", split, splits)]
    if not len(rows):
        why = (
            f"{root / split} has no folder of a class."
            if split_names
            else "each class has one file, which trains. Add files, or take "
            "split='all'."
        )
        raise ValueError(f"The split {split!r} of {root} is empty: {why}")
    _warn_of_skipped(root, skipped, suffixes)
    info = info.replace(
        classes=len(classes),
        class_names=tuple(classes),
        splits={name: len(rows) for name, rows in splits.items()},
        notes=notes,
    )
    return Folder(info, files, np.asarray(labels), rows)


def _folders(path: pathlib.Path) -> list[str]:
    """Names of the folders in a folder, but for those of tools."""
    return sorted(
        entry.name
        for entry in (path.iterdir() if path.is_dir() else ())
        if entry.is_dir() and not entry.name.startswith((".", "__"))
    )
