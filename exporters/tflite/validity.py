"""Whether a .tflite file is well-formed and whole, and whether a named runtime has its operators.

The generated classes check nothing, and LiteRT trusts a file: an index that leads astray is found here, and whatever
runtimes, tools or releases may read in two ways.
"""

from __future__ import annotations

import itertools
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.exporters.archives import irregularities
from edgekit.exporters.metadata import KEY
from edgekit.exporters.summary import Violation
from edgekit.exporters.tflite import reader
from edgekit.exporters.tflite.operators import RELEASES
from edgekit.exporters.tflite.schema import BUFFER_ALIGNMENT
from edgekit.exporters.tflite.signatures import alone
from edgekit.exporters.tflite.versions import release_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edgekit.exporters.tflite.versions import Release

_OPTIONAL = -1  # lite/c/common.h: kTfLiteOptionalTensor, an input that is left out
_CHECKED = frozenset({"float16", "float32", "int8", "int32", "int64", "uint8"})  # types that edgekit writes
_LAST_OLD_CODE = 127  # schema.fbs: deprecated_builtin_code is a byte, and stays at 127 for what came later
_SLACK = 16  # bytes behind the last thing of a file that other writers leave: to fill it up, or of a table not used
# What edgekit writes or reads of each table of the schema. All else is refused: a runtime may act on it, and nothing
# here would know. Buffers have an offset where their bytes stand behind the model, which only some readers follow.
_KNOWN: Final = {
    "ModelT": {"version", "operatorCodes", "subgraphs", "description", "buffers", "metadata", "signatureDefs"},
    "SubGraphT": {"tensors", "inputs", "outputs", "operators", "name"},
    "TensorT": {"shape", "type", "buffer", "name", "quantization", "hasRank"},
    "OperatorT": {"opcodeIndex", "inputs", "outputs", "builtinOptionsType", "builtinOptions", "customOptions"},
    "BufferT": {"data"},
    "SignatureDefT": {"inputs", "outputs", "signatureKey", "subgraphIndex"},
    "QuantizationParametersT": {"min", "max", "scale", "zeroPoint", "quantizedDimension"},
}


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
    with reader.opened(path) as file:
        checker = _Checker(file)
        # Behind an index that leads astray nothing can be looked up.
        return tuple(checker.indices()) or (
            *checker.order(),
            *checker.tensors(),
            *checker.codes(),
            *checker.versions(release, runtime),
            *checker.names(),
            *checker.signatures(),
            *checker.surplus(),
            *checker.shared(),
            *checker.ends(),
        )


