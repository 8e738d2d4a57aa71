"""The examples for phones, as far as they can be checked without one: their arithmetic, and what they read of files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from edgekit import suppression
from edgekit.device import exits
from edgekit.device.chain import MAP, Chain, Stage
from edgekit.preprocessing import Preprocessing
from edgekit.tasks.segmentation.task import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KOTLIN = (EXAMPLES / "android" / "Network.kt").read_text(encoding="utf-8")
SWIFT = (EXAMPLES / "ios" / "Network.swift").read_text(encoding="utf-8")
NAME = "mobilenet_v3_digits_1.0_32"
BITS = 22


def picture(width: int, height: int) -> Image.Image:
    """Noise over a gradient: what every filter treats differently."""
    random = np.random.default_rng(width)
    ramp = np.linspace(0, 155, width)[None, :, None] * np.linspace(0.2, 1, height)[:, None, None]
    return Image.fromarray((ramp + random.integers(0, 100, (height, width, 3))).astype(np.uint8))


# --- Android ----------------------------------------------------------------------------------------------------------


def resized_and_turned(source: NDArray[Any], to_width: int) -> NDArray[Any]:
    """``resizedAndTurned`` of Network.kt, word for word but for the loops over rows and colours."""
    height, width, _ = source.shape
    result = np.zeros((to_width, height, 3), np.int64)
    scale = width / to_width
    reach = max(scale, 1.0)
    for x in range(to_width):
        centre = (x + 0.5) * scale
        first = max(0, int(centre - reach + 0.5))
        end = min(width, int(centre + reach + 0.5))
        shares = [max(0.0, 1 - abs((i + first - centre + 0.5) * (1 / reach))) for i in range(end - first)]
        whole = 1 / sum(shares)
        weights = np.array([int(share * whole * (1 << BITS) + 0.5) for share in shares])
        result[x] = ((1 << (BITS - 1)) + (weights[None, :, None] * source[:, first:end]).sum(axis=1)) >> BITS
    return result


def covered(preprocessing: Preprocessing) -> tuple[int, int]:
    """``covered`` of Network.kt: rows and columns."""
    resize = preprocessing.resize
    return resize if isinstance(resize, tuple) else (int(resize or 0), int(resize or 0))


def resized(width: int, height: int, preprocessing: Preprocessing) -> tuple[int, int]:
    """``resized`` of Network.kt: width and height before the crop."""
    if preprocessing.resize is None:
        return width, height
    if preprocessing.resize == "whole":
        return preprocessing.size[1], preprocessing.size[0]
    rows, columns = covered(preprocessing)
    is_tall = width * rows <= height * columns
    wanted, before = (columns, width) if is_tall else (rows, height)
    return wanted * width // before, wanted * height // before


def kotlin_pixels(image: Image.Image, preprocessing: Preprocessing) -> NDArray[Any]:
    """``pixels`` of Network.kt."""
    to_height, to_width = preprocessing.size
    wide, high = resized(*image.size, preprocessing)
    colours = np.asarray(image).astype(np.int64)
    colours = colours if preprocessing.order == "RGB" else colours[..., ::-1]
    if preprocessing.resize is not None:
        colours = resized_and_turned(resized_and_turned(colours, wide), high)
    left, top = round((wide - to_width) / 2), round((high - to_height) / 2)  # like rint, a half to the even number
    return colours[top : top + to_height, left : left + to_width]


def kotlin_seen(width: int, height: int, preprocessing: Preprocessing) -> tuple[float, ...]:
    """``seen`` of Network.kt: left, top, right and bottom, pixels of the picture."""
    to_height, to_width = preprocessing.size
    wide, high = resized(width, height, preprocessing)
    left, top = round((wide - to_width) / 2), round((high - to_height) / 2)
    across, down = width / wide, height / high
    return left * across, top * down, (left + to_width) * across, (top + to_height) * down


@pytest.mark.parametrize("resize", [72, (66, 90), "whole", None])
@pytest.mark.parametrize(("width", "height"), [(201, 148), (97, 160), (64, 64)])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_pixels_on_android_are_edgekit_s(
    resize: int | tuple[int, int] | str | None, width: int, height: int, order: str
) -> None:
    preprocessing = Preprocessing((64, 64), resize, order=order)
    image = picture(width, height)
    found, wanted = kotlin_pixels(image, preprocessing), preprocessing.pixels(image).astype(np.int64)
    if width >= height:
        assert (found == wanted).all()
    assert np.abs(found - wanted).max() <= 1  # Pillow resizes the columns of some tall pictures first
    shares = np.array(preprocessing.geometry((width, height)).seen)
    assert kotlin_seen(width, height, preprocessing) == pytest.approx(shares * (width, height, width, height))


def test_the_steps_that_are_transliterated_are_those_of_the_example() -> None:
    for line in (
        "val centre = (x + 0.5) * scale",
        "val first = max(0, (centre - reach + 0.5).toInt())",
        "val end = min(width, (centre + reach + 0.5).toInt())",
        "max(0.0, 1 - abs((it + first - centre + 0.5) * (1 / reach)))",
        "val whole = 1 / shares.sum()",
        "(shares[it] * whole * (1 shl BITS) + 0.5).toInt()",
        "var value = 1 shl (BITS - 1)",
        "= value shr BITS",
        f"const val BITS = {BITS} ",
        "val isTall = fromWidth.toLong() * rows <= fromHeight.toLong() * columns",
        "if (isTall) Pair(columns, fromWidth) else Pair(rows, fromHeight)",
        "Pair(wanted * fromWidth / before, wanted * fromHeight / before)",
        "Math.rint((resized - wanted) / 2.0).toInt()",
        "Pair(picture.width.toFloat() / wide, picture.height.toFloat() / high)",
        "RectF(left * across, top * down, (left + width) * across, (top + height) * down)",
        "(pixels[it] - 128).toByte()",
    ):
        assert line in KOTLIN


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_what_the_kotlin_example_reads_is_there(precision: str, exported: Path) -> None:
    from edgekit.cli.app import app

    done = CliRunner().invoke(app, ["inspect", str(exported / f"{NAME}.{precision}.tflite"), "--json"])
    about = json.loads(done.stdout)
    places = {
        "about": about,
        "metadata": about["metadata"],
        "preprocessing": about["metadata"]["preprocessing"],
        "normalization": about["metadata"]["normalization"],
        "output": about["outputs"][0],
        "it": about["outputs"][0],
    }
    read = re.findall(r'(\w+)\.(?:get\w*|isNull)\("(\w+)"\)', KOTLIN)
    assert {place for place, _ in read} == set(places)
    assert all(key in places[place] for place, key in read)
    assert about["metadata"]["io_dtype"] in {"int8", "float32"}
    assert len(places["normalization"]["mean"]) == 3


def test_the_detector_reads_what_final_files_give() -> None:
    source = (EXAMPLES / "android" / "Detector.kt").read_text(encoding="utf-8")
    ending = suppression.Ending("corners", "probabilities", "", suppression.USUAL)
    assert set(re.findall(r'getValue\("(\w+)"\)', source)) == set(ending.names)
    sides = [("left", "top", "right", "bottom")[place] for place in suppression.ORDER]
    assert f"val ({', '.join(sides)}) = boxes.slice(4 * it until 4 * it + 4)" in source


def test_the_segmenter_reads_what_files_name() -> None:
    source = (EXAMPLES / "android" / "Segmenter.kt").read_text(encoding="utf-8")
    assert f'run(picture).getValue("{CLASSES}")' in source
    assert f'val (height, width) = network.shape("{CLASSES}").drop(1)' in source


@pytest.mark.parametrize("confidence", [0.5, 0.9, None])
def test_stages_leave_where_every_runtime_does(confidence: float | None) -> None:
    """The sums of Stages.kt and Stages.swift, word for word, against the rule that Python has."""
    kotlin, swift = (
        (EXAMPLES / path).read_text(encoding="utf-8") for path in ("android/Stages.kt", "ios/Stages.swift")
    )
    for line in (
        "val most = logits.max().toInt()",
        "return logits.sumOf { table.getInt(most - it) }",
        'sum <= rule.getInt("limit")',
        "ONE / sum",
        f"const val ONE = {float(exits.ONE)} ",
    ):
        assert line in kotlin
    for line in (
        "let most = logits.max()!",
        "rule.table[min(Int(((most - $1) / rule.scale).rounded()), rule.table.count - 1)]",
        "sum <= stage.rule.limit",
        "probability: one / Double(sum)",
        f"private let one = {float(exits.ONE)} ",
    ):
        assert line in swift
    rule = exits.ExitRule.of("exit1", float(np.float32(0.0837)), 1.3, confidence)
    logits = np.random.default_rng(0).integers(-128, 128, (500, 10)).astype(np.int8) // 4
    reals = np.float32(rule.scale) * (logits.astype(np.float32) + 7)  # as Core ML gives them
    for stored, real in zip(logits, reals, strict=True):
        most = max(stored.tolist())
        android = sum(rule.table[most - it] for it in stored.tolist())
        top = max(real.tolist())
        ios = sum(rule.table[min(int((top - it) / rule.scale + 0.5), len(rule.table) - 1)] for it in real.tolist())
        assert android == ios
        assert (android <= rule.limit) == rule.lets_go(stored.tolist())
        assert exits.ONE / android == pytest.approx(rule.probabilities(stored[None]).max())


def test_what_stages_read_is_written() -> None:
    stage = Stage("exit1", exits.ExitRule.of("exit1", 0.1, 1.0, 0.9), 1, 1, {"litert": "stage1.int8.tflite"})
    chain = json.loads(Chain("net", ("a", "b"), (stage,)).to_json())
    written = {*chain, *chain["stages"][0], *chain["stages"][0]["rule"]}
    kotlin, swift = (
        (EXAMPLES / path).read_text(encoding="utf-8") for path in ("android/Stages.kt", "ios/Stages.swift")
    )
    assert (
        {*re.findall(r'\.get(?:JSON\w+|String|Int)\("(\w+)"\)', kotlin)}
        == {"stages", "rule", "exit", "table", "limit"}
        <= written
    )
    declared = swift[swift.index("struct Chain") : swift.index("final class")]
    assert (
        {*re.findall(r"^ +let (\w+): ", declared, re.MULTILINE)}
        == {*("scale", "table", "limit", "exit", "rule", "stages")}
        <= written
    )
    assert f'getValue("{MAP}")' in kotlin
    assert f'given["{MAP}"]' in swift


# --- iOS --------------------------------------------------------------------------------------------------------------


def region(width: float, height: float, preprocessing: Preprocessing) -> tuple[float, float, float, float]:
    """``region`` of Network.swift: x, y, width and height, in fractions of the sides."""
    to_height, to_width = preprocessing.size
    match preprocessing.resize:
        case "whole":
            return (0, 0, 1, 1)
        case None:
            scale = 1.0
        case pixels:
            rows, columns = pixels if isinstance(pixels, tuple) else (int(pixels), int(pixels))
            scale = min(height / rows, width / columns)
    w, h = to_width * scale / width, to_height * scale / height
    return ((1 - w) / 2, (1 - h) / 2, w, h)


@pytest.mark.parametrize("resize", [72, (66, 90), "whole", None])
@pytest.mark.parametrize(("width", "height"), [(201, 148), (97, 160)])
def test_the_region_on_ios_is_what_edgekit_crops(
    resize: int | tuple[int, int] | str | None, width: int, height: int
) -> None:
    """A picture of its own coordinates says which part of it edgekit's pixels come from."""
    columns = np.broadcast_to(np.arange(width), (height, width))
    rows = np.broadcast_to(np.arange(height)[:, None], (height, width))
    image = Image.fromarray(np.stack([columns, rows, rows], axis=-1).astype(np.uint8))
    preprocessing = Preprocessing((64, 64), resize)
    pixels = preprocessing.pixels(image).astype(float)
    x, y, w, h = region(width, height, preprocessing)
    half_x, half_y = w * width / 128, h * height / 128  # half a pixel of the network
    for found, wanted in (
        (pixels[32, 0, 0], x * width + half_x),
        (pixels[32, -1, 0], (x + w) * width - half_x),
        (pixels[0, 32, 1], y * height + half_y),
        (pixels[-1, 32, 1], (y + h) * height - half_y),
    ):
        assert abs(found + 0.5 - wanted) <= 2  # whole pixels, and what the filter takes from beyond a border


