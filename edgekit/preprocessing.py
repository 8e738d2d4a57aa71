"""From an image file to the network's input: decided once, used everywhere, written into every exported file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

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
        mean: of each channel, on a 0..1 scale.
        std: of each channel, on a 0..1 scale.
        order: of the colour channels, "RGB" or "BGR".
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

        Resizing is Pillow's bilinear filter, the centre crop is torchvision's: offset round((size - crop) / 2).

        Raises:
            DataError: the image is smaller than the crop.
        """
        height, width = self.size
        image = image.convert("RGB")
        if self.resize == "whole":
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        elif self.resize is not None:
            shorter, scale = int(self.resize), int(self.resize) / min(image.size)
            # torchvision truncates the longer side: _compute_resized_output_size in transforms/functional.py
            w, h = (shorter if side == min(image.size) else int(side * scale) for side in image.size)
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
