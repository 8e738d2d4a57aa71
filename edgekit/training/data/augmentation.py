"""What is done to a training image each time it is seen, by Pillow and numpy alone.

Order of operations: crop, flip, RandAugment, colour jitter, erasing; torchvision's references and timm have the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageEnhance

from edgekit.annotations.moving import UNKNOWN, moved, parts
from edgekit.image_files import upright_size
from edgekit.training.data.crops import PadCrop, ScaledCrop, on_logarithmic_scale
from edgekit.training.data.randaugment import RandAugment, on_colours

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgekit.annotations.moving import Target, Together
    from edgekit.geometry import Geometry
    from edgekit.preprocessing import Preprocessing
    from edgekit.training.data.crops import Crop

_SPARE: Final = 2.0  # pixels along each side of a crop, of one that is made of them: what halved them hardly shows
_JITTERED: Final = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
_TRIES: Final = 10  # to find a rectangle inside of the image
# Of the erased rectangle: its share of the image's area, and its height over its width, on a logarithmic scale.
# Source: arXiv:1708.04896, section 3.2, with 1 / 3 in place of 0.4 as timm has it (timm/data/random_erasing.py).
ERASED_AREA: Final = (0.02, 1 / 3)
ERASED_ASPECT: Final = (0.3, 1 / 0.3)


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
        return others and (self.crop is None or isinstance(self.crop, PadCrop))

    def size(self, preprocessing: Preprocessing) -> tuple[int, int]:
        """(Height, width) of what training sees, pixels."""
        return (self.crop.size if isinstance(self.crop, ScaledCrop) else None) or preprocessing.size

    def geometries(
        self,
        size: tuple[int, int],
        target: Target | Together | None,
        preprocessing: Preprocessing,
        rng: np.random.Generator,
    ) -> tuple[Geometry, ...]:
        """What is seen of an upright image of this size, (width, height), one after the other."""
        if self.crop is None:
            drawn: tuple[Geometry, ...] = (preprocessing.geometry(size),)
        else:
            drawn = self.crop.drawn(size, target, preprocessing, rng)
        return (*drawn[:-1], drawn[-1].flipped()) if rng.random() < self.flip else drawn


def seen_in_training(
    image: Image.Image,
    target: Target | Together | None,
    preprocessing: Preprocessing,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], Target | Together | None]:
    """What training sees of an image and its boxes or mask this time.

    Of a crop out of a large JPEG that is not decoded yet, the decoder makes no more pixels than serve.

    Args:
        image: perhaps not decoded yet; not changed.
        target: boxes or a mask, which are moved along; None where nothing is to be moved.
        preprocessing: how validation sees images.
        augmentation: how training differs from that.
        rng: what is drawn from.

    Returns:
        Pixels [H, W, C], channels as ``preprocessing`` orders them; the target of these.

    Raises:
        DataError: the image is smaller than the network's input, and ``preprocessing`` does not resize it.
    """
    crop = augmentation.crop
    geometries = augmentation.geometries(upright_size(image), target, preprocessing, rng)
    if crop is not None and not isinstance(crop, PadCrop):
        _draft(image, geometries[0])
    image = preprocessing.opened(image)
    for geometry in geometries:
        image = preprocessing.seen(image, geometry, has_mean=not isinstance(crop, PadCrop))
        target = None if target is None else moved(target, geometry)
    if augmentation.randaugment is not None:
        image = augmentation.randaugment(image, rng, moves=target is None)
    if augmentation.jitter:
        image = _jittered(image, augmentation.jitter, rng)
    pixels = preprocessing.array(image)
    if rng.random() < augmentation.erasing:
        rows, columns = _erased(pixels.shape[:2], rng)
        pixels[rows, columns] = np.rint(255 * np.clip(preprocessing.mean, 0, 1)).astype(np.uint8)
        for mask in parts(target):
            if isinstance(mask, np.ndarray):
                mask[rows, columns] = UNKNOWN
    return pixels, target


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


def _draft(image: Image.Image, geometry: Geometry) -> None:
    """Have a JPEG that is not decoded yet decoded with fewer pixels, but enough for what is cut out of it."""
    left, top, right, bottom = geometry.cut
    width, height = geometry.resized
    spare = min((right - left) / width, (bottom - top) / height) / _SPARE
    if spare >= 2:  # a decoder halves, once to three times
        image.draft(None, (math.ceil(image.width / spare), math.ceil(image.height / spare)))


def _jittered(image: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    for place in rng.permutation(len(_JITTERED)):
        factor = rng.uniform(max(0.0, 1 - strength), 1 + strength)
        image = on_colours(image, partial(_times, enhancer=_JITTERED[place], factor=factor))
    return image


def _times(image: Image.Image, enhancer: Callable[[Image.Image], ImageEnhance._Enhance], factor: float) -> Image.Image:
    return enhancer(image).enhance(factor)


def _erased(size: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a rectangle in an image of this size, (height, width); none where none fits."""
    height, width = size
    for _ in range(_TRIES):
        area = height * width * rng.uniform(*ERASED_AREA)
        aspect = on_logarithmic_scale(ERASED_ASPECT, rng)
        rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if rows < height and columns < width:
            top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
            return slice(top, top + rows), slice(left, left + columns)
    return slice(0), slice(0)
