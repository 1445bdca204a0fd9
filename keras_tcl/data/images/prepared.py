"""Images through tensorflow-datasets (TFDS)."""

import dataclasses
import importlib
import os
import pathlib
import socket
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_tcl.data.sources import DataInfo
from keras_tcl.optional import require
from keras_tcl.progress import shown


@dataclasses.dataclass(frozen=True)
class Remote:
    """How TFDS knows a data set.

    Attributes:
        builder: String, the name of the TFDS builder.
        url: String, where TFDS downloads from; it is tried before TFDS, which
            would go on for three minutes without a network.
        module: String, the module that registers the builder, or `None` for
            one of TFDS itself.
        needs: Dict of module to the package that brings it, for what TFDS
            needs to prepare this data set beside its own requirements. It is
            looked for before the download. TFDS unpacks with TensorFlow.
    """

    builder: str
    url: str
    module: str | None = None
    needs: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"tensorflow": "tensorflow-cpu"}
    )


def prepared_images(
    remote: Remote,
    info: DataInfo,
    split: str,
    data_dir: pathlib.Path,
    label_key: str = "label",
) -> tuple[Sequence[bytes], np.ndarray, tuple[str, ...]]:
    """The encoded images and the labels of one split, as TFDS prepared them.

    Prepared data are looked for under `data_dir/tensorflow_datasets`,
    `data_dir`, and TFDS's own folder, in this order. Else they are downloaded
    and prepared under the first, as array records, which need no TensorFlow
    to be read.

    Args:
        remote: `Remote`.
        info: `DataInfo`.
        split: String.
        data_dir: Path.
        label_key: String, the feature that is the label.

    Returns:
        A sequence of encoded images, the labels as an array, and the names of
        the classes (empty where TFDS knows none).

    Raises:
        ValueError: where the data are not there and cannot be downloaded.
        ImportError: where a package is missing.
    """
    tfds = require(
        "tensorflow_datasets",
        f"`{info.name}` is not in {data_dir} (by hand: {info.where}), and "
        "downloading it",
        "keras_tcl[data]",
    )
    if remote.module:
        importlib.import_module(remote.module)
    home = data_dir / "tensorflow_datasets"
    own = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    for root in (home, data_dir, pathlib.Path(own).expanduser()):
        if (root / remote.builder).is_dir():
            builder = tfds.builder(remote.builder, data_dir=str(root))
            if builder.is_prepared():
                break
    else:
        builder = tfds.builder(remote.builder, data_dir=str(home))
    keys = ("image", label_key)
    wanted = tfds.decode.PartialDecoding(
        dict.fromkeys(keys, True),
        decoders={"image": tfds.decode.SkipDecoding()},
    )
    try:
        examples: Any = _Records(tfds, builder, split, wanted, keys)
    except NotImplementedError:  # There are no array records.
        if builder.is_prepared():
            # TFRecord files have no random access: read into memory.
            require("tensorflow", "reading TFRecord files", "tensorflow-cpu")
            dataset = builder.as_dataset(split=split, decoders=wanted)
            what = f"reading the images of `{info.name}` into memory"
            examples = list(
                shown(dataset.as_numpy_iterator(), what, len(dataset))
            )
        else:
            _download(tfds, builder, remote, info, home)
            examples = _Records(tfds, builder, split, wanted, keys)
    what = f"reading the labels of `{info.name}`"
    labels = np.asarray([int(e[label_key]) for e in shown(examples, what)])
    names = tuple(builder.info.features[label_key].names or ())
    if names == tuple(map(str, range(len(names)))):  # TFDS knows no names.
        names = ()
    return _Images(examples), labels, names


class _Records(Sequence[dict[str, Any]]):
    """Array records, of which only some features are parsed.

    A data source of TFDS parses all features (masks, boxes) or none, so it
    is asked for the raw records.
    """

    def __init__(
        self,
        tfds: Any,
        builder: Any,
        split: str,
        wanted: Any,
        keys: Sequence[str],
    ) -> None:
        self._raw = builder.as_data_source(
            split,
            decoders=wanted,
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
        )
        self._decoders = wanted.decoders
        # `wanted.extract_features` would need TensorFlow.
        self._features = tfds.features.FeaturesDict(
            {key: builder.info.features[key] for key in keys}
        )

    def __len__(self) -> int:
        return len(self._raw)

    def __getitem__(self, index: Any) -> Any:
        if index >= len(self):
            raise IndexError(index)
        return self._features.deserialize_example_np(
            self._raw[index], decoders=self._decoders
        )


class _Images(Sequence[bytes]):
    """The encoded image of each example."""

    def __init__(self, examples: Sequence[dict[str, Any]]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: Any) -> Any:
        return self._examples[index]["image"]


def _download(
    tfds: Any,
    builder: Any,
    remote: Remote,
    info: DataInfo,
    home: pathlib.Path,
) -> None:
    """Download and prepare, or leave nothing behind but an explanation."""
    needs = {"importlib_resources": "keras_tcl[data]", **remote.needs}
    for module, package in needs.items():
        require(
            module,
            f"`{info.name}` is not in {home.parent} (by hand: {info.where}), "
            "and preparing it with TFDS",
            package,
        )
    print(
        f"keras_tcl: downloading and preparing `{info.name}` ({info.size}), "
        f"to be kept in {home}",
        file=sys.stderr,
    )
    if not sys.stderr.isatty():
        # Its bars would fill a file with control characters.
        tfds.disable_progress_bar()
    try:
        if not urllib.request.getproxies():
            host = urllib.parse.urlparse(remote.url).hostname
            socket.create_connection((host, 443), timeout=10).close()
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=".download-", dir=home
        ) as downloads:
            builder.download_and_prepare(
                download_dir=downloads, file_format="array_record"
            )
    except Exception as error:
        raise ValueError(
            f"`{info.name}` is not in {home.parent}, and downloading it from "
            f"{remote.url} failed ({type(error).__name__}: "
            f"{str(error)[:200]}). Get it by hand: {info.where} "
            f"(data_dir={str(home.parent)!r})."
        ) from error
