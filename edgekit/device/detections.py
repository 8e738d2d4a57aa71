"""What files give that suppress boxes themselves: their names, and one order for boxes that are equally sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from numpy.typing import NDArray

BOXES = "detection_boxes"  # [N, most, (top, left, bottom, right)]; rows behind the last thing are 0
CLASSES = "detection_classes"  # [N, most], from 0, without the background
SCORES = "detection_scores"  # [N, most], the highest first
NUMBER = "num_detections"  # [N]
EXACT = 1e-5  # by how much scores and sides may be off, where the integers behind them are the same
_DIGITS = 4  # of scores that are taken for the same


def in_one_order(outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Outputs by name, [N, ...], with rows of equal scores in an order that does not depend on who made them.

    A runtime may put them in any: they come by their class then, and from left to right.
    """
    import numpy as np  # noqa: PLC0415 - see edgekit.device.engines.engine

    found = dict(outputs)
    for name in outputs:
        if not name.endswith(SCORES):
            continue
        before = name[: -len(SCORES)]
        rows = [before + BOXES, before + CLASSES, name]
        if not all(row in outputs for row in rows):
            continue
        boxes, classes, scores = (outputs[row] for row in rows)
        keys = (boxes[..., 0], boxes[..., 1], classes, -np.round(scores, _DIGITS))  # the last counts most
        order = np.lexsort(keys, axis=-1)
        for row, values in zip(rows, (boxes, classes, scores)):
            places = order.reshape(*order.shape, *[1] * (values.ndim - order.ndim))
            found[row] = np.take_along_axis(values, places, 1)
    return found