class _Checker:
    """The rules, each a method that yields what breaks it."""

    def __init__(self, file: reader.Opened) -> None:
        self._file, self._model, self._graph = file, file.model, file.graph

    def indices(self) -> Iterator[Violation]:
        """Every index is one of something that is there."""
        model, graph = self._model, self._graph
        tensors, buffers = len(graph.tensors), len(model.buffers)
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
            yield from _outside("a signature", "a subgraph", [signature.subgraphIndex], len(model.subgraphs))
            if signature.subgraphIndex < len(model.subgraphs):
                there = len(model.subgraphs[signature.subgraphIndex].tensors)
                yield from _outside("a signature", "a tensor", (entry.tensorIndex for entry in named), there)

    def order(self) -> Iterator[Violation]:
        """Every tensor is made once, and before it is read."""
        known = {int(index) for index in self._graph.inputs}
        for operator in self._graph.operators:
            outputs = [int(index) for index in operator.outputs]
            for index in (int(index) for index in reader.items(operator.inputs) if index != _OPTIONAL):
                if index not in known and not self._file.is_constant(index):
                    text = f"reads {self._file.name(index)}, which nothing has made before"
                    yield Violation(self._file.name(outputs[0]), text)
            for index in outputs:
                if index in known or self._file.is_constant(index):
                    yield Violation(self._file.name(index), "is made although it is there already")
            known.update(outputs)
        for index in self._graph.outputs:
            if index not in known:
                yield Violation(self._file.name(index), "is an output that nothing makes")

    def tensors(self) -> Iterator[Violation]:
        """Every constant has as many bytes as its shape and type ask for, and every axis as many scales."""
        for index, tensor in enumerate(self._graph.tensors):
            shape, dtype = [int(n) for n in reader.items(tensor.shape)], self._file.dtype(tensor)
            if self._file.is_constant(index) and dtype in _CHECKED:
                held = len(self._model.buffers[tensor.buffer].data)
                wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
                if held != wanted:
                    yield Violation(self._file.name(index), f"holds {held} bytes, {dtype} {shape} takes {wanted}")
            if tensor.quantization is not None:
                yield from self._quantization(self._file.name(index), tensor.quantization, shape)

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
            kind, name = self._file.kind(operator), self._file.name(operator.outputs[0])
            first = RELEASES.get((kind, int(code.version)))
            if first is None:
                yield Violation(name, f"is made by {kind} version {code.version}, which edgekit never writes")
            elif release is not None and first > release:
                needed = ".".join(map(str, first))
                text = f"is made by {kind} version {code.version}: TensorFlow Lite has it since {needed}, not {runtime}"
                yield Violation(name, text)

    def codes(self) -> Iterator[Violation]:
        """Every operator is the same for old and new runtimes, and none is listed that a runtime may not have."""
        used: dict[int, str] = {}
        for operator in self._graph.operators:
            used.setdefault(int(operator.opcodeIndex), self._file.name(operator.outputs[0]))
        for index, code in enumerate(self._model.operatorCodes):
            kind = reader.kind(code, self._file.builtins)
            if index not in used:
                text = f"{kind} version {code.version} is listed, and nothing uses it: a runtime without it refuses"
                yield Violation(None, f"{text} the file")
                continue
            new, old = int(code.builtinCode), int(code.deprecatedBuiltinCode)
            if code.customCode is None and old != min(new, _LAST_OLD_CODE):
                was = self._file.builtins.get(old, f"operator {old}")
                yield Violation(used[index], f"is made by {kind}, and runtimes before 2.4 read {was} there")

    def names(self) -> Iterator[Violation]:
        """Whatever is looked up by a name is there once."""
        model = self._model
        tensors = (self._file.name(index) for index in range(len(self._graph.tensors)))
        entries = (reader.text(entry.name) for entry in reader.items(model.metadata))
        signatures = (reader.text(one.signatureKey) for one in reader.items(model.signatureDefs))
        for kind, names in (("tensors", tensors), ("entries of the metadata", entries), ("signatures", signatures)):
            for name, count in Counter(names).items():
                if count > 1:
                    yield Violation(name, f"is what {count} {kind} are called")

    def signatures(self) -> Iterator[Violation]:
        """Applications call graphs by signatures: one runs the network, and each other one a part of it."""
        model = self._model
        for signature in reader.items(model.signatureDefs):
            what, graph = (
                f"the signature {reader.text(signature.signatureKey)}",
                model.subgraphs[signature.subgraphIndex],
            )
            for role, indices in (("inputs", graph.inputs), ("outputs", graph.outputs)):
                entries = reader.items(getattr(signature, role))
                named = [int(entry.tensorIndex) for entry in entries]
                if sorted(named) != sorted(map(int, indices)):
                    given, wanted = (
                        ", ".join(reader.text(graph.tensors[index].name) for index in some) or "nothing"
                        for some in (named, indices)
                    )
                    yield Violation(None, f"the {role} of {what} are {given}, and those of its graph {wanted}")
        run = [int(signature.subgraphIndex) for signature in reader.items(model.signatureDefs)]
        if run and sorted(run) != [*range(len(model.subgraphs))]:
            one_by_one = ", ".join(map(str, run))
            yield Violation(
                None, f"signatures run the subgraphs {one_by_one} of {len(model.subgraphs)}: each needs one"
            )
        for index, graph in enumerate(model.subgraphs[1:], 1):
            yield from self._part(index, graph)

    def _part(self, index: int, graph: Any) -> Iterator[Violation]:  # noqa: ANN401 - generated classes
        """A subgraph is the network's own, cut down to some outputs, so what is proven of that holds here."""
        places = {self._file.name(int(place)): int(place) for place in self._graph.outputs}
        outputs = [reader.text(graph.tensors[int(place)].name) for place in graph.outputs]
        if unknown := [name for name in outputs if name not in places]:
            yield Violation(None, f"the subgraph {index} gives {unknown[0]}, which the network does not give")
            return
        if not _equal(graph, alone(self._graph, graph.name, [places[name] for name in outputs])):
            given = ", ".join(outputs)
            yield Violation(None, f"the subgraph {index} does not make {given} as the network does")

    def surplus(self) -> Iterator[Violation]:
        """Nothing is set that edgekit neither writes nor reads."""
        model, graph = self._model, self._graph
        tables: list[tuple[str | None, Any]] = [(None, table) for table in (model, graph, *model.buffers)]
        tables += [(None, table) for table in reader.items(model.signatureDefs)]
        for index, tensor in enumerate(graph.tensors):
            tables += [(self._file.name(index), table) for table in (tensor, tensor.quantization) if table is not None]
        tables += [(self._file.name(operator.outputs[0]), operator) for operator in graph.operators]
        for name, table in tables:
            kind, unset = type(table).__name__, vars(type(table)())
            for field, value in vars(table).items():
                if field not in _KNOWN[kind] and not _is_unset(value, unset[field]):
                    owner = "has" if name else f"a {kind.removesuffix('T')} of the file has"
                    yield Violation(name, f"{owner} {field}, which edgekit never writes")

    def ends(self) -> Iterator[Violation]:
        """Nothing stands behind the model, or behind the labels, and the labels are there once."""
        archive, data = self._file.archive, self._file.data
        model = data
        if archive is not None:
            model = data[: min((entry.header_offset for entry in archive.infolist()), default=archive.start_dir)]
            yield from (Violation(None, text) for text in irregularities(data, archive, len(model)))
        behind = model[_used(model, self._model) :]
        if behind and not self._may_end_with(behind, len(model)):
            yield Violation(None, f"{len(behind)} bytes stand behind the model, and belong to nothing")

    def _may_end_with(self, behind: bytes, size: int) -> bool:
        """Whether a model of ``size`` bytes may end with some that belong to nothing.

        Flatbuffers are written from their end, and filled up with zeros for whatever is aligned: the size is a multiple
        of the largest alignment. Files of edgekit end without a fill, and only a tool that changed them adds one.
        """
        if KEY not in self._file.metadata:
            return len(behind) <= _SLACK
        is_aligned = all(buffer.start % BUFFER_ALIGNMENT == 0 for buffer in self._file.buffers)
        return len(behind) < _SLACK and not any(behind) and size % (BUFFER_ALIGNMENT if is_aligned else 4) == 0

    def shared(self) -> Iterator[Violation]:
        """No two buffers have bytes in common: who changes one would change the other."""
        held = [(buffer.start, buffer.stop, index) for index, buffer in enumerate(self._file.buffers) if buffer]
        for (_, stop, one), (start, end, other) in itertools.pairwise(sorted(held)):
            if start < stop:
                yield Violation(None, f"the buffers {one} and {other} have {min(stop, end) - start} bytes in common")


