"""Reading a finished .onnx file back, and counting what it holds."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from edgekit import files
from edgekit.errors import ArtifactError
from edgekit.exporters.metadata import KEY, Metadata
from edgekit.exporters.summary import Endpoint, Summary
from edgekit.suppression import endings_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.suppression import Ending

_STORED = {TensorProto.UINT8, TensorProto.INT8}
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
CONVERSIONS = {_QUANTIZE, _DEQUANTIZE}
_HEADS = {"Softmax", "Sigmoid"}
_ALIGNING = {"Add", "BatchNormalization"}
CLAMPS = {"Relu", "Clip"}
_DAMAGED = "is not an ONNX file, or is damaged or truncated: export it again"
FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16}


def read(path: Path) -> Summary:
    """Count the operators of an .onnx file, whoever wrote it.

    Raises:
        ArtifactError: the file is missing, truncated or not ONNX.
    """
    model = load(path)
    census = Census(model)
    return Summary(
        path=path,
        format="onnx",
        size_bytes=files.size_bytes(path),
        operators=dict(Counter(node.op_type for node in census.operators)),
        float_operators=tuple(f"{node.op_type} {node.output[0]}" for node in census.operators if census.is_float(node)),
        boundary=tuple(node.op_type for node in model.graph.node if census.is_boundary(node)),
        inputs=tuple(census.endpoint(value) for value in model.graph.input if value.name not in census.constants),
        outputs=tuple(census.endpoint(value) for value in model.graph.output),
        version=f"opset {opset_of(model)}, IR {model.ir_version}",
        metadata=_metadata(model, path),
    )


def load(path: Path) -> onnx.ModelProto:
    """Parse and check an .onnx file.

    Raises:
        ArtifactError: the file is missing, truncated or not ONNX.
    """
    model = parse(path)
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        onnx.checker.check_model(model)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"the weights of {path} stand in another file, which cannot be read: {error}") from error
    except onnx.checker.ValidationError as error:
        raise ArtifactError(f"{path} {_DAMAGED}") from error
    return model


def parse(path: Path) -> onnx.ModelProto:
    """Parse an .onnx file; weights in other files are left where they are.

    Raises:
        ArtifactError: the file is missing, truncated or not ONNX.
    """
    try:
        return onnx.load(path, load_external_data=False)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist") from error
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    except (DecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} {_DAMAGED}") from error


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators; 0 where a file has none of them."""
    return next((entry.version for entry in model.opset_import if entry.domain == ""), 0)


def _endings(model: onnx.ModelProto) -> tuple[Ending, ...]:
    """What suppresses boxes behind the network, as edgekit's metadata have it."""
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), "{}")
    try:
        return endings_of(json.loads(text)["provenance"])
    except (KeyError, ValueError, TypeError):
        return ()


def _metadata(model: onnx.ModelProto, path: Path) -> Metadata | None:
    text = next((entry.value for entry in model.metadata_props if entry.key == KEY), None)
    try:
        return None if text is None else Metadata.from_json(text)
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(f"{path} was written by another version of edgekit: export it again") from error


