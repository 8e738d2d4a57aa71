"""Whether an .onnx file is well-formed and whole, and whether a named ONNX Runtime reads it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import onnx

from edgekit.exporters.messages import surplus
from edgekit.exporters.onnx.reader import opset_of, parse
from edgekit.exporters.onnx.versions import newest_read_by
from edgekit.exporters.summary import Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_TEXTS: Final = {"doc_string", "metadata_props"}  # for people, and for other tools
# What edgekit writes or reads of each message, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3. All else is
# refused: a runtime may act on it, and nothing here would know.
_KNOWN: Final = {
    f"onnx.{message}": frozenset(fields | _TEXTS)
    for message, fields in {
        "ModelProto": {
            "domain", "functions", "graph", "ir_version", "model_version", "opset_import", "producer_name",
            "producer_version",
        },
        "GraphProto": {"initializer", "input", "name", "node", "output", "value_info"},
        "NodeProto": {"attribute", "domain", "input", "name", "op_type", "output"},
        "AttributeProto": {"f", "floats", "i", "ints", "name", "s", "strings", "t", "type"},
        "TensorProto": {
            "data_location", "data_type", "dims", "double_data", "external_data", "float_data", "int32_data",
            "int64_data", "name", "raw_data",
        },
        "ValueInfoProto": {"name", "type"},
        "TypeProto": {"tensor_type"},
        "TypeProto.Tensor": {"elem_type", "shape"},
        "TensorShapeProto": {"dim"},
        "TensorShapeProto.Dimension": {"dim_param", "dim_value"},
    }.items()
}  # fmt: skip
_DOMAINS: Final = frozenset({"", "ai.onnx"})  # of ONNX's own operators


def violations(path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
    """What is wrong with a file.

    The onnx package checks names, operators, attributes, order, and, by inferring them, types and shapes. What it
    allows and what breaks or slows a file in use is found here.

    Args:
        path: of the file.
        runtime: the ONNX Runtime that has to read it ("1.17"); None for any.

    Raises:
        ArtifactError: the file is missing, truncated or not ONNX.
        ConfigError: ``runtime`` is not a version, or too old.
    """
    model = parse(path)
    if found := tuple(_outside(model.graph)):
        return found  # what stands elsewhere cannot be checked
    found = (*_operators(model), *_constants(model.graph), *_names(model), *_surplus(model), *_rules(model))
    return found if runtime is None else (*found, *_versions(model, runtime))


def _outside(graph: onnx.GraphProto) -> Iterator[Violation]:
    """Every number is in the file itself."""
    for tensor in graph.initializer:
        if onnx.external_data_helper.uses_external_data(tensor):
            place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "nowhere")
            text = f"stands in another file, {place}, which has to travel along and can change alone"
            yield Violation(tensor.name, text)


def _rules(model: onnx.ModelProto) -> Iterator[Violation]:
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        yield Violation(None, f"it breaks a rule of ONNX: {' '.join(str(error).split())}")
    except onnx.shape_inference.InferenceError as error:
        yield Violation(None, f"types and shapes contradict each other: {' '.join(str(error).split())}")


def _operators(model: onnx.ModelProto) -> Iterator[Violation]:
    """Every operator is one of ONNX's own, of the one version of them that the file names."""
    for node in model.graph.node:
        if node.domain not in _DOMAINS:
            text = f"is made by {node.op_type} of {node.domain}, which is none of ONNX's own operators"
            yield Violation(node.output[0], text)
    for function in model.functions:
        stands_for = "stands" if function.domain not in _DOMAINS else "takes the place of ONNX's own operator"
        yield Violation(None, f"a function {function.domain or 'ai.onnx'}.{function.name} {stands_for} in the file")
    for entry in model.opset_import:
        if entry.domain not in _DOMAINS:
            text = f"operators of {entry.domain} are asked for, and a runtime without them refuses the file"
            yield Violation(None, text)
    versions = {entry.version for entry in model.opset_import if entry.domain in _DOMAINS}
    if len(versions) > 1:
        yield Violation(None, f"opsets {sorted(versions)} are named, and which of them counts is the runtime's choice")


def _constants(graph: onnx.GraphProto) -> Iterator[Violation]:
    """No constant is an input of the graph."""
    inputs = {value.name for value in graph.input}
    for tensor in graph.initializer:
        if tensor.name in inputs:
            # onnxruntime/core/graph/graph_utils.cc, NodeArgIsConstant: what a caller can replace is none.
            text = "is an input of the graph as well as a constant: what reads it computes in float, many times slower"
            yield Violation(tensor.name, text)


def _names(model: onnx.ModelProto) -> Iterator[Violation]:
    """Whatever is looked up by a name is there once."""
    for kind, names in (
        ("constants are", (tensor.name for tensor in model.graph.initializer)),
        ("inputs are", (value.name for value in model.graph.input)),
        ("outputs are", (value.name for value in model.graph.output)),
        ("entries of the metadata are", (entry.key for entry in model.metadata_props)),
    ):
        yield from (Violation(name, f"is what {count} {kind} called") for name, count in _repeated(names))


def _repeated(names: Iterable[str]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in Counter(names).items() if count > 1]


def _surplus(model: onnx.ModelProto) -> Iterator[Violation]:
    for name, what in surplus(model, _KNOWN):
        yield Violation(name, f"{'has' if name else 'the file has'} {what}, which edgekit never writes")


def _versions(model: onnx.ModelProto, runtime: str) -> Iterator[Violation]:
    newest, opset = newest_read_by(runtime), opset_of(model)
    if opset > newest.opset:
        yield Violation(None, f"opset {opset}, and ONNX Runtime {runtime} reads up to {newest.opset}")
    if model.ir_version > newest.ir:
        yield Violation(None, f"IR version {model.ir_version}, and ONNX Runtime {runtime} reads up to {newest.ir}")
