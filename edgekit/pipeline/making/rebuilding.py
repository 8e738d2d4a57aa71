"""The models that files have to hold, made again from the checkpoint and from what calibration saved.

Nothing is measured again and no image is seen: from the weights to the last integer all is arithmetic in float64,
number by number, and exact fractions. So it comes to the same bits with any number of threads and on any processor,
where calibration itself does not (``pipeline.manifest``).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgekit.float_model import FloatModel
from edgekit.models.head_tasks import EXITS
from edgekit.passes import float_form, integer_form
from edgekit.pipeline.making.finishing import finished
from edgekit.pipeline.making.integers import model_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.calibration.found import Ranges
    from edgekit.integer_model import IntegerModel
    from edgekit.ir import Graph
    from edgekit.pipeline.making.trained import Trained
    from edgekit.preprocessing import Preprocessing

_OF_RANGES = (
    "calibration",
    "kept_float",
    "no_integer_form",
    "int16",
    EXITS,
)  # entries of a provenance that follow from ranges
FINETUNED = "finetuning"  # the key in the provenance of a model whose weights are no longer the checkpoint's


def float_model(trained: Trained, graph: Graph, preprocessing: Preprocessing, labels: tuple[str, ...]) -> FloatModel:
    """What the float files of a network have to hold; of its provenance, what concerns the checkpoint.

    Args:
        trained: the network.
        graph: as it was captured.
        preprocessing: how an image becomes its input.
        labels: of its classes.
    """
    return finished(FloatModel(float_form(graph), preprocessing, labels, _as_saved(trained.provenance)))


def integer_model(trained: Trained, graph: Graph, ranges: Ranges, said: IntegerModel) -> IntegerModel:
    """What the int8 files of a network have to hold.

    Args:
        trained: the network.
        graph: as it was captured.
        ranges: that its calibration saved.
        said: an integer model: labels, and what of its provenance follows neither from the checkpoint nor from ranges.

    Raises:
        BadInput: the ranges are of another network.
    """
    said_of = {key: value for key, value in said.provenance.items() if key not in _OF_RANGES}
    form = FloatModel(integer_form(graph), ranges.preprocessing, said.labels, {**said_of, **trained.provenance})
    model = finished(model_of(form, ranges))
    return replace(model, provenance=_as_saved(model.provenance))


def _as_saved(provenance: Mapping[str, Any]) -> Mapping[str, Any]:
    """As it is when it is read back: with lists, no tuples."""
    values: Mapping[str, Any] = json.loads(json.dumps(dict(provenance)))
    return values


def numbers(model: IntegerModel) -> int:
    """How many integers a model holds: weights, biases, zero points, and the terms of its ratios."""
    constants = sum(array.size for array in model.graph.constants.values())
    return constants + len(model.params) + sum(2 * ratio.numerator.size for ratio in model.ratios.values())
