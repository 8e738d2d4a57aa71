"""Whether a .tflite file is well-formed, and whether a named runtime has its operators.

The generated classes check nothing, and LiteRT trusts a file: an index that leads astray is found here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.summary import Violation
from edgekit.exporters.tflite import reader
from edgekit.exporters.tflite import schema as tflite_schema
from edgekit.exporters.tflite.versions import release_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edgekit.exporters.tflite.versions import Release

_OPTIONAL = -1  # lite/c/common.h: kTfLiteOptionalTensor, an input that is left out
_CHECKED = frozenset({"float16", "float32", "int8", "int32", "int64", "uint8"})  # types that edgekit writes


def violations(path: Path, runtime: str | None = None) -> tuple[Violation, ...]:
    """What is wrong with a file.

    Args:
        path: of the file.
        runtime: what has to run it ("1.2" for LiteRT, "tflite-runtime==2.14" for what was before); None for any.

    Raises:
        ArtifactError: the file is missing, truncated or not TFLite.
        ConfigError: ``runtime`` is not a version.
        MissingDependency: ai-edge-litert is not installed.
    """
    release = None if runtime is None else release_of(runtime)
    data = reader.file_bytes(path)
    with reader.damage_explained(path):
        checker = _Checker(tflite_schema.load().ModelT.InitFromPackedBuf(data, 0))
        found = tuple(checker.indices())
        # Behind an index that leads astray nothing can be looked up.
        return found or (*checker.order(), *checker.tensors(), *checker.versions(release, runtime))


class _Checker:
    """The rules, each a method that yields what breaks it."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - generated classes
        self._model, self._graph = model, model.subgraphs[0]
        schema = tflite_schema.load()
        self._types, self._builtins = (
            tflite_schema.names(schema.TensorType),
            tflite_schema.names(schema.BuiltinOperator),
        )

    def indices(self) -> Iterator[Violation]:
        """Every index is one of something that is there."""
        model, graph = self._model, self._graph
        tensors, buffers = len(graph.tensors), len(model.buffers)
        if len(model.subgraphs) != 1:
            yield Violation(None, f"{len(model.subgraphs)} subgraphs, where a network has one")
        for position, operator in enumerate(graph.operators):
            what = f"operator {position}"
            yield from _outside(what, "an operator code", [operator.opcodeIndex], len(model.operatorCodes))
            inputs = (index for index in reader.items(operator.inputs) if index != _OPTIONAL)
            yield from _outside(what, "a tensor", (*inputs, *reader.items(operator.outputs)), tensors)
            if not len(reader.items(operator.outputs)):
                yield Violation(None, f"{what} makes nothing")
        yield from _outside("the graph", "a tensor", (*graph.inputs, *graph.outputs), tensors)
        yield from _outside("a tensor", "a buffer", (tensor.buffer for tensor in graph.tensors), buffers)
        metadata = reader.items(model.metadata)
        yield from _outside("the metadata", "a buffer", (entry.buffer for entry in metadata), buffers)
        for signature in reader.items(model.signatureDefs):
            named = (*reader.items(signature.inputs), *reader.items(signature.outputs))
            yield from _outside("a signature", "a tensor", (entry.tensorIndex for entry in named), tensors)

    def order(self) -> Iterator[Violation]:
        """Every tensor is made once, and before it is read."""
        known = {int(index) for index in self._graph.inputs}
        for operator in self._graph.operators:
            outputs = [int(index) for index in operator.outputs]
            for index in (int(index) for index in reader.items(operator.inputs) if index != _OPTIONAL):
                if index not in known and not self._is_constant(index):
                    text = f"reads {self._name(index)}, which nothing has made before"
                    yield Violation(self._name(outputs[0]), text)
            for index in outputs:
                if index in known or self._is_constant(index):
                    yield Violation(self._name(index), "is made although it is there already")
            known.update(outputs)
        for index in self._graph.outputs:
            if index not in known:
                yield Violation(self._name(index), "is an output that nothing makes")

    def tensors(self) -> Iterator[Violation]:
        """Every constant has as many bytes as its shape and type ask for, and every axis as many scales."""
        for index, tensor in enumerate(self._graph.tensors):
            shape, dtype = [int(n) for n in reader.items(tensor.shape)], str(self._types[tensor.type]).lower()
            if self._is_constant(index) and dtype in _CHECKED:
                held = len(self._model.buffers[tensor.buffer].data)
                wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
                if held != wanted:
                    yield Violation(self._name(index), f"holds {held} bytes, {dtype} {shape} takes {wanted}")
            if tensor.quantization is not None:
                yield from self._quantization(self._name(index), tensor.quantization, shape)

    @staticmethod
    def _quantization(name: str, quantization: Any, shape: list[int]) -> Iterator[Violation]:  # noqa: ANN401 - generated
        scales, zero_points = (len(reader.items(v)) for v in (quantization.scale, quantization.zeroPoint))
        axis = int(quantization.quantizedDimension)
        if scales != zero_points:
            yield Violation(name, f"has {scales} scales and {zero_points} zero points")
        if scales > 1 and not (axis < len(shape) and shape[axis] == scales):
            yield Violation(name, f"has {scales} scales for axis {axis} of the shape {shape}")
        if scales and not all(np.isfinite(s) and s > 0 for s in quantization.scale):
            yield Violation(name, "has a scale that is no positive number")

    def versions(self, release: Release | None, runtime: str | None) -> Iterator[Violation]:
        """Every operator is one that edgekit writes, in a version that the named runtime has."""
        for operator in self._graph.operators:
            code = self._model.operatorCodes[operator.opcodeIndex]
            kind, name = reader.kind(code, self._builtins), self._name(operator.outputs[0])
            first = tflite_schema.RELEASES.get((kind, int(code.version)))
            if first is None:
                yield Violation(name, f"is made by {kind} version {code.version}, which edgekit never writes")
            elif release is not None and first > release:
                needed = ".".join(map(str, first))
                text = f"is made by {kind} version {code.version}: TensorFlow Lite has it since {needed}, not {runtime}"
                yield Violation(name, text)

    def _is_constant(self, index: int) -> bool:
        return self._model.buffers[self._graph.tensors[index].buffer].data is not None

    def _name(self, index: int) -> str:
        return reader.text(self._graph.tensors[index].name)


def _outside(owner: str, kind: str, indices: Iterable[int], count: int) -> Iterator[Violation]:
    for index in indices:
        if not 0 <= index < count:
            yield Violation(None, f"{owner} names {kind} of index {index}, and there are {count}")
