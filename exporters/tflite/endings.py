"""Suppression of boxes behind a network: the operator that MediaPipe and the TFLite Task Library read.

``TFLite_Detection_PostProcess`` decodes boxes itself, of codings relative to anchors, and does not cut them at the
image before it compares them, as edgekit and torchvision do. So it is given codings of edgekit's own boxes, relative to
one anchor, the image: twice the centre, which it halves, and the logarithm of the size, of which it takes the
exponential function. It computes in float64 and rounds to float32, so boxes come back nearly as they were.

What its kernel does (tensorflow/lite/kernels/detection_postprocess.cc, with use_regular_nms): of each class on its own,
scores from the threshold on, in order, the first where they are equal; a box goes where its overlap with a better one
exceeds the other threshold. Then the best of all classes, where those of equal scores may change places.

With n threads, newer kernels leave the class n out: they share classes out from n + 1 on (``next_col``; tensorflow
issue 56058, of 2.8, and LiteRT 2.3.0 still). Of two classes, none is left out. So there is an operator for every two,
and TOPK_V2 has the best of what these leave, the first where scores are equal: rows of zeros come from the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit import extras
from edgekit.suppression import ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.suppression import Ending

OPERATOR: Final = "TFLite_Detection_PostProcess"
ROLES: Final = ("codings", "scores", "anchors")  # what it reads, in order
_IMAGE: Final = (0.0, 0.0, 1.0, 1.0)  # an anchor: y and x from which centres count, height and width
_HALVED: Final = 2.0  # what codings of centres are divided by: they are the sums of two sides
_PAIR: Final = 2
_CLASSES: Final = 2  # of one operator


def write_ending(builder: TfliteBuilder, ending: Ending, boxes: int, scores: int) -> tuple[int, ...]:
    """Write what suppresses boxes, and return the tensors of what is left, in the order of ``ending.names``.

    Args:
        builder: of the file.
        ending: what it is.
        boxes: the tensor [1, A, (left, top, right, bottom)].
        scores: the tensor [1, A, classes].
    """
    count, classes = builder.tensors[scores].shape[1:]
    anchors = builder.constant(f"{ending.names[0]}.anchors", np.tile(np.array(_IMAGE, np.float32), (count, 1)))
    codings = _codings(builder, ending.names[0], boxes)
    given = _tensors(builder, ending, ending.names)
    if classes <= _CLASSES:
        builder.custom(OPERATOR, [codings, scores, anchors], given, _options(ending, classes))
        return given
    parts = []
    for start in range(0, classes, _CLASSES):
        name, some = f"{ending.names[0]}.from_{start}", min(_CLASSES, classes - start)
        part = _sliced(builder, f"{name}.all", scores, (start, some))
        left = _tensors(builder, ending, [f"{name}.{kind}" for kind in ("boxes", "classes", "scores", "number")])
        builder.custom(OPERATOR, [codings, part, anchors], left, _options(ending, some))
        parts.append((start, left))
    _merge(builder, ending, parts, given)
    return given


def read_options(data: bytes) -> Mapping[str, Any]:
    """The options of such an operator.

    Raises:
        TypeError, ValueError: they are none.
    """
    found = extras.load("flatbuffers.flexbuffers", "tflite").Loads(data)
    if not isinstance(found, dict):
        raise TypeError("no options are a table of names")
    return found


def _options(ending: Ending, classes: int) -> bytes:
    rule = ending.rule
    values = {
        "max_detections": rule.most,
        "max_classes_per_detection": 1,
        "detections_per_class": rule.most,
        "use_regular_nms": True,
        # The operator keeps what reaches its threshold, and the rule what exceeds it.
        "nms_score_threshold": float(np.nextafter(np.float32(rule.score), np.float32(1))),
        "nms_iou_threshold": rule.overlap,
        "num_classes": classes,
        "y_scale": _HALVED,
        "x_scale": _HALVED,
        "h_scale": 1.0,
        "w_scale": 1.0,
    }
    return bytes(extras.load("flatbuffers.flexbuffers", "tflite").Dumps(values))


def _codings(builder: TfliteBuilder, name: str, boxes: int) -> int:
    """Codings [1, A, (y, x, height, width)] of ``boxes``, relative to the image."""
    _, count, sides = builder.tensors[boxes].shape
    pair, all_of = (1, count, _PAIR), (1, count, sides)

    def made(kind: str, shape: tuple[int, ...], builtin: str, inputs: list[int], options: Any = None) -> int:  # noqa: ANN401 - of any operator
        tensor = builder.tensor(f"{name}.{kind}", shape, "float32")
        builder.operator(builtin, 1, inputs, tensor, options)
        return tensor

    low, high = (
        _sliced(builder, f"{name}.{kind}", boxes, (start, _PAIR)) for kind, start in (("low", 0), ("high", _PAIR))
    )
    centre = made("centre", pair, "ADD", [low, high], ("AddOptions", {}))
    size = made("size", pair, "SUB", [high, low], ("SubOptions", {}))
    growth = made("growth", pair, "LOG", [size])
    joined = made("joined", all_of, "CONCATENATION", [centre, growth], ("ConcatenationOptions", {"axis": 2}))
    order = builder.integers(f"{name}.order", ORDER)
    return made("codings", all_of, "GATHER", [joined, order], ("GatherOptions", {"axis": 2}))


def _tensors(builder: TfliteBuilder, ending: Ending, names: Sequence[str]) -> tuple[int, ...]:
    """Tensors for what such an operator gives."""
    shapes = zip(names, ending.shapes, strict=True)
    return tuple(builder.tensor(name, (1, *shape), "float32") for name, shape in shapes)


def _sliced(builder: TfliteBuilder, name: str, source: int, part: tuple[int, int]) -> int:
    """Of [1, A, columns], some columns: from the first number on, as many as the second."""
    (first, count), (_, rows, _) = part, builder.tensors[source].shape
    ends = {"begin": (0, 0, first), "end": (1, rows, first + count), "strides": (1, 1, 1)}
    inputs = [source, *(builder.integers(f"{name}.{key}", values) for key, values in ends.items())]
    made = builder.tensor(name, (1, rows, count), "float32")
    builder.operator("STRIDED_SLICE", 1, inputs, made, ("StridedSliceOptions", {}))
    return made


def _merge(
    builder: TfliteBuilder, ending: Ending, parts: Sequence[tuple[int, Sequence[int]]], given: Sequence[int]
) -> None:
    """Write the best of what several operators leave.

    Args:
        builder: of the file.
        ending: what it is.
        parts: of each operator its first class, and the tensors of what it leaves.
        given: tensors for the best of all.
    """
    name, most = ending.names[0], ending.rule.most

    def joined(kind: str, tensors: Sequence[int]) -> int:
        _, _, *sides = builder.tensors[tensors[0]].shape
        made = builder.tensor(f"{name}.{kind}", (1, most * len(tensors), *sides), "float32")
        builder.operator("CONCATENATION", 1, tensors, made, ("ConcatenationOptions", {"axis": 1}))
        return made

    def summed(kind: str, first: int, second: int) -> int:
        made = builder.tensor(f"{name}.{kind}", builder.tensors[first].shape, "float32")
        builder.operator("ADD", 1, [first, second], made, ("AddOptions", {}))
        return made

    classes, numbers = [], [left[3] for _, left in parts]
    for start, (_, of, _, _) in parts:
        first = builder.constant(f"{name}.first_{start}", np.array([start], np.float32))
        classes.append(summed(f"classes_{start}", of, first) if start else of)
    boxes = joined("every_box", [left[0] for _, left in parts])
    kinds, scores = joined("every_class", classes), joined("every_score", [left[2] for _, left in parts])
    places, row = builder.tensor(f"{name}.places", (1, most), "int32"), builder.tensor(f"{name}.row", (most,), "int32")
    count = builder.constant(f"{name}.most", np.array(most, np.int32))
    builder.operator("TOPK_V2", 1, [scores, count], (given[2], places), ("TopKV2Options", {}))
    shape = builder.integers(f"{name}.row.shape", (most,))
    builder.operator("RESHAPE", 1, [places, shape], row, ("ReshapeOptions", {"newShape": [most]}))
    for source, target in ((boxes, given[0]), (kinds, given[1])):
        builder.operator("GATHER", 1, [source, row], target, ("GatherOptions", {"axis": 1}))
    total = numbers[0]
    for place, number in enumerate(numbers[1:]):
        total = summed(f"number_{place}", total, number)
    limit = builder.constant(f"{name}.most_of_all", np.array([most], np.float32))
    builder.operator("MINIMUM", 1, [total, limit], given[3], ("MaximumMinimumOptions", {}))
