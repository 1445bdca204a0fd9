"""Data, networks and recipe at each scale.

`full` is the paper's recipe (section 5.1). The others answer whether its
claims hold in small, with real images, in minutes or hours on two cores: one
data set stands in for all of those that figures 2 to 4 and table 4 use.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Data:
    """How a data set is loaded, augmented for 1 and 2 views, and batched."""

    name: str
    batch_size: int
    train: str = "train"
    test: str = "test"
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    network_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    augmentations: tuple[str, str] = ("cifar", "cifar_stcl")


@dataclasses.dataclass(frozen=True)
class Network:
    """A function of `keras_tcl.models` and its arguments."""

    builder: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Scale:
    """The paper's data sets and networks by name, and what stands for them."""

    name: str
    data: Mapping[str, Data]
    networks: Mapping[str, Network]
    epochs: int
    seeds: int
    latency_timesteps: int  # T of figure 2
    timesteps: Sequence[int]  # of figure 4
    temperatures: Sequence[float]  # of figure 3, left
    weights: Sequence[float]  # of figure 3, right

    def stand_in(self, dataset: str) -> Data:
        """This data set, or else the only one there is at this scale."""
        return self.data.get(dataset) or next(iter(self.data.values()))

    def datasets(self, names: Sequence[str]) -> list[str]:
        """Those of these data sets that exist at this scale."""
        return [name for name in names if name in self.data]


def _fine_grained(name: str, train: str = "train") -> Data:
    # The paper states neither image size nor stem; these are the usual ones.
    return Data(
        name,
        batch_size=64,
        train=train,
        options={"image_size": 224},
        network_options={"stem": "imagenet"},
        augmentations=("fine_grained", "fine_grained_stcl"),
    )


def _narrow(filters: Sequence[int]) -> dict[str, Network]:
    def network(builder: str, blocks: int, **options: Any) -> Network:
        return Network(
            builder,
            {
                "stackwise_num_blocks": [blocks] * len(filters),
                "stackwise_num_filters": list(filters),
                **options,
            },
        )

    return {
        "SEW-18": network("sew_resnet", 1),
        "SEW-34": network("sew_resnet", 2),
        "Spiking-ResNet": network(
            "spiking_resnet", 1, normalization="threshold_dependent"
        ),
        "ResNet-19": network("spiking_resnet", 1, normalization="batch"),
    }


FULL = Scale(
    "full",
    data={
        "CIFAR-100": Data("cifar100", 128),
        "CIFAR-10": Data("cifar10", 128),
        "DVS-CIFAR10": Data(
            "cifar10_dvs",
            64,
            options={"split_rule": "tet"},
            augmentations=("dvs", "dvs"),
        ),
        "CUB": _fine_grained("cub200"),
        "Car": _fine_grained("stanford_cars"),
        "Aircraft": _fine_grained("fgvc_aircraft", "train+validation"),
        "Flowers": _fine_grained("oxford_flowers102", "train+validation"),
        "Dogs": _fine_grained("stanford_dogs"),
    },
    networks={
        "SEW-18": Network("sew_resnet18"),
        "SEW-34": Network("sew_resnet34"),
        "Spiking-ResNet": Network("spiking_resnet18"),
        "ResNet-19": Network("resnet19"),
        "VGG": Network("vggsnn"),
    },
    epochs=200,
    seeds=3,
    latency_timesteps=8,
    timesteps=(2, 4, 6, 8, 10),
    temperatures=(0.03, 0.05, 0.06, 0.07, 0.08, 0.1, 0.2),
    weights=(0.1, 0.5, 1.0, 2.0, 5.0, 10.0),
)

SMALL = Scale(
    "small",
    data={
        "CIFAR-10": Data("cifar10", 64, train="train[:5000]", test="test"),
    },
    networks=_narrow([16, 32, 64]),
    epochs=10,
    seeds=2,
    # As table 1, so that the two share their runs.
    latency_timesteps=4,
    timesteps=(1, 2, 4, 6),
    temperatures=(0.03, 0.07, 0.2),
    weights=(0.5, 2.0, 5.0),
)

DIGITS = Scale(
    "digits",
    data={
        "CIFAR-10": Data(
            "digits",
            40,
            train="train[:400]",
            test="train[400:]+test",
            augmentations=("digits", "digits_stcl"),
        ),
    },
    networks=_narrow([16, 32, 64]),
    epochs=30,
    seeds=2,
    latency_timesteps=8,
    timesteps=(1, 2, 4, 8),
    temperatures=(0.03, 0.07, 0.2),
    weights=(0.5, 2.0, 5.0),
)

SCALES = {scale.name: scale for scale in (DIGITS, SMALL, FULL)}


def find_scale(name: str) -> Scale:
    """The scale of this name, or a ValueError that lists the names."""
    if name not in SCALES:
        raise ValueError(
            f"There is no scale of this name; there are {', '.join(SCALES)}. "
            f"Received: {name!r}."
        )
    return SCALES[name]
