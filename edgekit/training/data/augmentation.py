"""What is done to a training image each time it is seen, by Pillow and numpy alone.

Order of operations: crop, flip, RandAugment, colour jitter, erasing; torchvision's references and timm have the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageEnhance

from edgekit.training.data.randaugment import RandAugment, on_colours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgekit.preprocessing import Preprocessing

_SPARE: Final = 2.0  # pixels along each side of a crop, of one that is made of them: what halved them hardly shows
_TURNED: Final = (5, 6, 7, 8)  # EXIF orientations whose width is the upright height
_JITTERED: Final = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
_TRIES: Final = 10  # to find a rectangle inside of the image
# Of the erased rectangle: its share of the image's area, and its height over its width, on a logarithmic scale.
# Source: arXiv:1708.04896, section 3.2, with 1 / 3 in place of 0.4 as timm has it (timm/data/random_erasing.py).
ERASED_AREA: Final = (0.02, 1 / 3)
ERASED_ASPECT: Final = (0.3, 1 / 0.3)


@dataclass(frozen=True, slots=True)
class PadCrop:
    """The image as validation sees it, with a black border, and a crop of its former size from anywhere in that.

    Attributes:
        pixels: width of the border; 4 in the usual recipe for CIFAR-10 (arXiv:1512.03385, section 4.2).
    """

    pixels: int = 4


@dataclass(frozen=True, slots=True)
class ResizedCrop:
    """A rectangle from anywhere in the image, resized to the network's input whatever its shape.

    Its shape is drawn on a logarithmic scale, its area before it, until both fit into the image; after ten tries it is
    the largest rectangle in the middle whose shape is allowed. Source: arXiv:1409.4842, section 6; RandomResizedCrop
    in torchvision/transforms/transforms.py.

    Attributes:
        area: least and largest share of the image's area.
        aspect: least and largest width over height.
    """

    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)

    def box(self, size: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the rectangle in an image of this size, (width, height)."""
        width, height = size
        for _ in range(_TRIES):
            area = width * height * rng.uniform(*self.area)
            aspect = _on_logarithmic_scale(self.aspect, rng)
            columns, rows = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < columns <= width and 0 < rows <= height:
                left, top = int(rng.integers(width - columns + 1)), int(rng.integers(height - rows + 1))
                return left, top, left + columns, top + rows
        least, largest = self.aspect
        columns, rows = min(width, round(height * largest)), min(height, round(width / least))
        left, top = (width - columns) // 2, (height - rows) // 2
        return left, top, left + columns, top + rows


Crop: TypeAlias = PadCrop | ResizedCrop


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How training images differ from what validation sees.

    Attributes:
        crop: which part of the image; None takes what validation takes.
        flip: probability that left and right are exchanged.
        randaugment: operations drawn from a list; None does without.
        jitter: brightness, contrast and saturation are each multiplied by 1 - jitter to 1 + jitter, in any order, as
            ``--color-jitter`` of timm has it; 0 does without.
        erasing: probability that a rectangle is erased (arXiv:1708.04896): it gets the colour that becomes 0.
    """

    crop: Crop | None = None
    flip: float = 0.5
    randaugment: RandAugment | None = None
    jitter: float = 0.0
    erasing: float = 0.0

    @property
    def moves_only(self) -> bool:
        """Whether all it does is to shift and to flip, which ``shifted`` does to a whole batch."""
        others = self.randaugment is None and self.jitter == self.erasing == 0
        return others and not isinstance(self.crop, ResizedCrop)


def training_pixels(
    image: Image.Image, preprocessing: Preprocessing, augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The pixels that training sees of an image this time, [H, W, C], channels as ``preprocessing`` orders them.

    Of a resized crop out of a large JPEG that is not decoded yet, the decoder makes no more pixels than serve.

    Raises:
        DataError: the image is smaller than the network's input, and ``preprocessing`` does not resize it.
    """
    height, width = preprocessing.size
    if isinstance(augmentation.crop, ResizedCrop):
        image = _cut(image, augmentation.crop, preprocessing, rng)
    else:
        image = preprocessing.framed(preprocessing.opened(image))
    if isinstance(augmentation.crop, PadCrop):
        border = augmentation.crop.pixels
        left, top = (int(offset) - border for offset in rng.integers(2 * border + 1, size=2))
        image = image.crop((left, top, left + width, top + height))  # Pillow has black outside of an image
    if rng.random() < augmentation.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if augmentation.randaugment is not None:
        image = augmentation.randaugment(image, rng)
    if augmentation.jitter:
        image = _jittered(image, augmentation.jitter, rng)
    pixels = preprocessing.array(image)
    if rng.random() < augmentation.erasing:
        _erase(pixels, preprocessing.mean, rng)
    return pixels


