"""The augmentations of the paper's experiments, by name."""

import random
from collections.abc import Callable
from typing import Any

import keras

from keras_tcl.augmentation.checks import check_value_range
from keras_tcl.augmentation.color_jitter import ColorJitter
from keras_tcl.augmentation.cutout import Cutout
from keras_tcl.augmentation.pipeline import Pipeline
from keras_tcl.augmentation.random_augmentation import RandomAugmentation
from keras_tcl.augmentation.random_crop import RandomCrop
from keras_tcl.augmentation.random_flip import RandomFlip
from keras_tcl.augmentation.random_gray import RandomGray
from keras_tcl.augmentation.random_resized_crop import RandomResizedCrop
from keras_tcl.augmentation.random_roll import RandomRoll

# Cutout comes last, so that no colour change touches the square it leaves.
_RECIPES = {
    "cifar": ("crop", "flip"),
    "cifar_stcl": ("crop", "flip", "jitter", "gray", "cutout"),
    "fine_grained": ("crop", "flip"),
    "fine_grained_stcl": ("resized_crop", "flip", "jitter", "gray"),
    "dvs": ("small_crop", "flip", "roll"),
}


def list_recipes() -> list[str]:
    """Return the names that `recipe` knows.

    Example:

    ```python
    keras_tcl.augmentation.list_recipes()
    # ["cifar", "cifar_stcl", "dvs", "fine_grained", "fine_grained_stcl"]
    ```
    """
    return sorted(_RECIPES)


def recipe(
    name: str,
    input_shape: tuple[int | None, ...],
    value_range: tuple[float, float] = (0, 255),
    seed: int | None = None,
) -> Pipeline:
    """Build the augmentation of one of the paper's experiments.

    With `size` the shorter side of the image:

    | name | steps |
    | --- | --- |
    | `cifar` | pad `size // 8` and crop, flip |
    | `cifar_stcl` | `cifar`, colour jitter (0.4, 0.4, 0.4, 0.1; probability 0.8), grey (0.2), cutout `size // 2` |
    | `fine_grained` | pad `size // 8` and crop, flip |
    | `fine_grained_stcl` | random resized crop, flip, colour jitter and grey as above |
    | `dvs` | pad `size // 12` and crop, flip, roll by up to `5 * size // 48` |

    That is padding 4 and cutout 16 at 32 pixels, padding 4 and roll 5 at the
    48 pixels of DVS-CIFAR10. What is padded or cut out gets the lowest value
    of the range, black. Images without three channels have no colour to
    change: saturation, hue and grey are left out. The result is in raw
    pixels; subtracting the mean and dividing by the standard deviation is
    the model's next step.

    Args:
        name: String, one of `list_recipes()`.
        input_shape: Tuple `(height, width, channels)`, or `(time, height,
            width, channels)` for event frames; `time` may be `None`.
        value_range: Pair of numbers, least and greatest value of a pixel.
            Not used for event frames, which are counts. Defaults to
            `(0, 255)`.
        seed: Integer from which each step gets its own seed, or `None` to
            take them from Keras' global one. Defaults to `None`.

    Returns:
        A `Pipeline`.

    Raises:
        ValueError: If the name is unknown, the shape or range is not as
            above, or a recipe that changes colours is asked for event frames.

    Example:

    ```python
    augmenter = keras_tcl.augmentation.recipe("cifar_stcl", (32, 32, 3))
    images = np.random.randint(0, 256, (8, 32, 32, 3), "uint8")
    augmenter(images, training=True)  # [8, 32, 32, 3], float32
    ```

    Reference:
        The paper's section 5.1, "Data augmentation".
    """  # noqa: E501
    if not isinstance(name, str) or name not in _RECIPES:
        raise ValueError(
            f"Unknown recipe. Known: {', '.join(list_recipes())}. "
            f"Received: name={name!r}"
        )
    steps = _RECIPES[name]
    *time, height, width, channels = _check_input_shape(input_shape)
    if time and "jitter" in steps:
        raise ValueError(
            f"Recipe {name!r} changes colours, which event frames do not have."
            f" Use 'dvs' for them. Received: input_shape={input_shape}"
        )
    size, rgb = min(height, width), channels == 3
    value_range = check_value_range(value_range)
    black = 0.0 if time else value_range[0]
    layers: dict[str, Callable[..., RandomAugmentation]] = {
        "crop": lambda seed: RandomCrop(size // 8, black, seed),
        "small_crop": lambda seed: RandomCrop(size // 12, black, seed),
        "resized_crop": lambda seed: RandomResizedCrop(seed=seed),
        "flip": lambda seed: RandomFlip(seed=seed),
        "roll": lambda seed: RandomRoll(5 * size // 48, seed),
        "cutout": lambda seed: Cutout(max(size // 2, 1), black, seed),
        "jitter": lambda seed: ColorJitter(
            saturation=0.4 * rgb,
            hue=0.1 * rgb,
            value_range=value_range,
            seed=seed,
        ),
        "gray": lambda seed: RandomGray(seed=seed),
    }
    # Seeds far apart: the PyTorch backend adds seed and call count, so that
    # neighbouring seeds would repeat each other's numbers one call later.
    seeds = random.Random(seed)
    return Pipeline(
        [
            layers[step](None if seed is None else seeds.randrange(10**9))
            for step in steps
            if rgb or step != "gray"
        ]
    )


def get(
    identifier: Any,
    input_shape: tuple[int | None, ...],
    value_range: tuple[float, float] = (0, 255),
) -> keras.layers.Layer | None:
    """Turn what a user gave for `augmenter` into a layer.

    Args:
        identifier: `None` for no augmentation, the name of a recipe, a
            layer, or a function of one tensor.
        input_shape: Tuple, as for `recipe`.
        value_range: Pair of numbers, as for `recipe`. Defaults to
            `(0, 255)`.

    Returns:
        `None`, or a layer that leaves images alone at inference: this
        package's own layers as they are, anything else within a `Pipeline`.

    Raises:
        ValueError: If `identifier` is none of these.

    Example:

    ```python
    keras_tcl.augmentation.get("cifar", (32, 32, 3))
    keras_tcl.augmentation.get(keras.layers.RandomFlip(), (32, 32, 3))
    ```
    """
    if identifier is None or isinstance(
        identifier, (RandomAugmentation, Pipeline)
    ):
        return identifier
    if isinstance(identifier, str):
        return recipe(identifier, input_shape, value_range)
    if callable(identifier) and not isinstance(identifier, type):
        return Pipeline([identifier])
    raise ValueError(
        "The augmenter must be None, the name of a recipe "
        f"({', '.join(list_recipes())}), a layer, or a function of one tensor. "
        f"Received: {identifier!r}"
    )


def _check_input_shape(shape: Any) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else ()
    known = sizes[1:] if len(sizes) == 4 and sizes[0] is None else sizes
    if len(sizes) not in (3, 4) or not all(
        isinstance(size, int) and size > 0 for size in known
    ):
        raise ValueError(
            "`input_shape` must be (height, width, channels), or (time, "
            "height, width, channels) for event frames, with known sizes "
            f"(time may be None). Received: input_shape={shape!r}"
        )
    return sizes
