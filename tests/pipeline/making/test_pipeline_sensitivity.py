"""What sensitivity needs, and the picture of it; the whole is tested in tests/cli."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("torch")

from edgekit.calibration.one_at_a_time import Part
from edgekit.config import Settings
from edgekit.errors import DataError
from edgekit.pipeline.making.ranking import Sensitivity
from edgekit.pipeline.making.sensitivity import SensitivityResult, sensitivity
from edgekit.reports.pictures.sensitivity import draw
from edgekit.verification.closeness import Closeness

SVG = "{http://www.w3.org/2000/svg}"


def test_images_are_needed() -> None:
    with pytest.raises(DataError, match="--calib DIR"):
        sensitivity(Settings())


def result(*sqnr_db: float) -> SensitivityResult:
    parts = [
        Sensitivity("a<b", part, place, Closeness(0.5, db))
        for place, (part, db) in enumerate(zip(Part, sqnr_db, strict=True))
    ]
    total = Closeness(1.0, 30.0)
    return SensitivityResult("tiny", "", (), (), "simulated", 8, {}, tuple(parts), total, total, total)


def test_the_longer_the_bar_the_worse() -> None:
    document = ET.fromstring(draw(result(12.0, 47.0)))
    bars = {
        bar.get("class"): float(bar.get("width", ""))
        for bar in document.iter(f"{SVG}rect")
        if bar.find(f"{SVG}title") is not None
    }
    assert bars == pytest.approx({"activation": 480 * (50 - 12) / 40, "weights": 480 * (50 - 47) / 40}, abs=0.05)
    texts = [text.text for text in document.iter(f"{SVG}text")]
    assert "a<b" in texts
    assert {"10", "20", "30", "40", "50"} <= set(texts)
    assert any("simulated on 8 images" in text for text in texts if text)


def test_a_picture_without_any_error() -> None:
    document = ET.fromstring(draw(result(math.inf, math.inf)))
    widths = [float(bar.get("width", "")) for bar in document.iter(f"{SVG}rect") if bar.find(f"{SVG}title") is not None]
    assert widths == [0.0, 0.0]
