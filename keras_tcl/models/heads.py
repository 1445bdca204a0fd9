"""Where a model keeps the projection heads of its stages."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import h5py
import keras

from keras_tcl.layers import ProjectionHead


class ProjectionHeads(keras.layers.Layer):
    """Projection heads by stage, each under the name of its stage in files.

    (Keras files what is in a dictionary by class and order: the head of one
    stage would be loaded into that of another.) It is empty until a loss asks
    for embeddings.
    """

    def __init__(self) -> None:
        super().__init__(name="heads")
        self._stages: tuple[str, ...] = ()
        self.built = True

    def __setitem__(self, stage: str, head: ProjectionHead) -> None:
        if stage not in self._stages:
            self._stages = (*self._stages, stage)
        setattr(self, _attribute(stage), head)

    def __getitem__(self, stage: str) -> ProjectionHead:
        return getattr(self, _attribute(stage))

    def __iter__(self) -> Iterator[str]:
        return iter(self._stages)

    def __len__(self) -> int:
        return len(self._stages)

    def items(self) -> list[tuple[str, ProjectionHead]]:
        """Pairs of a stage and its head."""
        return [(stage, self[stage]) for stage in self]

    def values(self) -> list[ProjectionHead]:
        """The heads."""
        return [self[stage] for stage in self]

    def put_away(self, stages: Iterable[str]) -> dict[str, ProjectionHead]:
        """Takes heads out, for `put_back`; what is loaded passes them by."""
        heads = {stage: self[stage] for stage in stages}
        for stage in heads:
            delattr(self, _attribute(stage))
        return heads

    def put_back(self, heads: Mapping[str, ProjectionHead]) -> None:
        """Undoes `put_away`."""
        for stage, head in heads.items():
            self[stage] = head

    def missing_in(self, filepath: Any) -> list[str]:
        """The stages of which a file of weights has no head."""
        try:
            with h5py.File(filepath) as file:
                present = file.get(self.name, {})
                return [s for s in self if _attribute(s) not in present]
        except OSError:  # Another kind of file, or a damaged one.
            return []


def _attribute(stage: str) -> str:
    return f"{stage}_projection"