def shifted(
    pixels: NDArray[np.uint8], border: int, offsets: NDArray[np.integer], flips: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Images cropped out of a black border and flipped, all at once: what ``PadCrop`` and ``flip`` do to one.

    Args:
        pixels: [N, H, W, C].
        border: its width, pixels.
        offsets: [N, 2], left and top of each crop, 0 to twice the border.
        flips: [N], which images are flipped.
    """
    count, height, width, channels = pixels.shape
    if border:
        wide = np.zeros((count, height + 2 * border, width + 2 * border, channels), np.uint8)
        wide[:, border : border + height, border : border + width] = pixels
        windows = np.lib.stride_tricks.sliding_window_view(wide, (height, width), axis=(1, 2))
        # [N, top, left, H, W, C]: a row of a crop is copied in one piece.
        pixels = windows.transpose(0, 1, 2, 4, 5, 3)[np.arange(count), offsets[:, 1], offsets[:, 0]]
    return np.where(flips[:, None, None, None], pixels[:, :, ::-1], pixels)


def _cut(image: Image.Image, crop: ResizedCrop, preprocessing: Preprocessing, rng: np.random.Generator) -> Image.Image:
    """A rectangle of an image, resized to the network's input."""
    height, width = preprocessing.size
    is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) in _TURNED
    full_width, full_height = image.size[::-1] if is_turned else image.size
    left, top, right, bottom = crop.box((full_width, full_height), rng)
    spare = min((right - left) / width, (bottom - top) / height) / _SPARE
    if spare >= 2:  # a decoder halves, once to three times
        image.draft(None, (math.ceil(image.width / spare), math.ceil(image.height / spare)))
    image = preprocessing.opened(image)
    across, down = image.width / full_width, image.height / full_height
    box = (round(left * across), round(top * down), round(right * across), round(bottom * down))
    return preprocessing.resized(image.crop(box), (width, height))


def _on_logarithmic_scale(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = map(math.log, bounds)
    return math.exp(rng.uniform(low, high))


def _jittered(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    for place in rng.permutation(len(_JITTERED)):
        factor = rng.uniform(max(0.0, 1 - strength), 1 + strength)
        image = on_colours(image, partial(_times, enhancer=_JITTERED[place], factor=factor))
    return image


def _times(image: Image.Image, enhancer: Callable[[Image.Image], ImageEnhance._Enhance], factor: float) -> Image.Image:
    return enhancer(image).enhance(factor)


def _erase(pixels: NDArray[np.uint8], mean: Sequence[float], rng: np.random.Generator) -> None:
    """Give a rectangle the colour of ``mean``, one a channel on a 0..1 scale; nothing where none fits."""
    height, width, _ = pixels.shape
    for _ in range(_TRIES):
        area = height * width * rng.uniform(*ERASED_AREA)
        aspect = _on_logarithmic_scale(ERASED_ASPECT, rng)
        rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if rows < height and columns < width:
            top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
            pixels[top : top + rows, left : left + columns] = np.rint(255 * np.clip(mean, 0, 1)).astype(np.uint8)
            return