class Census:
    """What computes in what.

    Attributes:
        constants: by name.
        folded: what operators make of constants alone, which is done once.
        operators: nodes that neither are constants nor make some of others, nor convert between reals and integers, nor
            stand before that of the input, nor make probabilities of logits, nor suppress boxes.
        readers: the nodes that read a value, by its name.
        types: of the values by name, as far as the onnx package can tell.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.constants = {initializer.name: initializer for initializer in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t
        self.folded: set[str] = set()
        for node in graph.node:
            if node.input and all(name in self.constants or name in self.folded for name in node.input if name):
                self.folded.update(node.output)
        self._endings = _endings(model)
        self._conversions = [node for node in graph.node if node.op_type in CONVERSIONS]
        self._makers = {output: node for node in graph.node for output in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        ends = {value.name for value in graph.output}
        self._heads = [n.output[0] for n in graph.node if n.op_type in _HEADS and {n.input[0], n.output[0]} <= ends]
        given = [value.name for value in graph.input if value.name not in self.constants]
        self._aligned = self._aligning(given[0]) if given else []
        self.operators = [
            node
            for node in graph.node
            if node.op_type not in {*CONVERSIONS, "Constant"}
            and node.output[0] not in self.folded.union(self._aligned, self._heads)
            and not self.is_of_ending(node)
        ]
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = (*inferred.value_info, *inferred.input, *inferred.output)
        self.types = {value.name: value.type.tensor_type.elem_type for value in values}
        self._interpolated = frozenset(self._interpolating(graph))
        self._ends = {*self._aligned, *(value.name for value in (*graph.input, *graph.output))}

    def is_boundary(self, node: onnx.NodeProto) -> bool:
        """Whether it converts an input or output of the file, takes the input there, or makes one output of another.

        What suppresses boxes is there, too.
        """
        converts = node.op_type in CONVERSIONS and bool({node.input[0], node.output[0]} & self._ends)
        return converts or node.output[0] in (*self._aligned, *self._heads) or self.is_of_ending(node)

    def is_of_ending(self, node: onnx.NodeProto) -> bool:
        """Whether it is part of what suppresses boxes behind the network."""
        return any(ending.makes(node.output[0]) for ending in self._endings)

    def is_float(self, node: onnx.NodeProto) -> bool:
        """Whether an operator computes in float.

        It computes in integers if

        1. its result is an integer: ConvInteger, QLinearConv, or a move of stored values, or
        2. it is a float operator that a runtime fuses into an integer kernel: everything it reads comes from
           DequantizeLinear, and its result goes to QuantizeLinear and nowhere else, a fused clamp in between allowed,
        3. or it interpolates integers as they are stored: Cast, Resize, Add of a constant, and Cast to integers again.
        """
        dtype = self.types.get(node.output[0], TensorProto.UNDEFINED)
        if dtype == TensorProto.UNDEFINED:  # an operator of a domain that the onnx package does not know
            return not node.op_type.startswith("QLinear")
        if dtype not in FLOATS or node.output[0] in self._interpolated:
            return False
        return not (self._comes_from_integers(node) and self._goes_to_integers(node))

    def _interpolating(self, graph: onnx.GraphProto) -> Iterator[str]:
        """What stands between the casts of integers that are interpolated: Cast, Resize, Add of a number, and Cast."""
        for resize in (node for node in graph.node if node.op_type == "Resize"):
            maker, more = self._makers.get(resize.input[0]), self._only_reader(resize)
            back = None if more is None else self._only_reader(more)
            if maker is None or more is None or back is None or len(self.readers[maker.output[0]]) > 1:
                continue
            ends = [self.types.get(maker.input[0]), self.types.get(back.output[0])]
            adds_number = any(name in self.constants for name in more.input)
            kinds = (maker.op_type, more.op_type, back.op_type)
            if adds_number and kinds == ("Cast", "Add", "Cast") and all(end in _STORED for end in ends):
                yield from (maker.output[0], resize.output[0], more.output[0])

    def _only_reader(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        readers = self.readers.get(node.output[0], [])
        return readers[0] if len(readers) == 1 else None

    def _aligning(self, name: str) -> list[str]:
        """What is made of the input ``name`` before it is quantized: by a sum or product with constants, if at all."""
        made: list[str] = []
        while len(readers := self.readers.get(name, [])) == 1:
            (reader,) = readers
            if reader.op_type == _QUANTIZE:
                return made
            if reader.op_type not in _ALIGNING or any(n != name and n not in self.constants for n in reader.input):
                break
            name = reader.output[0]
            made.append(name)
        return []

    def endpoint(self, value: onnx.ValueInfoProto) -> Endpoint:
        """An input or output, with its quantization parameters."""
        tensor_type = value.type.tensor_type
        dtype = TensorProto.DataType.Name(tensor_type.elem_type).lower()
        shape = tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor_type.shape.dim)
        scale = zero_point = None
        for node in self._conversions:
            stored = node.output[0] if node.op_type == _QUANTIZE else node.input[0]
            if stored == value.name and all(name in self.constants for name in node.input[1:3]):
                scale, zero_point = (numpy_helper.to_array(self.constants[name]).item() for name in node.input[1:3])
        return Endpoint(value.name, {"float": "float32"}.get(dtype, dtype), shape, scale, zero_point)

    def _comes_from_integers(self, node: onnx.NodeProto) -> bool:
        return all(self._is_restored(name, node) for name in node.input if name)

    def _is_restored(self, name: str, reader: onnx.NodeProto) -> bool:
        """Whether ``reader`` reads reals here that were integers, or something else than reals."""
        if name in self.constants:  # the bounds of a clamp may be real, weights may not
            return reader.op_type in CLAMPS or self.constants[name].data_type not in FLOATS
        maker = self._makers.get(name)
        if maker is None:
            return False
        return maker.op_type == _DEQUANTIZE or (reader.op_type in CLAMPS and self._comes_from_integers(maker))

    def _goes_to_integers(self, node: onnx.NodeProto) -> bool:
        readers = self.readers.get(node.output[0], [])
        if not readers or node.output[0] in self._ends:
            return False
        clamp = readers[0] if len(readers) == 1 and readers[0].op_type in CLAMPS else None
        return all(r.op_type == _QUANTIZE for r in readers) or (clamp is not None and self._goes_to_integers(clamp))
