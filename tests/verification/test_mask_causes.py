"""Files that name other classes of the same logits: each is found, and what it does is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.calibration.assignment import quantize
from edgekit.calibration.ranges import Range
from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype
from edgekit.tasks.segmentation.in_graph import classed
from edgekit.verification.divergence import locate
from tests.networks import FloatSketch

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgekit.integer_model import IntegerModel

SIZE = (32, 40)


def model(size: tuple[int, int] | None) -> IntegerModel:
    """A segmenter of few steps, so that often two classes are equal."""
    s = FloatSketch((3, 4, 5))
    s.conv("x", 7)
    ranges = {name: Range(20 * r.low, 20 * r.high) if name != "x" else r for name, r in s.ranges().items()}
    raw = quantize(s.float_model(), ranges)
    return replace(raw, graph=classed(raw.graph, "logits", "classes", size))


def node(graph: Any, kind: str) -> Any:
    return next(one for one in graph.node if one.op_type == kind)


def last_of_equal(graph: Any) -> None:
    node(graph, "ArgMax").attribute.append(onnx.helper.make_attribute("select_last_index", 1))


def off_by_one(graph: Any) -> None:
    """As where a background is counted."""
    graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.int64), "one"))
    place = list(graph.node).index(node(graph, "ArgMax"))
    graph.node.insert(place + 1, onnx.helper.make_node("Add", ["classes.largest.index", "one"], ["more"]))
    graph.node[place + 2].input[0] = "more"


def corners_aligned(graph: Any) -> None:
    mode = next(one for one in node(graph, "Resize").attribute if one.name == "coordinate_transformation_mode")
    mode.s = b"align_corners"


def chosen_before(graph: Any) -> None:
    """Classes are enlarged, and not logits."""
    resize, choice = node(graph, "Resize"), node(graph, "ArgMax")
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "half_pixel"}
    choice.input[0] = resize.input[0]
    for attribute in choice.attribute:
        attribute.i = 1  # the axis is kept
    convert = onnx.helper.make_node("Cast", ["classes.largest.index"], ["wide"], to=onnx.TensorProto.FLOAT)
    enlarge = onnx.helper.make_node("Resize", ["wide", "", resize.input[2]], ["large"], **nearest)
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axes"))
    squeeze = onnx.helper.make_node("Squeeze", ["large", "axes"], ["flat"])
    graph.node.remove(resize)
    place = list(graph.node).index(choice)
    for offset, one in enumerate((convert, enlarge, squeeze), start=1):
        graph.node.insert(place + offset, one)
    graph.node[place + 4].input[0] = "flat"


@pytest.mark.parametrize(
    ("spoil", "size", "said"),
    [
        (last_of_equal, None, "choice of classes: of equal classes the last is named, and not the first"),
        (off_by_one, SIZE, "channel order: every class is off by +1"),
        (
            corners_aligned,
            SIZE,
            "choice of classes: logits are enlarged in another way (align-corners",
        ),
        (chosen_before, SIZE, "choice of classes: classes are named first, and enlarged then"),
    ],
    ids=["last of equal", "off by one", "corners aligned", "chosen before"],
)
def test_what_a_file_does_is_said(
    spoil: Callable[[Any], None], size: tuple[int, int] | None, said: str, tmp_path: Path
) -> None:
    good, path = model(size), tmp_path / "net.onnx"
    FORMATS["onnx"].write_integer_model(good, path, io_dtype=IoDtype.FLOAT32)
    pixels = np.random.default_rng(1).integers(0, 256, (4, 4, 5, 3), np.uint8)
    assert locate(path, good, pixels) is None
    file = onnx.load(path)
    spoil(file.graph)
    onnx.save(file, path)
    found = locate(path, good, pixels)
    assert found is not None
    assert found.layer == "classes.largest"
    assert found.culprit is not None
    assert found.culprit.startswith("ONNX Runtime")
    assert said.partition(": ")[2] in found.sentence
    assert str(found.cause) == said.partition(": ")[0]
