"""The builder of FGVC-Aircraft that tensorflow-datasets lacks."""

import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from keras_tcl.data.files import unpack
from keras_tcl.data.images.fine_grained import (
    AIRCRAFT_URL,
    FGVC_AIRCRAFT,
    read_fgvc_aircraft,
)


class FgvcAircraft(tfds.core.GeneratorBasedBuilder):
    """FGVC-Aircraft from the official archive, with the variant as label.

    Importing this module registers it, so that
    `tfds.load("fgvc_aircraft", split="validation")` works too. Images are the
    original files; `keras_tcl.data.load` cuts off their credit banner (20
    rows at the bottom), `tfds.load` does not.
    """

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> Any:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "10,000 photographs of aircraft, 100 for each of 100 "
                "variants. The bottom 20 rows of each are a credit banner."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(
                        num_classes=FGVC_AIRCRAFT.classes
                    ),
                    "file_name": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
            citation=FGVC_AIRCRAFT.citation,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        archive = pathlib.Path(dl_manager.download(AIRCRAFT_URL))
        place = archive.parent
        # TFDS itself would unpack with TensorFlow.
        unpack({archive: ""}, place, ["fgvc-aircraft-2013b/data"])
        return {
            split: self._generate_examples(place, split)
            for split in FGVC_AIRCRAFT.splits
        }

    def _generate_examples(
        self, place: pathlib.Path, split: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        paths, labels, _ = read_fgvc_aircraft(place, split)
        for path, label in zip(paths, labels, strict=True):
            yield (
                path.stem,
                {
                    "image": path.read_bytes(),
                    "label": label,
                    "file_name": path.name,
                },
            )
