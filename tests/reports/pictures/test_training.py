"""The curve of a training, as a file and on a terminal."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from edgekit.reports.pictures.training import draw, text
from edgekit.tasks.values import Better, Measured, Metric
from edgekit.training.loop import Epoch

TOP1 = Metric("top1", "top-1", "%", Better.HIGHER)


def epochs(*values: float) -> list[Epoch]:
    best = max(values)
    return [
        Epoch(number, 0.1, 2.0 / number, (Measured(TOP1, value),), value == best, 1.0)
        for number, value in enumerate(values, 1)
    ]


def test_the_curve_rises_to_its_best_epoch() -> None:
    root = ET.fromstring(draw("tiny & small", epochs(10, 50, 90)))
    lines = {line.attrib["class"]: line.attrib["points"] for line in root.iter("{http://www.w3.org/2000/svg}polyline")}
    heights = [float(point.split(",")[1]) for point in lines["metric"].split()]
    assert heights == sorted(heights, reverse=True)
    assert len(lines["loss"].split()) == 3
    assert "best 90 % in epoch 3" in "".join(root.itertext())


@pytest.mark.parametrize("values", [(42.0,), (10.0, 50.0, 90.0), tuple(map(float, range(200))), (float("nan"), 5.0)])
def test_a_terminal_of_80_columns_holds_it(values: tuple[float, ...]) -> None:
    lines = text(epochs(*values)).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith(f"epoch {len(values)}")


def test_blocks_are_as_high_as_the_metric() -> None:
    title, top, *_, bottom, axis = text(epochs(0, 100)).splitlines()
    assert title.strip() == "top-1"
    assert axis.index("└") == top.index("│")
    assert top.split("│")[1].strip() == "████"
    assert bottom.split("│")[1].endswith("████")
    assert top.split("│")[0].strip() == "100"


def test_lines_are_not_filled() -> None:
    style = draw("tiny", epochs(10, 50)).partition("<style>")[2].partition("</style>")[0]
    rules = (rule.partition("{") for rule in style.split("}"))
    filled = [selector.strip() for selector, _, body in rules if "fill:" in body and "fill: none" not in body]
    assert not [selector for selector in filled if "polyline" in selector or selector.startswith((".metric", ".loss"))]
