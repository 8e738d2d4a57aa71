"""Networks that are timed and never asked: no kernel's time depends on weights and ranges, so these are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.float_model import FloatModel
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph

_REACH = 4.0  # of every tensor


def float_model(graph: Graph) -> FloatModel:
    """A canonical graph with the usual preprocessing."""
    _, height, width = graph.tensors[graph.input].shape
    return FloatModel(graph, Preprocessing((height, width), None))


def integer_model(graph: Graph) -> IntegerModel:
    """What ``graph``, in ``passes.integer_form``, becomes with the same range for every tensor."""
    from edgekit.calibration.assignment import quantize  # noqa: PLC0415 - int8 files only
    from edgekit.calibration.ranges import Range  # noqa: PLC0415 - likewise

    return quantize(float_model(graph), {name: Range(-_REACH, _REACH) for name in graph.tensors})
