"""Boxes that files decode themselves: against decoding in float64, and bit for bit between runtimes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import Precision
from edgekit.float_model import FloatModel
from edgekit.ir import Graph, Node, Output, Rearrange, Slice, Tensor
from edgekit.ir.graph import check
from edgekit.ir.operators.slice import Part
from edgekit.models.priors import scaled
from edgekit.preprocessing import Preprocessing
from edgekit.reference.float import FloatReference
from edgekit.runtimes.catalog import all_runners
from edgekit.tasks.detection.coding import MOST_GROWTH, decode, probabilities
from edgekit.tasks.detection.in_graph import decoded

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PRIORS = scaled([(4, 3)])  # six boxes at each of twelve places
NUMBERS = 4 + 1 + 2  # of each: its coding, and logits of the background and two classes
SHAPE = (NUMBERS, 12, 6)


def detector() -> Graph:
    """A network whose image holds the numbers of all prior boxes, channels first."""
    count = PRIORS.count
    rows = Rearrange(SHAPE, (1, 2, 0), (count, NUMBERS))
    nodes = (
        Node("rows", rows, ("x",), "rows"),
        Node("boxes", Slice((Part(0, count), Part(0, 4))), ("rows",), "boxes"),
        Node("scores", Slice((Part(0, count), Part(4, NUMBERS - 4))), ("rows",), "scores"),
    )
    shapes = {"x": SHAPE, "rows": (count, NUMBERS), "boxes": (count, 4), "scores": (count, NUMBERS - 4)}
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    raw = Graph("codings", "x", (Output("boxes", "boxes"), Output("scores", "scores")), nodes, tensors, {})
    found = decoded(raw, ("boxes", "scores"), ("corners", "probabilities"), PRIORS)
    check(found)
    return found


def numbers() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Images, codings and logits; some sizes beyond what is decoded."""
    rows = np.random.default_rng(0).normal(0, 3, (8, PRIORS.count, NUMBERS)).astype(np.float32)
    rows[0, :4, 2:4] = np.array([[-60, 60], [0, MOST_GROWTH / 0.2], [25, -25], [1e-3, -1e-3]])
    images = rows.reshape(8, *SHAPE[1:], NUMBERS).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), rows[:, :, :4], rows[:, :, 4:]


def test_it_decodes_as_float64_does() -> None:
    images, boxes, scores = numbers()
    found = FloatReference(detector()).run(images)
    expected = decode(boxes, PRIORS.boxes)
    assert (expected == 0).any()
    assert (expected == 1).any()
    assert np.abs(found["corners"] - expected)[1:].max() < 1e-6
    assert np.abs(found["corners"] - expected).max() < 2e-4  # where a box has nearly no size
    assert np.abs(found["probabilities"] - probabilities(scores)).max() < 1e-6


def test_runtimes_give_the_same_boxes_bit_for_bit(tmp_path: Path) -> None:
    images, *_ = numbers()
    model = FloatModel(detector(), Preprocessing(SHAPE[1:], None, (0.0,) * NUMBERS, (1.0,) * NUMBERS))
    found = []
    for name in ("onnx", "tflite", "torch", "coreml"):
        path = tmp_path / f"detector{FORMATS[name].suffix}"
        FORMATS[name].write_float_model(model, path, precision=Precision.FLOAT32)
        with all_runners(path)[0]() as runner:
            outputs = [runner.run(image[None])["corners"] for image in images]
        found.append(np.concatenate(outputs))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
