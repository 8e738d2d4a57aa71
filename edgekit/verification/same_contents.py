"""Two files that should be the same bytes and are not: the first thing that one of them says otherwise."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from edgekit.exporters.contents import OPERATOR, Contents, Operator, differences, flat
from edgekit.exporters.formats import format_of
from edgekit.exporters.metadata import IoDtype
from edgekit.exporters.origins import Origin
from edgekit.integer_model import SUFFIX, IntegerModel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.exporters.contents import ContentDifference, Value
    from edgekit.ir import Node


def first_difference(found: Path, wanted: Path) -> str | None:
    """What ``found`` says otherwise than ``wanted``, in words, the first layer's first field.

    Args:
        found: a file that edgekit wrote: of any format, an integer model, or ranges.
        wanted: another of the same kind.

    Returns:
        None if both say the same, and only the form of their bytes differs.

    Raises:
        ArtifactError: a file is missing or damaged.
        MissingDependency: the package that reads the format is not installed.
    """
    difference = next(iter(differences(_contents(found), _contents(wanted))), None)
    if difference is None or difference.layer is None:
        return None if difference is None else difference.text
    return difference.text if difference.layer in difference.text else f"{difference.layer}: {difference.text}"


def _contents(path: Path) -> Contents:
    if path.suffix == ".json":
        return Contents((), dict(flat("calibration", json.loads(path.read_bytes()))), IoDtype.FLOAT32)
    return of_integer_model(IntegerModel.load(path)) if path.suffix == SUFFIX else format_of(path).contents(path)


def model_differences(found: IntegerModel, wanted: IntegerModel) -> tuple[ContentDifference, ...]:
    """How an integer model differs from the one that it has to be, the first layer first; nothing if it does not."""
    return differences(of_integer_model(found), of_integer_model(wanted))


def of_integer_model(model: IntegerModel) -> Contents:
    """Every integer, scale, ratio, attribute and text of an integer model."""
    operators = tuple(
        Operator(node.name, dict(_fields(model, node)), origin=Origin(node.name, node.name)) for node in model.graph
    )
    seen = model.params[model.graph.input]
    about = {
        "network": model.graph.name,
        "outputs": [dataclasses.asdict(output) for output in model.graph.outputs],
        "input": {"scale": seen.scale.tolist(), "zero_point": seen.zero_point},
        "preprocessing": model.preprocessing.to_dict(),
        "normalization": dataclasses.asdict(model.normalization),
        "pixel_input": model.pixel_input,
        "labels": list(model.labels),
        "profile": model.lowering,
        "provenance": dict(model.provenance),
    }
    facts = dict(flat("model", json.loads(json.dumps(about))))  # as a file has it: lists, no tuples
    return Contents(operators, facts, IoDtype.FLOAT32)


def _fields(model: IntegerModel, node: Node) -> Iterator[tuple[str, Value]]:
    """Everything that an integer model says of one layer."""
    yield OPERATOR, type(node.op).__name__
    yield "inputs", node.inputs
    for key, value in dataclasses.asdict(node.op).items():
        yield from flat(key, value)
    if node.activation is not None:
        yield "clamp", (node.activation.low, node.activation.high)
    for name in (*node.inputs, node.output):
        role = "output" if name == node.output else name.rpartition(".")[2]
        if name in model.graph.constants:
            yield role, model.graph.constants[name]
        if name in model.params and name not in model.graph.activations(node):
            params = model.params[name]
            yield from (
                (f"{role} scale", params.scale),
                (f"{role} zero point", params.zero_point),
                (f"{role} bits", params.bits),
            )
    if node.name in model.ratios:
        ratio = model.ratios[node.name]
        yield from (("ratio numerators", ratio.numerator), ("ratio denominators", ratio.denominator))
    made = model.graph.tensors[node.output]
    yield from (("shape", made.shape), ("axes", made.axes), ("factor", made.factor))
