"""The augmentations of the paper's experiments, by name.

To add a recipe, write a function from `Images` to the list of its steps under
`@_by_name`; the function's name is the recipe's. Each step takes a seed of its
own, `images.seed()`.
"""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from keras_tcl import checks
from keras_tcl.augmentation.color_jitter import ColorJitter
from keras_tcl.augmentation.cutout import Cutout
from keras_tcl.augmentation.pipeline import Pipeline
from keras_tcl.augmentation.random_augmentation import RandomAugmentation
from keras_tcl.augmentation.random_crop import RandomCrop
from keras_tcl.augmentation.random_flip import RandomFlip
from keras_tcl.augmentation.random_gray import RandomGray
from keras_tcl.augmentation.random_resized_crop import RandomResizedCrop
from keras_tcl.augmentation.random_roll import RandomRoll


class Images(NamedTuple):
    """The images that a recipe is made for."""

    size: int  # The shorter side.
    rgb: bool
    black: float
    value_range: tuple[float, float]
    seed: Callable[[], int | None]


Steps = list[RandomAugmentation]
_RECIPES: dict[str, Callable[[Images], Steps]] = {}


def _by_name(function: Callable[[Images], Steps]) -> Callable[[Images], Steps]:
    _RECIPES[function.__name__] = function
    return function


@_by_name
def cifar(images: Images) -> Steps:
    return [
        RandomCrop(images.size // 8, images.black, images.seed()),
        RandomFlip(seed=images.seed()),
    ]


@_by_name
def cifar_stcl(images: Images) -> Steps:
    return [
        *cifar(images),
        *_other_colors(images),
        # The last, so that no colour change touches the square it leaves.
        Cutout(max(images.size // 2, 1), images.black, images.seed()),
    ]


@_by_name
def fine_grained(images: Images) -> Steps:
    return cifar(images)


@_by_name
def fine_grained_stcl(images: Images) -> Steps:
    return [
        RandomResizedCrop(seed=images.seed()),
        RandomFlip(seed=images.seed()),
        *_other_colors(images),
    ]


@_by_name
def dvs(images: Images) -> Steps:
    return [
        RandomCrop(images.size // 12, images.black, images.seed()),
        RandomFlip(seed=images.seed()),
        RandomRoll(5 * images.size // 48, images.seed()),
    ]


def _other_colors(images: Images) -> Steps:
    """Colour jitter and grey, as far as the images have colours."""
    jitter = ColorJitter(
        saturation=0.4 * images.rgb,
        hue=0.1 * images.rgb,
        value_range=images.value_range,
        seed=images.seed(),
    )
    return [jitter, RandomGray(seed=images.seed())] if images.rgb else [jitter]


def list_recipes() -> list[str]:
    """Return the names that `recipe` knows.

    Example:

    >>> keras_tcl.augmentation.list_recipes()
    ['cifar', 'cifar_stcl', 'dvs', 'fine_grained', 'fine_grained_stcl']
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

    >>> augmenter = keras_tcl.augmentation.recipe("cifar_stcl", (32, 32, 3))
    >>> images = np.random.randint(0, 256, (8, 32, 32, 3), "uint8")
    >>> tuple(augmenter(images, training=True).shape)
    (8, 32, 32, 3)

    Reference:
        The paper's section 5.1, "Data augmentation".
    """  # noqa: E501
    if not isinstance(name, str) or name not in _RECIPES:
        raise ValueError(
            f"Unknown recipe. Known: {', '.join(list_recipes())}. "
            f"Received: name={name!r}"
        )
    *time, height, width, channels = _check_input_shape(input_shape)
    value_range = checks.value_range(value_range)
    # Seeds far apart: the PyTorch backend adds seed and call count, so that
    # neighbouring seeds would repeat each other's numbers one call later.
    seeds = random.Random(seed)
    images = Images(
        size=min(height, width),
        rgb=channels == 3,
        black=0.0 if time else value_range[0],
        value_range=value_range,
        seed=lambda: None if seed is None else seeds.randrange(10**9),
    )
    steps = _RECIPES[name](images)
    if time and any(isinstance(step, ColorJitter) for step in steps):
        raise ValueError(
            f"Recipe {name!r} changes colours, which event frames do not have."
            f" Use 'dvs' for them. Received: input_shape={input_shape}"
        )
    return Pipeline(steps)


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

    >>> layer = keras_tcl.augmentation.get("cifar", (32, 32, 3))
    >>> [type(step).__name__ for step in layer.layers]
    ['RandomCrop', 'RandomFlip']
    >>> flip = keras.layers.RandomFlip(dtype="float32")
    >>> type(keras_tcl.augmentation.get(flip, (32, 32, 3))).__name__
    'Pipeline'
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


def for_network(
    identifier: Any,
    input_shape: tuple[int | None, ...],
    value_range: tuple[float, float],
) -> keras.layers.Layer | None:
    """As `get`, built; `"auto"` is `"cifar"`, or `"dvs"` for event frames."""
    if isinstance(identifier, str) and identifier == "auto":
        identifier = "dvs" if len(input_shape) == 4 else "cifar"
    augmenter = get(identifier, input_shape, value_range)
    # Or Keras would run the network once to build it: op by op on JAX, before
    # the first `predict` or `evaluate`.
    if augmenter is not None and not augmenter.built:
        augmenter.build((None, *input_shape))
    return augmenter


def _check_input_shape(shape: Any) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else ()
    known = sizes[1:] if len(sizes) == 4 and sizes[0] is None else sizes
    if len(sizes) not in (3, 4) or not checks.are_integers(known):
        raise ValueError(
            "`input_shape` must be (height, width, channels), or (time, "
            "height, width, channels) for event frames, with known sizes "
            f"(time may be None). Received: input_shape={shape!r}"
        )
    return sizes
