"""Everything that an .mlpackage says, operation by operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit import extras
from edgekit.exporters.contents import (
    LABELS,
    OPERATOR,
    Contents,
    Operator,
    flat,
    metadata_facts,
    said_options,
    unique_names,
    with_origins,
)
from edgekit.exporters.coreml.inspection import Flow
from edgekit.exporters.coreml.reader import Reference, read_model
from edgekit.exporters.metadata import KEY, IoDtype, Precision
from edgekit.exporters.vocabulary import Does

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.exporters.contents import Value
    from edgekit.exporters.coreml.reader import Argument, Model, Operation, ValueType

_ARGUMENTS: Final = {
    "quantized_data": "integers", "zero_point": "zero point", "pad": "padding", "strides": "stride"
}  # fmt: skip
_DOES: Final = {
    "add": Does.ADD,
    "avg_pool": Does.POOL,
    "cast": Does.KEEP,  # of an image's pixels
    "clip": Does.CLAMP,
    "concat": Does.JOIN,
    "dequantize": Does.DEQUANTIZE,
    "max_pool": Does.POOL,
    "mul": Does.MULTIPLY,
    "pad": Does.PAD,
    "quantize": Does.QUANTIZE,
    "reduce_argmax": Does.CHOOSE,
    "reduce_mean": Does.POOL,
    "relu": Does.CLAMP,
    "relu6": Does.CLAMP,
    "reshape": Does.RESHAPE,
    "slice_by_index": Does.CROP,
    "resize_bilinear": Does.RESIZE,
    "sigmoid": Does.SIGMOID,
    "softmax": Does.SOFTMAX,
    "transpose": Does.TRANSPOSE,
    "upsample_nearest_neighbor": Does.RESIZE,
}
_CLASSIFY: Final = "classify"  # its classes are the labels


def read_contents(path: Path) -> Contents:
    """Everything that a package says.

    Raises:
        ArtifactError: the package is missing, damaged, or holds something that edgekit does not read.
        MissingDependency: coremltools is not installed.
    """
    model = read_model(path)
    operations = model.program.operations
    names = unique_names(operation.output for operation in operations)
    operators = tuple(
        Operator(name, dict(_fields(o)), does=_DOES.get(o.operator, Does.OTHER))
        for name, o in zip(names, operations, strict=True)
    )
    operators, misfit = with_origins(operators, model.user_defined.get(KEY))
    halves = any(o.operator == "quantize" and o.array("scale").dtype == np.float16 for o in operations)
    options: dict[str, Any] = {"precision": Precision.FLOAT16} if halves else {}
    facts, flow = dict(_facts(model)) | misfit, Flow(model.program, model.endings)
    boundary = frozenset(name for name, o in zip(names, operations, strict=True) if flow.is_boundary(o))
    return Contents(operators, facts, IoDtype.FLOAT32, options | said_options(facts), boundary, suppresses=False)


def _fields(operation: Operation) -> Iterator[tuple[str, Value]]:
    yield OPERATOR, operation.operator
    for parameter, argument in sorted(operation.arguments.items()):
        if (operation.operator, parameter) != (_CLASSIFY, "classes"):
            yield _ARGUMENTS.get(parameter, parameter), _value(argument)
    for position, (name, made) in enumerate(operation.outputs.items()):
        prefix = f"output {position} " if position else ""
        if position:
            yield f"{prefix}name", name
        yield from _type(prefix, made)


def _value(argument: Argument) -> Value:
    match argument:
        case Reference():
            return argument.name
        case tuple():
            return tuple(_value(entry) for entry in argument)
        case _:
            return argument


def _type(prefix: str, value: ValueType) -> Iterator[tuple[str, Value]]:
    yield f"{prefix}dtype", value.dtype
    yield f"{prefix}shape", value.shape


def _facts(model: Model) -> Iterator[tuple[str, Value]]:
    program = model.program
    yield "specification", model.specification
    yield "opset", program.opset
    yield "inputs", tuple(program.inputs)
    yield "outputs", program.outputs
    for name, value in program.inputs.items():
        yield f"dtype of {name}", value.dtype
        yield f"shape of {name}", value.shape
    for operation in program.operations:
        if operation.operator == _CLASSIFY and "classes" in operation.arguments:
            yield LABELS, _value(operation.arguments["classes"])
    yield from metadata_facts(model.user_defined.get(KEY)).items()
    to_dict = extras.load("google.protobuf.json_format", "coreml").MessageToDict
    yield from flat("description", _description(to_dict(model.message.description)))
    if model.suppressions:
        yield from flat("description of the pipeline", _description(to_dict(model.whole.description)))
    for position, suppression in enumerate(model.suppressions):
        yield from flat(f"suppression {position}", to_dict(suppression))


def _description(message: dict[str, Any]) -> dict[str, Any]:
    """What callers see of a model: endpoints and texts, but for the metadata, which others may add to."""
    return {**message, "metadata": {k: v for k, v in message.get("metadata", {}).items() if k != "userDefined"}}
