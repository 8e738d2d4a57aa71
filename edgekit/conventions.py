"""Usual ways in which images reach networks, by name, and the colours of what networks see in them.

NOTES for developers: names and numbers alone. A command line reads this before it imports numpy.
"""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's reference preprocessing

NORMALIZATIONS: Final[Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "tf": ((0.5,) * 3, (0.5,) * 3),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "unit": ((0.0,) * 3, (1.0,) * 3),
    "raw": ((0.0,) * 3, (1 / 255,) * 3),
    "centred": ((128 / 255,) * 3, (1 / 255,) * 3),
    "caffe": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "half": ((0.5,) * 3, (1.0,) * 3),
}
"""Usual normalizations by name: mean and std of red, green and blue on a 0..1 scale.

"tf": pixels to -1..1, keras.applications.imagenet_utils, mode "tf". "imagenet": torchvision's references, and Keras'
mode "torch". "unit": ToTensor alone. "raw": pixels of 0 to 255. "centred": pixels of -128 to 127. "caffe": Keras' mode
"caffe". "cifar10": the usual recipe
for CIFAR-10. "half": pixels to -0.5..0.5.
"""

_SAME = 1e-3  # of a mean or std on a 0..1 scale: a quarter of a level of a pixel


def normalization_name(mean: Sequence[float], std: Sequence[float]) -> tuple[str, bool | None] | None:
    """The usual name of a normalization, one number a channel on a 0..1 scale; None where it has none.

    Returns:
        The name, and whether the numbers are those of blue, green and red; None there if all channels have the same.

    >>> normalization_name([0.5], [0.5]), normalization_name(IMAGENET_MEAN[::-1], IMAGENET_STD[::-1])
    (('tf', None), ('imagenet', True))
    """
    for name, usual in NORMALIZATIONS.items():
        if all(len(set(numbers)) == 1 for numbers in usual):
            found = [numbers[:1] * len(mean) for numbers in usual]
            if _is_close((mean, std), found):
                return name, None
        for is_reversed in (False, True):
            if _is_close((mean, std), [numbers[:: -1 if is_reversed else 1] for numbers in usual]):
                return name, is_reversed
    return None


def _is_close(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> bool:
    return all(
        len(one) == len(other) and all(abs(v - w) < _SAME for v, w in zip(one, other, strict=True))
        for one, other in zip(a, b, strict=True)
    )


Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]  # Pillow's filters
# Filters that can look at a fixed number of pixels, whatever the scale, as tf.image.resize does by default.
WITHOUT_ANTIALIAS: Final[tuple[Interpolation, ...]] = ("nearest", "bilinear", "bicubic")

# How a network may see the channels of a pixel: Pillow's mode that has them, and which of its channels comes where.
ORDERS: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = {
    "GREY": ("L", (0,)),
    "RGB": ("RGB", (0, 1, 2)),
    "BGR": ("RGB", (2, 1, 0)),
    "RGBA": ("RGBA", (0, 1, 2, 3)),
    "BGRA": ("RGBA", (2, 1, 0, 3)),
}
USUAL_ORDER: Final[Mapping[int, str]] = {1: "GREY", 3: "RGB", 4: "RGBA"}  # by the number of channels


def orders_of(channels: int) -> tuple[str, ...]:
    """The orders that a pixel of so many channels can have; none where edgekit feeds no such image."""
    return tuple(order for order, (_, places) in ORDERS.items() if len(places) == channels)


_GOLDEN: Final = 0.618034  # turns of hue from a class to the next: neighbours are far apart, however many there are
_LEVELS: Final = ((0.85, 0.95), (0.65, 0.75), (0.95, 0.7))  # saturation and value, by turns


def colour_of(index: int) -> tuple[int, int, int]:
    """The colour of a class in pictures: red, green and blue, 0..255."""
    saturation, value = _LEVELS[index % len(_LEVELS)]
    red, green, blue = colorsys.hsv_to_rgb((index * _GOLDEN) % 1, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
