"""Change brightness, contrast, saturation and hue."""

import itertools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_tcl import checks
from keras_tcl.augmentation.pixels import gray, per_sample, rotate_hue
from keras_tcl.augmentation.random_augmentation import RandomAugmentation

OPERATIONS = ("brightness", "contrast", "saturation", "hue")
# Every order of the four: row k gives the place of each operation.
PLACES = np.array(list(itertools.permutations(range(4))), "int32")


@keras.saving.register_keras_serializable(package="keras_tcl")
class ColorJitter(RandomAugmentation):
    """Change brightness, contrast, saturation and hue, in random order.

    With pixels `x` between 0 and 1, `g(x)` their ITU-R BT.601 luma and one
    factor `f` per image and operation:

    - brightness: `f * x`
    - contrast: `f * x + (1 - f) * mean(g(x))`, the mean over the image
    - saturation: `f * x + (1 - f) * g(x)`
    - hue: `f` turns of the colour circle are added to the HSV hue

    each followed by clipping to the range. The factors are uniform over
    `[max(0, 1 - strength), 1 + strength]`, those of the hue over `[-hue,
    hue]`. Each image gets its own order out of all 24, and is changed with
    the given probability. This is `torchvision.transforms.ColorJitter`
    within `RandomApply`, without its rounding to whole pixel values.

    The first three operations are one formula with three coefficients, which
    is what makes an order per image cheap: the costly hue rotation is
    computed once, and the formula three times before it and three times
    after, with the coefficients that leave an image as it is wherever its
    order has nothing there.

    Args:
        brightness: Float of at least 0, the strength. Defaults to `0.4`.
        contrast: Float of at least 0, the strength. Defaults to `0.4`.
        saturation: Float of at least 0, the strength. Must be 0 unless the
            images are RGB. Defaults to `0.4`.
        hue: Float between 0 and 0.5, in turns of the colour circle. Must be
            0 unless the images are RGB. Defaults to `0.1`.
        probability: Float between 0 and 1, share of the images that are
            changed. Defaults to `0.8`.
        value_range: Pair of numbers, least and greatest value of a pixel.
            Defaults to `(0, 255)`.
        seed: Integer or `None`. See `RandomAugmentation`.
        name: String, the name of the layer. Defaults to `None`.

    Raises:
        ValueError: If an argument is outside its limits, or `saturation` or
            `hue` is asked for images without three channels.

    Example:

    >>> images = np.random.randint(0, 256, (8, 32, 32, 3), "uint8")
    >>> jitter = keras_tcl.augmentation.ColorJitter(probability=0.8)
    >>> tuple(jitter(images, training=True).shape)
    (8, 32, 32, 3)
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
        probability: float = 0.8,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        name: str | None = None,
    ):
        super().__init__(seed=seed, name=name)
        self.brightness = checks.number("brightness", brightness, 0)
        self.contrast = checks.number("contrast", contrast, 0)
        self.saturation = checks.number("saturation", saturation, 0)
        self.hue = checks.number("hue", hue, 0, 0.5)
        self.probability = checks.number("probability", probability, 0, 1)
        self.value_range = checks.value_range(value_range)

    def check_shape(self, shape: tuple[int | None, ...]) -> None:
        super().check_shape(shape)
        if shape[-1] != 3 and (self.saturation or self.hue):
            raise ValueError(
                "Saturation and hue need RGB images, three channels last. Use "
                "ColorJitter(saturation=0, hue=0) for other images. Received: "
                f"saturation={self.saturation}, hue={self.hue}, "
                f"shape={tuple(shape)}"
            )

    def draw(self, batch_size: Any, height: int, width: int) -> dict[str, Any]:
        parameters = {
            operation: self.uniform(
                (batch_size,), max(0.0, 1.0 - strength), 1.0 + strength
            )
            for operation, strength in (
                ("brightness", self.brightness),
                ("contrast", self.contrast),
                ("saturation", self.saturation),
            )
        }
        parameters["hue"] = self.uniform((batch_size,), -self.hue, self.hue)
        order = self.integers((batch_size,), 0, len(PLACES) - 1)
        parameters["places"] = ops.take(PLACES, order, axis=0)
        parameters["apply"] = self.uniform((batch_size,)) < self.probability
        return parameters

    def transform(self, images: Any, parameters: dict[str, Any]) -> Any:
        low, high = self.value_range
        places = dict(
            zip(
                OPERATIONS,
                ops.unstack(parameters["places"], axis=1),
                strict=True,
            )
        )

        def change(pixels: Any, place: int, active: Any) -> Any:
            """Do what stands at `place` of each image's order."""

            def factor(operation: str) -> Any:
                here = active & (places[operation] == place)
                return per_sample(ops.where(here, parameters[operation], 1.0))

            # At most one of the three differs from 1.
            brightness, contrast, saturation = map(factor, OPERATIONS[:3])
            luma = gray(pixels)
            mean = ops.mean(luma, axis=(2, 3), keepdims=True)
            return ops.clip(
                brightness * contrast * saturation * pixels
                + (1.0 - contrast) * mean
                + (1.0 - saturation) * luma,
                0.0,
                1.0,
            )

        pixels = (images - low) / (high - low)
        for place in (0, 1, 2):
            pixels = change(pixels, place, place < places["hue"])
        if self.hue:
            pixels = rotate_hue(pixels, per_sample(parameters["hue"]))
        for place in (1, 2, 3):
            pixels = change(pixels, place, place > places["hue"])
        return ops.where(
            per_sample(parameters["apply"]), low + (high - low) * pixels, images
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "brightness": self.brightness,
            "contrast": self.contrast,
            "saturation": self.saturation,
            "hue": self.hue,
            "probability": self.probability,
            "value_range": self.value_range,
        }
