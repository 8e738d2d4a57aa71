"""From an image file to the network's input: decided once, used everywhere, written into every exported file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from edgekit.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's reference preprocessing


@dataclass(frozen=True, slots=True)
class Normalization:
    """``real = (pixel - mean) / std`` with pixels 0..255, one mean and std a channel (in pixel units)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pixels [N, H, W, C] to reals [N, C, H, W], float32."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return np.ascontiguousarray(((pixels.astype(np.float32) - mean) / std).transpose(0, 3, 1, 2))


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes pixels, and pixels become the network's input.

    Attributes:
        size: (height, width) of the network's input, pixels.
        resize: what happens before the centre crop to ``size``: a number resizes the shorter side to that many pixels,
            "whole" resizes the image to ``size`` whatever its shape (nothing is left to crop), None does nothing.
        mean: of each channel, on a 0..1 scale, in the order of ``order``.
        std: of each channel, on a 0..1 scale, in the order of ``order``.
        order: of the colour channels as the network sees them, "RGB" or "BGR".
    """

    size: tuple[int, int]
    resize: int | str | None
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    order: str = "RGB"

    @property
    def normalization(self) -> Normalization:
        """Mean and standard deviation in pixel units."""
        return Normalization(tuple(m * 255 for m in self.mean), tuple(s * 255 for s in self.std))

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """The pixels that the network sees, [H, W, C].

        The image is turned upright first, as its EXIF orientation says, and becomes 8-bit RGB: grey is replicated, the
        upper byte of 16-bit grey is kept, transparency is dropped. Resizing is Pillow's bilinear filter, which averages
        over the pixels that it shrinks away. Sizes and the centre crop are torchvision's: the longer side is truncated
        to whole pixels, the crop's offset is round((size - crop) / 2), a half going to the even number.

        Raises:
            DataError: the image is smaller than the crop, or its pixels are floating-point numbers.
        """
        height, width = self.size
        image = _rgb(ImageOps.exif_transpose(image))
        if self.resize == "whole":
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        elif self.resize is not None:
            # In this order of operations: 224 / 107 * 214 is 447.99..., where torchvision's 224 * 214 / 107 is 448.
            # Source: _compute_resized_output_size in torchvision/transforms/functional.py
            shorter, before = int(self.resize), min(image.size)
            w, h = (int(shorter * side / before) for side in image.size)
            image = image.resize((w, h), Image.Resampling.BILINEAR)
        if image.width < width or image.height < height:
            raise DataError(
                f"the image is {image.width} x {image.height}, smaller than the network's {width} x {height}: "
                f"set resize to a number of pixels, or to 'whole'"
            )
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        pixels = np.asarray(image.crop((left, top, left + width, top + height)), np.uint8)
        return np.ascontiguousarray(pixels if self.order == "RGB" else pixels[..., ::-1])

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of ``to_dict``."""
        height, width = values["size"]
        return Preprocessing(
            (height, width), values["resize"], tuple(values["mean"]), tuple(values["std"]), values["order"]
        )


def _rgb(image: Image.Image) -> Image.Image:
    """The image in 8-bit RGB."""
    if image.mode == "F":
        raise DataError("its pixels are floating-point numbers: convert it to 8 bits a channel")
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip to white instead of scaling it
        image = Image.fromarray(np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8))
    if image.mode == "P":  # Pillow warns where a palette with transparency becomes RGB directly
        image = image.convert("RGBA")
    return image.convert("RGB")
