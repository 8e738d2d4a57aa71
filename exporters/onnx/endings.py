"""Suppression of boxes behind a network, in ONNX's own operators, by exactly the rule that edgekit has.

NonMaxSuppression keeps scores that exceed its threshold, and drops boxes that overlap a better one by more than the
other; of equal scores, its kernels take any first (onnxruntime/core/providers/cpu/object_detection: a heap of scores).
So it is given ranks in place of scores: whole numbers, none of them twice, which TopK makes of scores, where the first
of equal ones comes first. What it leaves is listed class by class, so another TopK has the order of all classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from onnx import TensorProto, helper

from edgekit.suppression import ORDER

if TYPE_CHECKING:
    from typing import Any

    import onnx
    from numpy.typing import NDArray

    from edgekit.exporters.onnx.builder import OnnxBuilder
    from edgekit.suppression import Ending

_OF_CLASS, _OF_BOX = 1, 2  # columns of what NonMaxSuppression gives; the first is the image
_SIDES: Final = 4


def write_ending(builder: OnnxBuilder, ending: Ending, shape: tuple[int, ...]) -> tuple[onnx.ValueInfoProto, ...]:
    """Write what suppresses boxes, and return what is left, in the order of ``ending.names``.

    Args:
        builder: of the file.
        ending: what it is; what it reads is in the file under its own name, float32.
        shape: of the scores of one image, [A, classes].
    """
    (count, classes), rule = shape, ending.rule
    boxes, of_classes, scores, number = ending.names

    def array(kind: str, values: Any) -> str:  # noqa: ANN401 - whatever numpy takes
        return builder.array(f"{boxes}.{kind}", np.asarray(values))

    def made(op_type: str, inputs: list[str], kind: str, *more: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX's
        others = [f"{boxes}.{name}" for name in more]
        return builder.node(op_type, inputs, f"{boxes}.{kind}", *others, **attributes)

    def floats(kind: str, *values: float) -> str:
        return array(kind, np.array(values, np.float32))

    def places(kind: str, *values: int) -> str:
        return array(kind, np.array(values, np.int64))

    # Ranks of scores, [1, classes, A]: A for the best of a class, and 0 for what does not exceed the least score.
    by_class = made("Transpose", [ending.scores], "by_class", perm=[0, 2, 1])
    sorted_by = made("TopK", [by_class, places("count", count)], "sorted", "sorted_places", axis=2)
    is_seen = made("Greater", [sorted_by, floats("least_score", rule.score)], "is_seen")
    ranks = array("ranks", np.arange(count, 0, -1, dtype=np.float32).reshape(1, 1, count))
    nothing = floats("nothing", 0.0)
    seen = made("Where", [is_seen, ranks, nothing], "seen")
    empty = array("empty", np.zeros((1, classes, count), np.float32))
    ranked = made("ScatterElements", [empty, f"{boxes}.sorted_places", seen], "ranked", axis=2)

    limits = [places("most_of_a_class", rule.most), floats("overlap", rule.overlap), nothing]
    left = made("NonMaxSuppression", [ending.boxes, ranked, *limits], "left")  # [n, (image, class, box)]

    # The best of all, behind which there are rows of zeros: so many rows are put behind the n that there are.
    rest: NDArray[np.float32] = np.zeros(rule.most, np.float32)
    scored = made("GatherND", [by_class, left], "left_scores")
    padded = made("Concat", [scored, array("rest", rest)], "left_scores_padded", axis=0)
    best = made("TopK", [padded, places("most", rule.most)], "best", "best_places", axis=0)
    row = places("row", 1, rule.most)
    builder.node("Reshape", [best, row], scores)

    column = made("Gather", [left, array("class_column", np.int64(_OF_CLASS))], "left_classes", axis=1)
    kinds = made("Cast", [column], "left_classes_real", to=TensorProto.FLOAT)
    padded = made("Concat", [kinds, array("rest", rest)], "left_classes_padded", axis=0)
    chosen = made("Gather", [padded, f"{boxes}.best_places"], "best_classes", axis=0)
    builder.node("Reshape", [chosen, row], of_classes)

    column = made("Gather", [left, array("box_column", np.int64(_OF_BOX))], "left_boxes", axis=1)
    corners = made("Gather", [ending.boxes, column], "left_corners", axis=1)
    padded = made(
        "Concat",
        [corners, array("rest_corners", np.zeros((1, rule.most, _SIDES), np.float32))],
        "left_corners_padded",
        axis=1,
    )
    chosen = made("Gather", [padded, f"{boxes}.best_places"], "best_corners", axis=1)
    builder.node("Gather", [chosen, places("order", *ORDER)], boxes, axis=2)

    is_there = made("Greater", [best, nothing], "is_there")
    ones = made("Cast", [is_there], "there", to=TensorProto.FLOAT)
    builder.node("ReduceSum", [ones, places("first_axis", 0)], number, keepdims=1)
    return tuple(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *of])
        for name, of in zip(ending.names, ending.shapes, strict=True)
    )