def _outside(owner: str, kind: str, indices: Iterable[int], count: int) -> Iterator[Violation]:
    for index in indices:
        if not 0 <= index < count:
            yield Violation(None, f"{owner} names {kind} of index {index}, and there are {count}")


def _is_unset(value: Any, default: Any) -> bool:  # noqa: ANN401 - generated classes
    return value is default or (np.ndim(value) == 0 and value == default) or (np.ndim(value) == 1 and len(value) == 0)


def _used(data: bytes, model: Any) -> int:  # noqa: ANN401 - generated classes
    """How many bytes, from the first on, a file is read from.

    The format says nowhere how long a file is. So what is cut off is looked for that makes no difference.
    """
    most, step = len(data), 1
    while step <= most and _says_the_same(data[: most - step], model):  # as good as all files are read to their end
        most, step = most - step, 2 * step
    least = max(most - step + 1, 0)
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if _says_the_same(data[:middle], model) else (middle + 1, most)
    return most


def _says_the_same(data: bytes, model: Any) -> bool:  # noqa: ANN401 - generated classes
    try:
        return _equal(reader.Opened(data).model, model)
    except (struct.error, IndexError, ValueError, TypeError, AttributeError):
        return False


def _equal(a: Any, b: Any) -> bool:  # noqa: ANN401 - generated classes
    """Whether two tables, vectors or numbers of the schema are equal."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if hasattr(a, "__dict__"):
        return all(_equal(value, vars(b)[key]) for key, value in vars(a).items())
    return bool(a == b)
