"""A finished package, counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit import files
from edgekit.errors import ArtifactError
from edgekit.exporters import metadata
from edgekit.exporters.coreml import endings
from edgekit.exporters.coreml.document import IOS15, IOS16, IOS17
from edgekit.exporters.coreml.reader import read_model
from edgekit.exporters.metadata import Metadata
from edgekit.exporters.summary import Endpoint, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edgekit.exporters.coreml.reader import Feature, Model, Operation, Program
    from edgekit.suppression import Ending

_CONSTANT_EXPRESSION: Final = "constexpr_"
_CONVERSIONS: Final = frozenset({"quantize", "dequantize", "cast", "classify", "squeeze"})  # the last is of a mask
_HEADS: Final = frozenset({"sigmoid", "softmax"})
_ALIGNING: Final = frozenset({"add", "mul", "cast"})
_MOVES: Final = frozenset({"reshape", "transpose"})  # several of which may make one move
_DATA: Final = frozenset({"x", "y", "weight"})  # the parameters that tensors and weights come in by
_RELEASES: Final = {
    IOS15.specification: "iOS 15",
    IOS16.specification: "iOS 16",
    IOS17.specification: "iOS 17",
    9: "iOS 18",
    10: "iOS 26",
}


def read(path: Path) -> Summary:
    """Open a package and count what is in it.

    A pair of ``quantize`` and ``dequantize`` inside the network is Core ML's spelling of an int8 tensor, not an
    operator, and is not counted. An operator computes in integers if everything that it reads is dequantized, and if
    nothing but ``quantize`` reads what it makes; moves between them count as nothing.

    Raises:
        ArtifactError: the package is missing, damaged, or holds something that edgekit does not read.
        MissingDependency: coremltools is not installed.
    """
    model = read_model(path)
    program = model.program
    flow = Flow(program, model.endings)
    computing = [operation for operation in program.operations if flow.computes(operation)]
    release = _RELEASES.get(model.specification, "an unknown iOS")
    return Summary(
        path=path,
        format="coreml",
        size_bytes=files.size_bytes(path),
        operators=Counter(operation.operator for operation in computing),
        float_operators=tuple(f"{o.operator} {o.output}" for o in computing if not flow.is_integer(o)),
        boundary=tuple(operation.operator for operation in program.operations if flow.is_boundary(operation)),
        inputs=tuple(_endpoint(feature) for feature in model.inputs),
        outputs=tuple(map(_endpoint, model.given)),
        version=f"specification {model.specification} ({release}), opset {program.opset}",
        metadata=_metadata(path, model),
    )


class Flow:
    """Where the values of a program come from and go to."""

    def __init__(self, program: Program, behind: Sequence[Ending] = ()) -> None:
        self._program, self._behind = program, behind
        self._producers, self._consumers = program.producers(), program.consumers()
        self._aligned = self._aligning()
        self._interpolated = frozenset(self._interpolating())

    def is_integer(self, operation: Operation) -> bool:
        """Whether an operator reads dequantized values only, and is read by ``quantize`` only; or by way of moves."""
        if operation.output in self._interpolated:
            return True
        constant_data = any(isinstance(operation.arguments.get(parameter), np.ndarray) for parameter in _DATA)
        return not constant_data and self._comes_from_integers(operation) and self._goes_to_integers(operation)

    def _comes_from_integers(self, operation: Operation) -> bool:
        sources = [self._producers.get(name) for name in operation.reads]
        return bool(sources) and all(
            source is not None
            and (_dequantizes(source) or (source.operator in _MOVES and self._comes_from_integers(source)))
            for source in sources
        )

    def _goes_to_integers(self, operation: Operation) -> bool:
        readers = self._consumers[operation.output]
        return (
            bool(readers)
            and operation.output not in self._program.outputs
            and all(
                reader.operator == "quantize" or (reader.operator in _MOVES and self._goes_to_integers(reader))
                for reader in readers
            )
        )

    def computes(self, operation: Operation) -> bool:
        """Whether an operation is one of the network's."""
        is_at_end = self.is_head(operation) or self.ends(operation)
        return _computes(operation) and not self.aligns(operation) and not is_at_end

    def ends(self, operation: Operation) -> bool:
        """Whether an operation only makes what suppression behind the program reads."""
        return any(endings.makes(ending, operation.output) for ending in self._behind)

    def is_head(self, operation: Operation) -> bool:
        """Whether an operation makes probabilities of what is an output."""
        return operation.operator in _HEADS and set(operation.reads) <= set(self._program.outputs)

    def aligns(self, operation: Operation) -> bool:
        """Whether an operation only takes the input to where it is quantized."""
        return operation.output in self._aligned

    def _aligning(self) -> list[str]:
        """What is made of an input array before it is quantized: by a product or sum with constants, if at all."""
        made: list[str] = []
        name = next(iter(self._program.inputs), "")
        while len(readers := self._consumers[name]) == 1:
            (reader,) = readers
            if reader.operator == "quantize":
                return made
            if reader.operator not in _ALIGNING or reader.reads != (name,):
                break
            name = reader.output
            made.append(name)
        return []

    def _interpolating(self) -> Iterator[str]:
        """What interpolates integers as they are stored: a resize, half a step more, and what is rounded down of it."""
        for resize in self._program.operations:
            if resize.operator != "resize_bilinear":
                continue
            chain = [resize]
            while len(readers := self._consumers[chain[-1].output]) == 1:
                chain += readers
            maker = self._producers.get(resize.source("x"))
            wanted = ["resize_bilinear", "add", "floor", "quantize"]
            if maker is not None and _dequantizes(maker) and [each.operator for each in chain[:4]] == wanted:
                yield from (each.output for each in chain[:3])

    def is_boundary(self, operation: Operation) -> bool:
        """Whether an operation stands between the caller's types and the network's."""
        if self.ends(operation):
            return True
        match operation.operator:
            case "cast" | "classify" | "squeeze":
                return True
            case "add" | "mul" | "sigmoid" | "softmax":
                return self.aligns(operation) or self.is_head(operation)
            case "quantize":
                maker = self._producers.get(operation.source("input"))
                return maker is None or maker.operator == "cast" or self.aligns(maker)
            case "dequantize":
                return not any(self.computes(reader) for reader in self._consumers[operation.output])
            case _:
                return False


def _computes(operation: Operation) -> bool:
    return operation.operator not in _CONVERSIONS and not operation.operator.startswith(_CONSTANT_EXPRESSION)


def _dequantizes(operation: Operation) -> bool:
    return operation.operator == "dequantize" or operation.operator.startswith(_CONSTANT_EXPRESSION)


def _endpoint(feature: Feature) -> Endpoint:
    return Endpoint(feature.name, feature.type.dtype, feature.type.shape)


def _metadata(path: Path, model: Model) -> Metadata | None:
    if metadata.KEY not in model.user_defined:
        return None
    try:
        return Metadata.from_json(model.user_defined[metadata.KEY])
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"the metadata of {path} is damaged, or of a newer edgekit: export it again") from error
