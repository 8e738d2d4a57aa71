"""What int8 changes on single images, and what the network sees of them."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from edgekit.reports import findings
from edgekit.reports.kit.markup import Markup, element, join, table
from edgekit.reports.kit.pieces import code, note
from edgekit.reports.pages.verify import charts
from edgekit.reports.pages.verify.signs import mark
from edgekit.tasks.drawing import drawn
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.pipeline.proving.verdicts import Picture, VerifyResult
    from edgekit.tasks.values import Differences, Disagreement

_MATRIX: Final = 20  # classes up to which a confusion matrix can be read
_PAIRS: Final = 50  # how many confusions are listed where there are more classes
_NAMES: Final = 3  # how many images of each
_THUMBNAIL: Final = 112  # pixels


def differences(result: VerifyResult) -> Markup | None:
    """Where int8 says something else than float."""
    found = result.differences
    if found is None or not result.images:
        return None
    sentence = element("p", found.sentence)
    if found.points:
        sentence = join(sentence, charts.scatter(found.points))
    if not found.disagreements:
        return sentence
    is_small = 0 < len(found.categories) <= _MATRIX
    return join(sentence, _matrix(found) if is_small else _pairs(found), _drawings(result))


def _matrix(found: Differences) -> Markup:
    images = {(pair.expected, pair.found): len(pair.images) for pair in found.disagreements}
    most = max(images.values())

    def cell(row: str, column: str) -> str:
        number = images.get((row, column), 0)
        if row == column:
            return element("span", "=", class_="same")
        # How dark it is only repeats the number.
        return element("span", str(number), class_="count", style=f"--share:{number / most:.2f}") if number else ""

    rows = [[row, *(cell(row, column) for column in found.categories)] for row in found.categories]
    columns = ["float \\ int8", *(f">{name}" for name in found.categories)]
    return table(columns, rows, "Images, by what float and int8 say")


def _pairs(found: Differences) -> Markup:
    rows = [[pair.expected, pair.found, f"{len(pair.images):,}", _some(pair)] for pair in found.disagreements[:_PAIRS]]
    left = len(found.disagreements) - len(rows)
    return join(
        table(["float says", "int8 says", ">images", "which"], rows, "Images, by what float and int8 say"),
        note(f"And {count(left, 'other pair')}: a report with the suffix .json has all of them.") if left else None,
    )


def _some(found: Disagreement) -> Markup:
    names = [code(name) for name in found.images[:_NAMES]]
    return join(*names, "…" if len(found.images) > _NAMES else None, between=", ")


def _drawings(result: VerifyResult) -> Markup | None:
    """What float and int8 see, side by side."""
    if not result.differing:
        return None
    is_bgr = _is_bgr(result)
    figures = []
    for one in result.differing:
        image = Image.fromarray(_colours(one.pixels, is_bgr=is_bgr)).convert("RGB")
        sides = [
            element(
                "div",
                element("img", src=_jpeg(drawn(image, answer)), alt=f"{who}: {answer.text}", title=answer.text),
                element("span", who),
            )
            for who, answer in (("float", one.expected), ("int8", one.found))
        ]
        figures.append(element("figure", element("div", *sides, class_="sides"), element("figcaption", code(one.name))))
    return join(
        note(f"{len(figures)} of the images on which they differ, as the network sees them."),
        element("div", *figures, class_="drawings"),
    )


def pictures(result: VerifyResult) -> Markup | None:
    """A contact sheet of the images that files were run on."""
    shown = f"{len(result.pictures)} of {count(result.images, 'image')}, as the network sees them"
    return _sheet(result, result.pictures, shown)


def calibration(result: VerifyResult) -> Markup | None:
    """A contact sheet of the images that int8 was calibrated on."""
    return _sheet(
        result, result.calibration, "Some of the images that int8 was calibrated on, as the network sees them"
    )


def _sheet(result: VerifyResult, images: Sequence[Picture], title: str) -> Markup | None:
    if not images:
        return None
    is_bgr = _is_bgr(result)
    height, width = images[0].pixels.shape[:2]
    figures = [_figure(picture, is_bgr=is_bgr) for picture in images]
    return join(note(f"{title}: {width} × {height} pixels."), element("div", *figures, class_="sheet"))


def _figure(picture: Picture, *, is_bgr: bool) -> Markup:
    """A picture, and below it everything that somebody says of it, with those who say it."""
    lines = [
        element(
            "div",
            element("dt", ", ".join(saying.who)),
            element("dd", mark(passed=False) if saying.wrong else None, f" {saying.text}"),
            class_="wrong" if saying.wrong else None,
        )
        for saying in picture.sayings
    ]
    pixels = _colours(picture.pixels, is_bgr=is_bgr)
    return element(
        "figure",
        element("img", src=f"data:image/png;base64,{_png(pixels)}", alt=picture.name, title=picture.name),
        element("figcaption", element("dl", *lines)),
        class_="differs" if any(saying.wrong for saying in picture.sayings) else None,
    )


def _is_bgr(result: VerifyResult) -> bool:
    metadata = findings.about(result)
    return metadata is not None and metadata.preprocessing.order.startswith("BGR")


def _colours(pixels: NDArray[np.uint8], *, is_bgr: bool) -> NDArray[np.uint8]:
    """Pixels as Pillow takes them: [H, W, 3], or [H, W] of grey."""
    if pixels.shape[2] == 1:
        return pixels[..., 0]
    colours = pixels[..., :3]  # a fourth channel would look like transparency, and is often something else
    return np.ascontiguousarray(colours[..., ::-1] if is_bgr else colours)


def _jpeg(image: Image.Image) -> str:
    """A picture as an address that holds it."""
    written = io.BytesIO()
    image.save(written, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode()}"


def _png(pixels: NDArray[np.uint8]) -> str:
    """A thumbnail: the mean of whole squares of pixels, or the pixels themselves where they are few."""
    image = Image.fromarray(pixels)
    image = image.reduce(max(max(image.size) // _THUMBNAIL, 1))
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()
