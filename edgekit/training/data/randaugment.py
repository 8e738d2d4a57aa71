"""RandAugment: a few operations, each drawn from a list, all of the same strength (arXiv:1909.13719).

Operations and their ranges are torchvision's (RandAugment in torchvision/transforms/autoaugment.py). A magnitude of 0
to 30 goes through each range evenly; ± means that the sign is drawn.

=================  =================================================================================================
Identity           nothing
ShearX, ShearY     each row (column) shifted by ± 0 to 0.3 of its distance to the top (left)
TranslateX, -Y     shifted by ± 0 to 150 / 331 of the image's width (height), whole pixels
Rotate             about the middle by ± 0 to 30 degrees
Brightness         times 1 ± 0 to 0.9
Color              saturation, likewise
Contrast           likewise
Sharpness          likewise
Posterize          the upper 8 to 4 bits are kept
Solarize           levels from 255 to 0 on are inverted
AutoContrast       levels are stretched to 0 to 255
Equalize           levels are spread evenly
=================  =================================================================================================

What leaves the image is black, and pixels that are moved are those nearest. A fourth channel is moved like the others,
and keeps its levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from PIL import Image, ImageEnhance, ImageOps

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

LARGEST: Final = 30  # magnitude
MOVING: Final = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")  # operations
_SHEAR, _SHIFT, _DEGREES, _FACTOR = 0.3, 150 / 331, 30.0, 0.9  # at the largest magnitude
# What an image gets at a share, 0 to 1, of the largest magnitude, with a sign.
_Operation: TypeAlias = Callable[[Image.Image, float, int], Image.Image]


@dataclass(frozen=True, slots=True)
class RandAugment:
    """Operations that are drawn for each image, with repetition.

    Attributes:
        number: of operations an image gets.
        magnitude: of all of them, 0 to 30.
    """

    number: int = 2
    magnitude: int = 9

    def __call__(self, image: Image.Image, rng: np.random.Generator, *, moves: bool = True) -> Image.Image:
        """An image in one of the modes L, RGB and RGBA, changed.

        Args:
            image: what is changed.
            rng: what is drawn from.
            moves: whether operations are among these that move pixels, which boxes and masks do not follow.
        """
        operations = tuple(change for name, change in OPERATIONS.items() if moves or name not in MOVING)
        for drawn in rng.integers(2 * len(operations), size=self.number):
            place, is_negative = divmod(int(drawn), 2)
            image = operations[place](image, self.magnitude / LARGEST, -1 if is_negative else 1)
        return image


def on_colours(image: Image.Image, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """A change of levels made to grey or to red, green and blue; a fourth channel keeps its levels."""
    if image.mode != "RGBA":
        return change(image)
    changed = change(image.convert("RGB"))
    changed.putalpha(image.getchannel("A"))
    return changed


def _moved(image: Image.Image, *matrix: float) -> Image.Image:
    """The pixel at (x, y) is the one that was at (a x + b y + c, d x + e y + f)."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


def _translated(image: Image.Image, horizontal: float, vertical: float) -> Image.Image:
    return _moved(image, 1, 0, -int(horizontal), 0, 1, -int(vertical))


def _enhanced(enhancer: Callable[[Image.Image], ImageEnhance._Enhance]) -> _Operation:
    """One of Pillow's enhancers; 1 leaves the image as it is."""

    def change(image: Image.Image, share: float, sign: int) -> Image.Image:
        return on_colours(image, lambda colours: enhancer(colours).enhance(1 + sign * share * _FACTOR))

    return change


OPERATIONS: Final[Mapping[str, _Operation]] = {
    "Identity": lambda image, _share, _sign: image,
    "ShearX": lambda image, share, sign: _moved(image, 1, sign * share * _SHEAR, 0, 0, 1, 0),
    "ShearY": lambda image, share, sign: _moved(image, 1, 0, 0, sign * share * _SHEAR, 1, 0),
    "TranslateX": lambda image, share, sign: _translated(image, sign * share * _SHIFT * image.width, 0),
    "TranslateY": lambda image, share, sign: _translated(image, 0, sign * share * _SHIFT * image.height),
    "Rotate": lambda image, share, sign: image.rotate(sign * share * _DEGREES),
    "Brightness": _enhanced(ImageEnhance.Brightness),
    "Color": _enhanced(ImageEnhance.Color),
    "Contrast": _enhanced(ImageEnhance.Contrast),
    "Sharpness": _enhanced(ImageEnhance.Sharpness),
    "Posterize": lambda image, share, _: on_colours(image, lambda c: ImageOps.posterize(c, 8 - round(4 * share))),
    "Solarize": lambda image, share, _: on_colours(image, lambda c: ImageOps.solarize(c, math.ceil(255 * (1 - share)))),
    "AutoContrast": lambda image, _share, _sign: on_colours(image, ImageOps.autocontrast),
    "Equalize": lambda image, _share, _sign: on_colours(image, ImageOps.equalize),
}
