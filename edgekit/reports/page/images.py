"""What int8 changes on single images, and what the network sees of them."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from edgekit.reports import findings
from edgekit.reports.page.markup import Markup, element, join, table
from edgekit.reports.page.pieces import code, mark, note
from edgekit.tasks.classification.answers import class_name
from edgekit.words import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.pipeline.proving.verdicts import Confusion, Picture, VerifyResult

_MATRIX: Final = 20  # classes up to which a confusion matrix can be read
_PAIRS: Final = 50  # how many confusions are listed where there are more classes
_NAMES: Final = 3  # how many images of each
_THUMBNAIL: Final = 112  # pixels


def confusion(result: VerifyResult) -> Markup | None:
    """Where int8 names another class than float."""
    if not (result.images and result.integer_reference and result.float_reference):
        return None
    differing = sum(len(confusion.images) for confusion in result.confusions)
    if not differing:
        return element("p", f"int8 and float name the same class on all {count(result.images, 'image')}.")
    sentence = f"int8 names another class than float on {differing:,} of {count(result.images, 'image')}."
    classes = findings.classes(result)
    shown = _matrix(result, classes) if classes <= _MATRIX else _pairs(result)
    return join(element("p", sentence), shown)


def _matrix(result: VerifyResult, classes: int) -> Markup:
    found = {(c.float_class, c.int8_class): len(c.images) for c in result.confusions}
    most = max(found.values())
    names = [class_name(index, result.labels) for index in range(classes)]

    def cell(row: int, column: int) -> str:
        number = found.get((row, column), 0)
        if row == column:
            return element("span", "=", class_="same")
        # How dark it is only repeats the number.
        return element("span", str(number), class_="count", style=f"--share:{number / most:.2f}") if number else ""

    rows = [[name, *(cell(row, column) for column in range(classes))] for row, name in enumerate(names)]
    return table(["float \\ int8", *(f">{name}" for name in names)], rows, "Images, by what float and int8 say")


def _pairs(result: VerifyResult) -> Markup:
    rows = [
        [
            class_name(found.float_class, result.labels),
            class_name(found.int8_class, result.labels),
            f"{len(found.images):,}",
            _some(found),
        ]
        for found in result.confusions[:_PAIRS]
    ]
    left = len(result.confusions) - len(rows)
    return join(
        table(["float says", "int8 says", ">images", "which"], rows, "Images, by what float and int8 say"),
        note(f"And {count(left, 'other pair')}: a report with the suffix .json has all of them.") if left else None,
    )


def _some(found: Confusion) -> Markup:
    names = [code(name) for name in found.images[:_NAMES]]
    return join(*names, "…" if len(found.images) > _NAMES else None, between=", ")


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
    metadata = findings.about(result)
    is_bgr = metadata is not None and metadata.preprocessing.order.startswith("BGR")
    height, width = images[0].pixels.shape[:2]
    figures = [_figure(picture, result.labels, is_bgr=is_bgr) for picture in images]
    return join(note(f"{title}: {width} × {height} pixels."), element("div", *figures, class_="sheet"))


def _figure(picture: Picture, labels: Sequence[str], *, is_bgr: bool) -> Markup:
    """A picture, and below it every class that someone names, with those who name it."""
    right = picture.float_class if picture.label is None else picture.label
    named: dict[int, list[str]] = {}
    for who, index in (("label", picture.label), ("float", picture.float_class), ("int8", picture.int8_class)):
        if index is not None:
            named.setdefault(index, []).append(who)
    lines = [
        element(
            "div",
            element("dt", ", ".join(who)),
            element("dd", None if index == right else mark(passed=False), f" {class_name(index, labels)}"),
            class_=None if index == right else "wrong",
        )
        for index, who in named.items()
    ]
    colours = picture.pixels[..., :3]  # a fourth channel would look like transparency, and is often something else
    pixels = colours[..., ::-1] if is_bgr else colours
    return element(
        "figure",
        element("img", src=f"data:image/png;base64,{_png(pixels)}", alt=picture.name, title=picture.name),
        element("figcaption", element("dl", *lines)),
        class_="differs" if len(named) > 1 else None,
    )


def _png(pixels: NDArray[np.uint8]) -> str:
    """A thumbnail: the mean of whole squares of pixels, or the pixels themselves where they are few."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    image = image.reduce(max(max(image.size) // _THUMBNAIL, 1))
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode()
