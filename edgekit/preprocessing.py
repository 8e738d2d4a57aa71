"""From an image file to the network's input: decided once, used everywhere, written into every exported file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import ExifTags, Image, ImageOps

from edgekit.conventions import ORDERS, Interpolation
from edgekit.errors import DataError
from edgekit.facts import Basis, Fact
from edgekit.flags import INPUT_SETTINGS
from edgekit.geometry import Geometry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_FILTERS: Final[Mapping[Interpolation, Image.Resampling]] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
_UPRIGHT: Final = 1  # an EXIF orientation


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
            two numbers (height, width) resize the image, keeping its shape, until it just covers so many pixels,
            "whole" resizes the image to ``size`` whatever its shape (nothing is left to crop), None does nothing.
        mean: of each channel, on a 0..1 scale, in the order of ``order``.
        std: of each channel, on a 0..1 scale, in the order of ``order``.
        order: of a pixel's channels as the network sees them: "GREY", "RGB", "BGR", "RGBA" or "BGRA".
        interpolation: of the resizing, one of Pillow's filters.
        antialias: a filter averages over the pixels that it shrinks away, as Pillow, torchvision and timm have it;
            False looks at the nearest pixels alone, as tf.image.resize and OpenCV do.
        keeps_size: an image that has ``size`` already is not resized. No file says it: it follows from how ``resize``
            is known (``pipeline.making.given.as_read``).
    """

    size: tuple[int, int]
    resize: int | tuple[int, int] | str | None
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    order: str = "RGB"
    interpolation: Interpolation = "bilinear"
    antialias: bool = True
    keeps_size: bool = field(default=False, metadata={"json": False})

    @property
    def normalization(self) -> Normalization:
        """Mean and standard deviation in pixel units."""
        return Normalization(tuple(m * 255 for m in self.mean), tuple(s * 255 for s in self.std))

    @property
    def shape(self) -> tuple[int, int, int]:
        """[H, W, C] of an image's pixels."""
        return (*self.size, len(self.mean))

    def pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """The pixels that the network sees, [H, W, C].

        The image is turned upright first, as its EXIF orientation says, and gets 8 bits a channel and the channels of
        ``order``: colours become grey by Pillow's weights (ITU-R BT.601), grey is replicated, transparency is dropped,
        or full where it is wanted and the image has none, and the upper byte of 16-bit grey is kept. Each channel is
        resized by itself. Sizes and the centre crop are torchvision's: what does not fit is truncated to whole pixels,
        the crop's offset is round((size - crop) / 2), a half going to the even number.

        Raises:
            DataError: the image is smaller than the crop, or its pixels are floating-point numbers.
        """
        return self.array(self.framed(self.opened(image)))

    def framed(self, image: Image.Image) -> Image.Image:
        """An image from ``opened`` resized and cropped to ``size``.

        Raises:
            DataError: the image is smaller than the crop.
        """
        return self.seen(image, self.geometry(image.size))

    def geometry(self, size: tuple[int, int]) -> Geometry:
        """What the network sees of an upright image of this size, (width, height).

        Raises:
            DataError: the image is smaller than the crop.
        """
        height, width = self.size
        resized = self._before_crop(size)
        if resized[0] < width or resized[1] < height:
            raise DataError(
                f"the image is {resized[0]} x {resized[1]}, smaller than the network's {width} x {height}: "
                f"set resize to a number of pixels, to HEIGHTxWIDTH, or to 'whole'"
            )
        left, top = round((resized[0] - width) / 2), round((resized[1] - height) / 2)
        return Geometry(size, (0, 0, *size), resized, (left, top, left + width, top + height))

    def seen(self, image: Image.Image, geometry: Geometry, *, has_mean: bool = False) -> Image.Image:
        """What is seen of an image from ``opened``, by ``interpolation``.

        Args:
            image: perhaps decoded with fewer pixels than ``geometry`` has it.
            geometry: of the whole image.
            has_mean: whether there is the mean colour, which becomes 0, where there is no image; else it is black.
        """
        across, down = (own / whole for own, whole in zip(image.size, geometry.source, strict=True))
        left, top, right, bottom = geometry.cut
        cut = (round(left * across), round(top * down), round(right * across), round(bottom * down))
        image = self.resized(image if cut == (0, 0, *image.size) else image.crop(cut), geometry.resized)
        left, top, right, bottom = geometry.window
        if has_mean and (min(left, top) < 0 or right > image.width or bottom > image.height):
            canvas = Image.new(image.mode, geometry.size, self._mean_colour)
            canvas.paste(image, (-left, -top))
            image = canvas
        elif geometry.window != (0, 0, *image.size):
            image = image.crop(geometry.window)  # Pillow has black outside of an image
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if geometry.flip else image

    def opened(self, image: Image.Image) -> Image.Image:
        """The image upright, in 8 bits a channel, with the channels of ``order`` (see ``pixels``) as Pillow has them.

        An image that is so already is returned itself: it must not be changed.

        Raises:
            DataError: its pixels are floating-point numbers.
        """
        if image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT) != _UPRIGHT:
            image = ImageOps.exif_transpose(image)  # which copies what is upright, too
        return _converted(image, ORDERS[self.order][0])

    def resized(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """An image from ``opened`` with another size, (width, height), by ``interpolation``."""
        if image.size == size:
            return image
        if image.mode == "RGBA":
            # Pillow weighs colours by their alpha, which is no transparency where the fourth channel is depth.
            return Image.merge("RGBA", [self.resized(channel, size) for channel in image.split()])
        method = _FILTERS[self.interpolation]
        if self.antialias:
            return image.resize(size, method)
        # Output pixel (x + 1/2) reads input pixel a (x + 1/2), as half_pixel_centers of tf.image.resize has it.
        # Source: Pillow's Geometry.c, affine_transform and bilinear_filter, which stays inside of the image.
        horizontal, vertical = image.width / size[0], image.height / size[1]
        return image.transform(size, Image.Transform.AFFINE, (horizontal, 0, 0, 0, vertical, 0), method)

    @property
    def _mean_colour(self) -> tuple[int, ...]:
        """The mean in levels, channels as Pillow has them."""
        levels = dict(zip(ORDERS[self.order][1], self.mean, strict=True))
        return tuple(round(255 * min(max(levels[place], 0), 1)) for place in sorted(levels))

    def in_order(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pixels [..., C], whose channels are as Pillow has them, with the channels in ``order``."""
        places = ORDERS[self.order][1]
        return pixels if places == tuple(range(len(places))) else np.ascontiguousarray(pixels[..., places])

    def array(self, image: Image.Image) -> NDArray[np.uint8]:
        """The pixels [H, W, C] of an image from ``opened``, its channels in ``order``."""
        return self.in_order(np.array(image, np.uint8).reshape(image.height, image.width, -1))

    def leaves(self, size: tuple[int, int]) -> bool:
        """Whether an image of this size, (width, height), is neither resized nor cropped."""
        return size == self.size[::-1] == self._before_crop(size)

    def is_filled(self, image: Image.Image) -> bool:
        """Whether an image lacks the fourth channel that the network reads: it is made up then, 255 everywhere."""
        has_fourth = not {"A", "a"}.isdisjoint(image.getbands()) or "transparency" in image.info
        return ORDERS[self.order][0] == "RGBA" and not has_fourth

    def _before_crop(self, size: tuple[int, int]) -> tuple[int, int]:
        """What an image of this size is resized to; all are (width, height)."""
        height, width = self.size
        if self.resize is None or (self.keeps_size and size == (width, height)):
            return size
        if self.resize == "whole":
            return width, height
        rows, columns = self.resize if isinstance(self.resize, tuple) else (int(self.resize),) * 2
        return _covering(size, (columns, rows))

    def at(self, size: tuple[int, int]) -> Preprocessing:
        """The same for images of another size, (height, width), of which the network sees the same share."""
        rows, columns = (side / own for side, own in zip(size, self.size, strict=True))
        resize = self.resize
        if isinstance(resize, int):
            resize = round(resize * min(size) / min(self.size))
        elif isinstance(resize, tuple):
            resize = (round(resize[0] * rows), round(resize[1] * columns))
        return replace(self, size=size, resize=resize)

    def facts(self, basis: Basis, because: str) -> tuple[Fact, ...]:
        """It as facts that hold for the same reason; of averaging nothing is said where it is as usual."""
        values: dict[str, Any] = {
            "normalization": {"mean": list(self.mean), "std": list(self.std)},
            "order": self.order,
            "resize": "none" if self.resize is None else self.resize,
            "interpolation": self.interpolation,
        }
        if not self.antialias:
            values["antialias"] = False
        return tuple(Fact(name, value, basis, because, INPUT_SETTINGS[name]) for name, value in values.items())

    def to_dict(self) -> dict[str, Any]:
        """JSON values, without ``keeps_size``."""
        values = asdict(self)
        del values["keeps_size"]
        return values

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of ``to_dict``."""
        height, width = values["size"]
        resize = values["resize"]
        return Preprocessing(
            (height, width),
            (resize[0], resize[1]) if isinstance(resize, list | tuple) else resize,
            tuple(values["mean"]),
            tuple(values["std"]),
            values["order"],
            values.get("interpolation", "bilinear"),  # all that there was, before these two were written
            values.get("antialias", True),
        )


def _covering(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """The smallest size of an image's shape that covers ``wanted``; all are (width, height)."""
    # The side that is shorter, compared with what is wanted, becomes that; the other is truncated in this order of
    # operations: 224 / 107 * 214 is 447.99..., where torchvision's 224 * 214 / 107 is 448.
    # Source: _compute_resized_output_size in torchvision/transforms/functional.py, where both sides wanted are equal
    side = 0 if size[0] * wanted[1] <= size[1] * wanted[0] else 1
    width, height = (int(wanted[side] * length / size[side]) for length in size)
    return width, height


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """The image in 8 bits a channel and one of the modes of ``ORDERS``."""
    if image.mode == "F":
        raise DataError("its pixels are floating-point numbers: convert it to 8 bits a channel")
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip to white instead of scaling it
        image = Image.fromarray(np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8))
    if image.mode == "P":  # Pillow warns where a palette with transparency becomes RGB directly
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)
