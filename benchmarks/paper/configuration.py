"""What one training run depends on, beside its seed."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Configuration:
    """Data, network, method and recipe of a training run.

    Two cells of equal configuration are one run: its results are filed under
    `key`, a hash of everything here.
    """

    dataset: str
    train: str
    test: str
    data_options: Mapping[str, Any]
    network: str
    network_options: Mapping[str, Any]
    timesteps: int
    loss: str
    loss_options: Mapping[str, Any]
    augmentation: str
    epochs: int
    batch_size: int
    surrogate: str = "triangle"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    dtype_policy: str = "float32"

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @property
    def key(self) -> str:
        """A readable name, made unique by the hash of all settings."""
        text = json.dumps(self.as_json(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        return (
            f"{self.dataset}-{self.network}-{self.loss}-T{self.timesteps}-"
            f"{digest}"
        )

    @property
    def views(self) -> int:
        return 2 if self.loss == "STCL" else 1

    def replace(self, **changes: Any) -> "Configuration":
        return dataclasses.replace(self, **changes)
