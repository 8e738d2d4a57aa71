"""Everything that a .tflite file says, operator by operator."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.exporters.contents import (
    CLAMP,
    LABELS,
    OPERATOR,
    Contents,
    Operator,
    io_dtype_of,
    metadata_facts,
    said_options,
    unique_names,
    with_origins,
)
from edgekit.exporters.metadata import KEY
from edgekit.exporters.tflite import endings, reader
from edgekit.exporters.tflite import metadata as tflite_metadata
from edgekit.exporters.tflite import schema as tflite_schema
from edgekit.exporters.vocabulary import Does

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.exporters.contents import Value

_ROLES: Final = {
    "ADD": ("first", "second"),
    "ARG_MAX": ("input", "axis"),
    "CONV_2D": ("input", "weight", "bias"),
    "DEPTHWISE_CONV_2D": ("input", "weight", "bias"),
    "FULLY_CONNECTED": ("input", "weight", "bias"),
    "MAXIMUM": ("first", "second"),
    "MEAN": ("input", "axes"),
    "MINIMUM": ("first", "second"),
    "MUL": ("first", "second"),
    "PAD": ("input", "paddings"),
    "PADV2": ("input", "paddings", "value"),
    "RESHAPE": ("input", "target shape"),
    "RESIZE_BILINEAR": ("input", "target size"),
    "STRIDED_SLICE": ("input", "begin", "end", "strides"),
    "TRANSPOSE": ("input", "order"),
    endings.OPERATOR: endings.ROLES,
}
_DOES: Final = {
    "ADD": Does.ADD,
    "ARG_MAX": Does.CHOOSE,
    "AVERAGE_POOL_2D": Does.POOL,
    "CAST": Does.CONVERT,
    "CONCATENATION": Does.JOIN,
    "DEPTHWISE_CONV_2D": Does.DEPTHWISE,
    "DEPTH_TO_SPACE": Does.TRANSPOSE,
    "DEQUANTIZE": Does.DEQUANTIZE,
    "HARD_SWISH": Does.HARD_SWISH,
    "LOGISTIC": Does.SIGMOID,
    "MAXIMUM": Does.CLAMP,
    "MAX_POOL_2D": Does.POOL,
    "MEAN": Does.POOL,
    "MINIMUM": Does.CLAMP,
    "MUL": Does.MULTIPLY,
    "PAD": Does.PAD,
    "PADV2": Does.PAD,
    "QUANTIZE": Does.QUANTIZE,
    "RELU": Does.CLAMP,
    "RELU6": Does.CLAMP,
    "RESHAPE": Does.RESHAPE,
    "RESIZE_BILINEAR": Does.RESIZE,
    "SOFTMAX": Does.SOFTMAX,
    "STRIDED_SLICE": Does.CROP,
    "TRANSPOSE": Does.TRANSPOSE,
}
_OPTIONS: Final = {"fusedActivationFunction": CLAMP, "strideH": "stride, rows", "strideW": "stride, columns"}
_RUNTIME_ENTRY: Final = "min_runtime_version"


def read_contents(path: Path) -> Contents:
    """Everything that a file says.

    Raises:
        ArtifactError: the file is missing, truncated or not TFLite.
        MissingDependency: ai-edge-litert is not installed.
    """
    with reader.opened(path) as file:
        return _Decoder(file).contents()


class _Decoder:
    """Turns the generated classes into facts."""

    def __init__(self, file: reader.Opened) -> None:
        schema = tflite_schema.load()
        self._file, self._model, self._graph = file, file.model, file.graph
        self._enumerations = {
            "padding": tflite_schema.names(schema.Padding),
            "fusedActivationFunction": tflite_schema.names(schema.ActivationFunctionType),
        }
        self._names = unique_names(reader.text(tensor.name) for tensor in self._graph.tensors)
        self._made = {int(index) for operator in self._graph.operators for index in reader.items(operator.outputs)}
        self._made |= {int(index) for index in self._graph.inputs}

    def contents(self) -> Contents:
        said = self._file.metadata.get(KEY)
        operators, misfit = with_origins(
            [self._operator(operator) for operator in self._graph.operators], None if said is None else said.decode()
        )
        inputs = [self._graph.tensors[index] for index in self._graph.inputs]
        io_dtype = io_dtype_of(self._file.dtype(inputs[0]))
        facts = dict(self._facts()) | misfit
        boundary = frozenset(operators[position].name for position in reader.boundary(self._file))
        options = said_options(facts) | ({"signatures": True} if len(self._model.subgraphs) > 1 else {})
        return Contents(operators, facts, io_dtype, options, boundary, channels_last=True)

    # --- operators ----------------------------------------------------------------------------------------------------

    def _operator(self, operator: Any) -> Operator:  # noqa: ANN401 - generated classes
        does = _DOES.get(self._file.kind(operator), Does.OTHER)
        if reader.is_hybrid(self._file, operator):
            does = Does.QUANTIZE_AND_COMPUTE
        return Operator(self._result(operator), dict(self._fields(operator)), self._constants(operator), does)

    def _result(self, operator: Any) -> str:  # noqa: ANN401 - generated classes
        index: int = operator.outputs[0]
        return self._names[index]

    def _constants(self, operator: Any) -> tuple[str, ...]:  # noqa: ANN401 - generated classes
        indices = (int(index) for index in reader.items(operator.inputs))
        return tuple(self._names[index] for index in indices if index >= 0 and index not in self._made)

    def _fields(self, operator: Any) -> Iterator[tuple[str, Value]]:  # noqa: ANN401 - generated classes
        code = self._model.operatorCodes[operator.opcodeIndex]
        kind = self._file.kind(operator)
        yield OPERATOR, kind
        yield "operator version", int(code.version)
        for key, value in sorted(vars(operator.builtinOptions).items()) if operator.builtinOptions is not None else ():
            yield self._option(key, value)
        if operator.customOptions is not None:
            yield from self._custom_options(kind, np.asarray(operator.customOptions))
        roles = _ROLES.get(kind, ("input",))
        for position, index in enumerate(reader.items(operator.inputs)):
            yield from self._input(roles[position] if position < len(roles) else f"input {position}", int(index))
        for position, index in enumerate(reader.items(operator.outputs)):
            prefix = f"output {position} " if position else ""
            if position:
                yield f"output {position}", self._names[int(index)]
            yield from self._tensor(prefix, self._graph.tensors[index])

    @staticmethod
    def _custom_options(kind: str, data: NDArray[np.uint8]) -> Iterator[tuple[str, Value]]:
        if kind != endings.OPERATOR:
            yield "custom options", data
            return
        for key, value in sorted(endings.read_options(data.tobytes()).items()):
            yield key, value if isinstance(value, int | float) else repr(value)

    def _option(self, key: str, value: Any) -> tuple[str, Value]:  # noqa: ANN401 - generated classes
        if key in self._enumerations:
            value = self._enumerations[key].get(value, str(value))
        elif isinstance(value, list | np.ndarray):
            value = tuple(int(entry) for entry in value)
        return _OPTIONS.get(key, re.sub(r"([A-Z])", r" \1", key).lower()), None if value == "NONE" else value

    def _input(self, role: str, index: int) -> Iterator[tuple[str, Value]]:
        if index < 0:  # an optional input that is left out
            return
        tensor = self._graph.tensors[index]
        if index in self._made:
            yield role, self._names[index]
            return
        yield role, self._constant(tensor)
        for key, value in self._tensor(f"{role} ", tensor):
            if key not in {f"{role} dtype", f"{role} shape"}:  # the array has them
                yield key, value

    def _constant(self, tensor: Any) -> NDArray[Any]:  # noqa: ANN401 - generated classes
        data = reader.items(self._model.buffers[tensor.buffer].data)
        raw, dtype = np.asarray(data, np.uint8).tobytes(), self._file.dtype(tensor)
        return np.frombuffer(raw, dtype).reshape([int(n) for n in reader.items(tensor.shape)])

    def _tensor(self, prefix: str, tensor: Any) -> Iterator[tuple[str, Value]]:  # noqa: ANN401 - generated classes
        """What is said of a tensor beside its name and its numbers."""
        yield f"{prefix}dtype", self._file.dtype(tensor)
        yield f"{prefix}shape", tuple(int(n) for n in reader.items(tensor.shape))
        quantization = tensor.quantization
        if quantization is not None:
            yield from self._quantization(prefix, quantization)
        signature = reader.items(tensor.shapeSignature)
        if len(signature):
            yield f"{prefix}shape signature", tuple(int(n) for n in signature)
        for key in ("isVariable", "sparsity", "variantTensors"):
            if getattr(tensor, key):
                yield f"{prefix}{key}", "set"

    @staticmethod
    def _quantization(prefix: str, quantization: Any) -> Iterator[tuple[str, Value]]:  # noqa: ANN401 - generated classes
        for key, name in (("scale", "scale"), ("zeroPoint", "zero point"), ("min", "minimum"), ("max", "maximum")):
            values = reader.items(getattr(quantization, key))
            if len(values):
                yield f"{prefix}{name}", np.asarray(values)
        if len(reader.items(quantization.scale)) > 1:
            yield f"{prefix}scale axis", int(quantization.quantizedDimension)
        if quantization.details is not None:
            yield f"{prefix}quantization details", "set"

    # --- the file as a whole ------------------------------------------------------------------------------------------

    def _facts(self) -> Iterator[tuple[str, Value]]:
        model, graph = self._model, self._graph
        yield "schema version", int(model.version)
        yield "description", reader.text(model.description or "")
        yield "subgraphs", len(model.subgraphs)
        yield "name of the graph", reader.text(graph.name or "")
        for role, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            yield role, tuple(self._names[index] for index in indices)
        for index in graph.inputs:
            for key, value in self._tensor("", graph.tensors[index]):
                yield f"{key} of {self._names[index]}", value
        used = {int(i) for o in graph.operators for i in (*reader.items(o.inputs), *reader.items(o.outputs))}
        unused = [name for i, name in enumerate(self._names) if i not in used and i not in set(graph.inputs)]
        yield "tensors that nothing uses", tuple(unused)
        for signature in reader.items(model.signatureDefs):
            key, tensors = reader.text(signature.signatureKey), model.subgraphs[signature.subgraphIndex].tensors
            for role in ("inputs", "outputs"):
                entries = reader.items(getattr(signature, role))
                named = (f"{reader.text(e.name)}: {reader.text(tensors[e.tensorIndex].name)}" for e in entries)
                yield f"{role} of the signature {key}", tuple(named)
        yield from self._metadata()

    def _metadata(self) -> Iterator[tuple[str, Value]]:
        """What edgekit writes about a file; what others have added is no business of ours."""
        entries = self._file.metadata
        yield LABELS, self._labels()
        if KEY in entries:
            yield from metadata_facts(entries[KEY].decode()).items()
        if tflite_metadata.ENTRY in entries:
            yield tflite_metadata.ENTRY, np.frombuffer(entries[tflite_metadata.ENTRY], np.uint8)
        if _RUNTIME_ENTRY in entries:
            yield _RUNTIME_ENTRY, entries[_RUNTIME_ENTRY].rstrip(b"\0").decode()

    def _labels(self) -> tuple[str, ...]:
        """The lines of the file that stands as a ZIP archive behind the model."""
        archive = self._file.archive
        if archive is None or tflite_metadata.LABELS_FILE not in archive.namelist():
            return ()
        return tuple(archive.read(tflite_metadata.LABELS_FILE).decode().removesuffix("\n").split("\n"))
