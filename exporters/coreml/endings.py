"""Suppression of boxes behind a network: a pipeline of its program and Core ML's model for that, which Vision reads.

The second model (NonMaximumSuppression.proto) takes confidences [A, classes] and coordinates [A, (x, y, width, height)]
of centres and sizes, in shares of the image, and gives as many rows as stay, under the names that Vision looks for. It
takes every box for one of its likeliest class alone, where the other formats look at each class by itself. Callers may
set both thresholds for a picture; those of the file are in the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.exporters.coreml.schema import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.exporters.coreml.builder import ProgramBuilder, Value
    from edgekit.suppression import Ending

CONFIDENCE, COORDINATES = "confidence", "coordinates"  # of what stays
THRESHOLDS: Final = ("iouThreshold", "confidenceThreshold")  # inputs that may be left out
_RAW: Final = "raw_"  # before the names of what the program gives
_SIDES: Final = 4
_TEXTS: Final = {
    CONFIDENCE: "of each box that stays, the confidence of each class",
    COORDINATES: "of each box that stays, x and y of its centre, width and height, in shares of the image",
    THRESHOLDS[0]: "by how much two boxes may overlap",
    THRESHOLDS[1]: "what the confidence of a box has to reach",
}


def makes(ending: Ending, name: str) -> bool:
    """Whether an operation of the program is part of an ending, by the name of what it makes."""
    return name.startswith(tuple(f"{_RAW}{ending.before}{kind}" for kind in (CONFIDENCE, COORDINATES)))


def write_ending(program: ProgramBuilder, ending: Ending, boxes: Value, scores: Value) -> dict[str, Value]:
    """What suppression reads, by what it makes of it: confidences and coordinates of all boxes.

    Args:
        program: of the network.
        ending: what it is.
        boxes: [1, A, (left, top, right, bottom)], float32.
        scores: [1, A, classes], float32.
    """
    count, classes = scores.shape[1:]
    pair, name = (1, count, _SIDES // 2), f"{_RAW}{ending.before}{COORDINATES}"

    def value(kind: str, shape: tuple[int, ...]) -> Value:
        return program.value(f"{name}_{kind}", shape, "float32")

    def half(kind: str, start: int) -> Value:
        begin, end = (0, 0, start), (1, count, start + _SIDES // 2)
        return program.add("slice_by_index", value(kind, pair), x=boxes, begin=begin, end=end, stride=(1, 1, 1))

    low, high = half("low", 0), half("high", _SIDES // 2)
    both = program.add("add", value("both", pair), x=low, y=high)
    centre = program.add("mul", value("centre", pair), x=both, y=np.float32(0.5))
    size = program.add("sub", value("size", pair), x=high, y=low)
    rows = program.add("concat", value("rows", (1, count, _SIDES)), values=[centre, size], axis=2, interleave=False)
    coordinates = program.value(name, (count, _SIDES), "float32")
    confidence = program.value(f"{_RAW}{ending.before}{CONFIDENCE}", (count, classes), "float32")
    return {
        CONFIDENCE: program.add("reshape", confidence, x=scores, shape=np.array(confidence.shape, np.int32)),
        COORDINATES: program.add("reshape", coordinates, x=rows, shape=np.array(coordinates.shape, np.int32)),
    }


def pipeline(network: Any, endings: Sequence[Ending], labels: Sequence[str]) -> Any:  # noqa: ANN401 - protobuf messages
    """A Model message that runs the program ``network``, and behind it what suppresses boxes.

    Args:
        network: its Model message, with what ``write_ending`` made among its outputs.
        endings: behind it.
        labels: of the classes of its only detector; none where there are several heads.
    """
    made = schema().model.Model(specificationVersion=network.specificationVersion)
    description = made.description
    description.input.extend(network.description.input)
    for name in THRESHOLDS:
        threshold = description.input.add(name=name, shortDescription=_TEXTS[name])
        threshold.type.doubleType.SetInParent()
        threshold.type.isOptional = True
    read = {f"{_RAW}{one.before}{kind}" for one in endings for kind in (CONFIDENCE, COORDINATES)}
    read |= {name for one in endings for name in (one.boxes, one.scores)}
    description.output.extend(output for output in network.description.output if output.name not in read)
    made.pipeline.models.add().CopyFrom(network)
    for ending in endings:
        suppression = _suppression(network, ending, labels)
        description.output.extend(suppression.description.output)
        made.pipeline.models.add().CopyFrom(suppression)
    description.metadata.CopyFrom(network.description.metadata)
    return made


def _suppression(network: Any, ending: Ending, labels: Sequence[str]) -> Any:  # noqa: ANN401 - protobuf messages
    """The Model message of what suppresses the boxes of one detector."""
    given, rule = {output.name: output for output in network.description.output}, ending.rule
    made = schema().model.Model(specificationVersion=network.specificationVersion)
    suppression = made.nonMaximumSuppression
    for kind in (CONFIDENCE, COORDINATES):
        source = given[f"{_RAW}{ending.before}{kind}"]
        made.description.input.add().CopyFrom(source)
        output = made.description.output.add(name=f"{ending.before}{kind}", shortDescription=_TEXTS[kind])
        array = output.type.multiArrayType
        array.dataType = source.type.multiArrayType.dataType
        _, columns = source.type.multiArrayType.shape
        for least, most in ((0, rule.most), (columns, columns)):
            array.shapeRange.sizeRanges.add(lowerBound=least, upperBound=most)
        setattr(suppression, f"{kind}InputFeatureName", source.name)
        setattr(suppression, f"{kind}OutputFeatureName", output.name)
    for name in THRESHOLDS:
        threshold = made.description.input.add(name=name, shortDescription=_TEXTS[name])
        threshold.type.doubleType.SetInParent()
        threshold.type.isOptional = True
        setattr(suppression, f"{name}InputFeatureName", name)
    suppression.iouThreshold, suppression.confidenceThreshold = rule.overlap, rule.score
    suppression.pickTop.perClass = True
    _, classes = given[f"{_RAW}{ending.before}{CONFIDENCE}"].type.multiArrayType.shape
    if len(labels) == classes:
        suppression.stringClassLabels.vector.extend(labels)
    else:
        suppression.int64ClassLabels.vector.extend(range(classes))
    return made