def test_what_the_swift_example_reads_is_there(exported: Path) -> None:
    from edgekit.exporters.coreml.schema import schema

    package = exported / f"{NAME}.int8.mlpackage"
    (path,) = package.rglob("*.mlmodel")
    model = schema().model.Model.FromString(path.read_bytes())
    about = json.loads(model.description.metadata.userDefined["edgekit"])
    declared = SWIFT[SWIFT.index("struct About") : SWIFT.index("final class")]
    names = re.findall(r"^ +let (\w+): ", declared, re.MULTILINE)
    assert names == ["size", "resize", "preprocessing", "labels"]
    assert all(name in about or name in about["preprocessing"] for name in names)
    assert model.description.input[0].type.WhichOneof("Type") == "imageType"
    assert not model.description.predictedFeatureName  # a classifier with --probabilities softmax alone: test_head.py


def test_the_mask_that_the_swift_example_reads_has_rows_and_columns(tmp_path: Path) -> None:
    from edgekit.exporters.coreml.schema import schema
    from edgekit.exporters.formats import FORMATS
    from edgekit.exporters.metadata import Precision
    from edgekit.tasks.segmentation.in_graph import classed
    from tests.networks import FloatSketch

    s = FloatSketch((3, 4, 5))
    s.conv("x", 7)
    model = s.float_model()
    package = tmp_path / "net.mlpackage"
    named = replace(model, graph=classed(model.graph, "logits", CLASSES, (8, 10)))
    FORMATS["coreml"].write_float_model(named, package, precision=Precision.FLOAT32)
    (path,) = package.rglob("*.mlmodel")
    (output,) = schema().model.Model.FromString(path.read_bytes()).description.output
    assert [*output.type.multiArrayType.shape] == [8, 10]
    source = (EXAMPLES / "ios" / "Segmenter.swift").read_text(encoding="utf-8")
    assert "found.shape.count == 2" in source
    assert "Mask(width: found.shape[1].intValue, height: found.shape[0].intValue" in source
