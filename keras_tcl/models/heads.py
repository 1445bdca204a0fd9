"""Where a model keeps what it trains on its stages, beside the network."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import h5py
import keras


class StageHeads(keras.layers.Layer):
    """Heads by stage, each under the name of its stage in files.

    (Keras files what is in a dictionary by class and order: the head of one
    stage would be loaded into that of another.) It is empty until a loss asks
    for some.

    Args:
        name: String, its name in files.
        kind: String, what a head is: that of `stage1` is named `stage1_kind`.
        make: Function of the argument `name` that returns a layer of features
            `(batch, T, h, w, c)`.
    """

    def __init__(
        self, name: str, kind: str, make: Callable[..., keras.layers.Layer]
    ) -> None:
        super().__init__(name=name)
        self.kind = kind
        self._make = make
        self._stages: tuple[str, ...] = ()
        self._learning: tuple[str, ...] = ()
        self.built = True

    def __setitem__(self, stage: str, head: keras.layers.Layer) -> None:
        if stage not in self._stages:
            self._stages = (*self._stages, stage)
        setattr(self, self._attribute(stage), head)

    def __getitem__(self, stage: str) -> keras.layers.Layer:
        return getattr(self, self._attribute(stage))

    def __iter__(self) -> Iterator[str]:
        return iter(self._stages)

    def __len__(self) -> int:
        return len(self._stages)

    def items(self) -> list[tuple[str, keras.layers.Layer]]:
        """Pairs of a stage and its head."""
        return [(stage, self[stage]) for stage in self]

    def values(self) -> list[keras.layers.Layer]:
        """The heads."""
        return [self[stage] for stage in self]

    def learn(self, stages: Iterable[str], features: Mapping[str, Any]) -> None:
        """Train the heads of these stages, made if missing; others wait.

        Args:
            stages: Names of stages.
            features: `{stage: symbolic tensor}` of all stages.
        """
        before, self._learning = self._learning, tuple(stages)
        for stage in self._learning:
            if stage not in self:
                head = self._make(name=self._attribute(stage))
                head.build(tuple(features[stage].shape))
                self[stage] = head
        # A head that was frozen by hand stays so while it is asked for.
        for stage in {*before} ^ {*self._learning}:
            self[stage].trainable = stage in self._learning

    def run(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What the heads that learn say of the outputs of a network."""
        return {stage: self[stage](outputs[stage]) for stage in self._learning}

    def put_away(self, stages: Iterable[str]) -> dict[str, keras.layers.Layer]:
        """Takes heads out, for `put_back`; what is loaded passes them by."""
        heads = {stage: self[stage] for stage in stages}
        for stage in heads:
            delattr(self, self._attribute(stage))
        return heads

    def put_back(self, heads: Mapping[str, keras.layers.Layer]) -> None:
        """Undoes `put_away`."""
        for stage, head in heads.items():
            self[stage] = head

    def missing_in(self, filepath: Any) -> list[str]:
        """The stages of which a file of weights has no head."""
        try:
            with h5py.File(filepath) as file:
                present = file.get(self.name, {})
                return [s for s in self if self._attribute(s) not in present]
        except OSError:  # Another kind of file, or a damaged one.
            return []

    def _attribute(self, stage: str) -> str:
        return f"{stage}_{self.kind}"


@contextlib.contextmanager
def passed_by(filepath: Any, *groups: StageHeads) -> Iterator[None]:
    """Heads that a file of weights has not stay as they are."""
    away = [group.put_away(group.missing_in(filepath)) for group in groups]
    try:
        yield
    finally:
        for group, heads in zip(groups, away, strict=True):
            group.put_back(heads)
