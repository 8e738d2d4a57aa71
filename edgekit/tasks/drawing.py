"""Answers drawn on their image: boxes with names and scores, and masks with a legend.

Colours follow from the index of a class alone, so that pictures of two networks can be compared. Lines have
dark edges and names a ground, so that they are seen on any image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edgekit.annotations.moving import UNKNOWN
from edgekit.conventions import colour_of
from edgekit.tasks.detection.answers import Things
from edgekit.tasks.segmentation.answers import Regions
from edgekit.tasks.several import Together
from edgekit.words import percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.tasks.segmentation.answers import Region
    from edgekit.tasks.values import Answer

Colour = tuple[int, int, int]
View = tuple[float, float, float, float]

WHOLE: Final[View] = (0.0, 0.0, 1.0, 1.0)
_LEAST_SIDE, _MOST_SIDE = 480, 1600  # pixels of the longer side: smaller images are enlarged, larger ones reduced
_LETTER: Final = 45  # of the longer side's pixels, one is the height of a letter
_LEAST_LETTER: Final = 11
_COVER: Final = 0.5  # of a mask over its image
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def can_be_drawn(answer: Answer) -> bool:
    """Whether there is anything to draw of answers of this kind."""
    return any(isinstance(part, Things | Regions) for part in _parts(answer))


def drawn(image: Image.Image, answer: Answer, view: View = WHOLE) -> Image.Image:
    """An image with an answer.

    Args:
        image: in RGB, of any size.
        answer: what a network says of it.
        view: what the network sees of it (``Geometry.seen``).
    """
    canvas = _sized(image)
    parts = list(_parts(answer))
    for part in parts:
        if isinstance(part, Regions):
            _cover(canvas, part, view)
    for part in parts:
        if isinstance(part, Things):
            _frame(canvas, part, view)
    regions = [region for part in parts if isinstance(part, Regions) for region in part.covered]
    legend = [region for region in regions if not _is_background(region)]
    return _with_legend(canvas, legend) if legend else canvas


def _parts(answer: Answer) -> Iterator[Answer]:
    if isinstance(answer, Together):
        yield from answer.answers.values()
    else:
        yield answer


def _sized(image: Image.Image) -> Image.Image:
    """A copy whose longer side is neither too small to be written on nor larger than anybody looks at."""
    side = max(image.size)
    wanted = min(max(side, _LEAST_SIDE), _MOST_SIDE)
    if side == wanted:
        return image.copy()
    size = tuple(max(round(one * wanted / side), 1) for one in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.BICUBIC)


def _is_background(region: Region) -> bool:
    """Whether a class is what is left of an image: the first, if it is called so ("__background__" by torchvision)."""
    return region.index == 0 and region.label.strip("_").lower() == "background"


def _cover(canvas: Image.Image, regions: Regions, view: View) -> None:
    """Lay the colours of a mask over what the network sees; the background and what is not known stay clear."""
    mask = regions.mask
    clear = [UNKNOWN, *(region.index for region in regions.covered if _is_background(region))]
    left, top, right, bottom = _pixels(canvas, view, WHOLE)
    colours = np.array([*map(colour_of, range(UNKNOWN)), _BLACK], np.uint8)[mask]
    alpha = np.where(np.isin(mask, clear), 0, round(255 * _COVER)).astype(np.uint8)
    size = (max(round(right - left), 1), max(round(bottom - top), 1))
    layer, share = (Image.fromarray(array).resize(size, Image.Resampling.NEAREST) for array in (colours, alpha))
    canvas.paste(layer, (round(left), round(top)), share)


def _frame(canvas: Image.Image, things: Things, view: View) -> None:
    """Draw boxes, the most certain last, so that it lies above the others."""
    draw = ImageDraw.Draw(canvas)
    width = max(round(max(canvas.size) / 320), 2)
    for thing in reversed(things.seen):
        left, top, right, bottom = _pixels(canvas, view, thing.box)
        right, bottom = max(right, left), max(bottom, top)
        colour = colour_of(thing.index)
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_BLACK, width=width + 2)
        draw.rectangle((left, top, right, bottom), outline=colour, width=width)
    for thing in reversed(things.seen):
        left, top, *_ = _pixels(canvas, view, thing.box)
        _tag(canvas, f"{thing.label} {percent(round(thing.score, 2))}", (left, top), colour_of(thing.index))


def _tag(canvas: Image.Image, text: str, corner: tuple[float, float], colour: Colour) -> None:
    """Write a name above the corner of a box, or within it where there is no room."""
    draw, font = ImageDraw.Draw(canvas), _font(canvas)
    left, top, right, bottom = draw.textbbox((0, 0), text, font)
    width, height = right - left + 6, bottom - top + 6
    x = max(min(corner[0], canvas.width - width), 0)
    y = corner[1] - height if corner[1] >= height else corner[1]
    draw.rectangle((x, y, x + width, y + height), fill=colour, outline=_BLACK)
    draw.text((x + 3 - left, y + 3 - top), text, _ink(colour), font)


def _with_legend(canvas: Image.Image, regions: Sequence[Region]) -> Image.Image:
    """The image above a row of colours with the names of their classes."""
    font = _font(canvas)
    draw = ImageDraw.Draw(canvas)
    height = round(draw.textbbox((0, 0), "Ag", font)[3]) + 8
    places, x, y = list[tuple[int, int]](), 0, 0
    texts = [f"{region.label} {100 * region.share:.0f} %" for region in regions]
    for text in texts:
        width = round(draw.textlength(text, font)) + height + 12
        if x and x + width > canvas.width:
            x, y = 0, y + height
        places.append((x, y))
        x += width
    result = Image.new("RGB", (canvas.width, canvas.height + y + height), _WHITE)
    result.paste(canvas, (0, 0))
    draw = ImageDraw.Draw(result)
    for (x, y), text, region in zip(places, texts, regions, strict=True):
        top = canvas.height + y
        square = (x + 4, top + 4, x + height - 4, top + height - 4)
        draw.rectangle(square, fill=colour_of(region.index), outline=_BLACK)
        draw.text((x + height + 2, top + 3), text, _BLACK, font)
    return result


def _pixels(canvas: Image.Image, view: View, box: View) -> View:
    """A box in shares of what the network sees, in pixels of the canvas."""
    across, down = view[2] - view[0], view[3] - view[1]
    left, right = ((view[0] + side * across) * canvas.width for side in box[0::2])
    top, bottom = ((view[1] + side * down) * canvas.height for side in box[1::2])
    return left, top, right, bottom


def _ink(ground: Colour) -> Colour:
    """Black or white, whichever is read more easily on a colour: luma of ITU-R BT.601."""
    red, green, blue = ground
    return _BLACK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else _WHITE


def _font(canvas: Image.Image) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(max(canvas.size) / _LETTER, _LEAST_LETTER))
