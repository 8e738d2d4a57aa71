"""Suppression of boxes behind a network: the operator that MediaPipe and the TFLite Task Library read.

``TFLite_Detection_PostProcess`` decodes boxes itself, of codings relative to anchors, and does not cut them at the
image before it compares them, as edgekit and torchvision do. So it is given codings of edgekit's own boxes, relative to
one anchor, the image: twice the centre, which it halves, and the logarithm of the size, of which it takes the
exponential function. It computes in float64 and rounds to float32, so boxes come back nearly as they were.

What its kernel does (tensorflow/lite/kernels/detection_postprocess.cc, with use_regular_nms): of each class on its own,
scores from the threshold on, in order, the first where they are equal; a box goes where its overlap with a better one
exceeds the other threshold. Then the best of all classes, where those of equal scores may change places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit import extras
from edgekit.suppression import ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.tflite.builder import TfliteBuilder
    from edgekit.suppression import Ending

OPERATOR: Final = "TFLite_Detection_PostProcess"
ROLES: Final = ("codings", "scores", "anchors")  # what it reads, in order
_IMAGE: Final = (0.0, 0.0, 1.0, 1.0)  # an anchor: y and x from which centres count, height and width
_HALVED: Final = 2.0  # what codings of centres are divided by: they are the sums of two sides
_PAIR: Final = 2


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
    given = tuple(
        builder.tensor(name, (1, *shape), "float32") for name, shape in zip(ending.names, ending.shapes, strict=True)
    )
    builder.custom(OPERATOR, [codings, scores, anchors], given, _options(ending, classes))
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

    def half(kind: str, start: int) -> int:
        ends = {"begin": (0, 0, start), "end": (1, count, start + _PAIR), "strides": (1, 1, 1)}
        inputs = [boxes, *(builder.integers(f"{name}.{kind}.{key}", values) for key, values in ends.items())]
        return made(kind, pair, "STRIDED_SLICE", inputs, ("StridedSliceOptions", {}))

    low, high = half("low", 0), half("high", _PAIR)
    centre = made("centre", pair, "ADD", [low, high], ("AddOptions", {}))
    size = made("size", pair, "SUB", [high, low], ("SubOptions", {}))
    growth = made("growth", pair, "LOG", [size])
    joined = made("joined", all_of, "CONCATENATION", [centre, growth], ("ConcatenationOptions", {"axis": 2}))
    order = builder.integers(f"{name}.order", ORDER)
    return made("codings", all_of, "GATHER", [joined, order], ("GatherOptions", {"axis": 2}))
