"""Opens a finished package and takes its program apart, trusting nothing that the writer knew.

``read_program`` gives a value that an interpreter can walk: operations in order, each with its arguments by parameter,
constants decoded. Operations that only hold a constant are gone; those that compute one (``constexpr_…``) are left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from edgekit import extras
from edgekit.errors import ArtifactError
from edgekit.exporters.coreml import package
from edgekit.exporters.coreml.blobs import BlobError, read_blob
from edgekit.exporters.coreml.builder import FUNCTION
from edgekit.exporters.coreml.schema import schema
from edgekit.exporters.metadata import KEY
from edgekit.suppression import endings_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edgekit.suppression import Ending

# Where a message keeps the elements of a small constant; types that are not here are kept as bytes.
_FIELDS: Final = {"float32": "floats", "float64": "doubles", "int32": "ints", "int64": "longInts", "bool": "bools"}
_BYTES: Final = frozenset({"float16", "int8", "uint8"})


@dataclass(frozen=True, slots=True)
class ValueType:
    """What a value is.

    Attributes:
        dtype: in numpy's words, or "string" or "dictionary".
        shape: with the batch; -1 where it is free.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """An argument that is an input of the program, or what an earlier operation made."""

    name: str


# Arrays (also of rank 0) are constants, strings too; a tuple is a list of arguments.
Argument: TypeAlias = "Reference | NDArray[Any] | str | tuple[Argument, ...]"


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Operation:
    """One operation.

    Attributes:
        operator: its type ("conv").
        arguments: by parameter.
        outputs: names and types of what it makes, in order.
    """

    operator: str
    arguments: Mapping[str, Argument]
    outputs: Mapping[str, ValueType]

    @property
    def output(self) -> str:
        """The name of the first thing that it makes."""
        return next(iter(self.outputs))

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the values that other operations or the caller provide."""
        listed = (value if isinstance(value, tuple) else (value,) for value in self.arguments.values())
        return tuple(value.name for values in listed for value in values if isinstance(value, Reference))

    def source(self, parameter: str) -> str:
        """The name of the value that an argument is.

        Raises:
            ArtifactError: it is missing, or a constant.
        """
        value = self.arguments.get(parameter)
        if not isinstance(value, Reference):
            raise ArtifactError(f"operation {self.output!r} ({self.operator}) has no variable {parameter!r}")
        return value.name

    def array(self, parameter: str) -> NDArray[Any]:
        """A constant argument.

        Raises:
            ArtifactError: it is missing, or no constant.
        """
        value = self.arguments.get(parameter)
        if not isinstance(value, np.ndarray):
            raise ArtifactError(f"operation {self.output!r} ({self.operator}) has no constant {parameter!r}")
        return value


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Program:
    """The function of a package.

    Attributes:
        opset: its operators' version ("CoreML7").
        inputs: names and types.
        operations: in the order of execution.
        outputs: names of the values that it returns.
    """

    opset: str
    inputs: Mapping[str, ValueType]
    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]

    def types(self) -> dict[str, ValueType]:
        """The type of each value."""
        made = {name: value for operation in self.operations for name, value in operation.outputs.items()}
        return {**self.inputs, **made}

    def producers(self) -> dict[str, Operation]:
        """Which operation makes each value; inputs have none."""
        return {name: operation for operation in self.operations for name in operation.outputs}

    def consumers(self) -> dict[str, list[Operation]]:
        """Which operations read each value."""
        readers: dict[str, list[Operation]] = {name: [] for name in self.inputs}
        readers |= {name: [] for operation in self.operations for name in operation.outputs}
        for operation in self.operations:
            for name in operation.reads:
                readers[name].append(operation)
        return readers


@dataclass(frozen=True, slots=True)
class Feature:
    """An input or output as a caller sees it.

    Attributes:
        name: in the file.
        type: what it is; the dtype "image" stands for 8-bit pixels.
        description: one sentence for people.
    """

    name: str
    type: ValueType
    description: str


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single truth value
class Model:
    """A package, read.

    Attributes:
        specification: version of the file format.
        program: its function.
        inputs: what it takes.
        outputs: what it gives.
        user_defined: metadata by key.
        message: the Model message of the program, from protobuf.
        whole: that of the package: the same, or a pipeline of the program and of what suppresses boxes.
        suppressions: the Model messages of the latter.
        blobs: the weights files, and where in each the arrays are that the program reads.
    """

    specification: int
    program: Program
    inputs: tuple[Feature, ...]
    outputs: tuple[Feature, ...]
    user_defined: Mapping[str, str]
    message: Any
    whole: Any
    suppressions: tuple[Any, ...]
    blobs: Mapping[str, tuple[bytes, tuple[int, ...]]]

    @property
    def endings(self) -> tuple[Ending, ...]:
        """What suppresses boxes behind the program, as edgekit's metadata have it."""
        try:
            return endings_of(json.loads(self.user_defined.get(KEY, "{}"))["provenance"])
        except (KeyError, ValueError, TypeError):
            return ()

    @property
    def given(self) -> tuple[Feature, ...]:
        """What callers get; and, where boxes are suppressed, the boxes and scores of which that leaves some."""
        if not self.suppressions:
            return self.outputs
        read = {name for ending in self.endings for name in (ending.boxes, ending.scores)}
        outer = (_feature(feature, {}) for feature in self.whole.description.output)
        return (*outer, *(feature for feature in self.outputs if feature.name in read))


def read_program(path: Path) -> Program:
    """The program of a package.

    Raises:
        ArtifactError: as ``read_model``.
        MissingDependency: coremltools is not installed.
    """
    return read_model(path).program


def read_model(path: Path) -> Model:
    """Everything that a package says.

    Raises:
        ArtifactError: it is missing, damaged, no ML program, or holds something that edgekit does not read.
        MissingDependency: coremltools is not installed.
    """
    opened = package.open_package(path)
    whole = schema().model.Model()
    try:
        whole.ParseFromString(opened.model)
        message, *suppressions = whole.pipeline.models if whole.WhichOneof("Type") == "pipeline" else [whole]
        if any(other.WhichOneof("Type") != "nonMaximumSuppression" for other in suppressions):
            raise _UnreadableError("it is a pipeline of other models than a program and what suppresses boxes")
        if message.WhichOneof("Type") != "mlProgram" or FUNCTION not in message.mlProgram.functions:
            raise _UnreadableError("it is not an ML program with one function")
        decoder = _Decoder(opened)
        program = decoder.program(message.mlProgram.functions[FUNCTION])
    except (ValueError, IndexError, _decode_error()) as error:
        raise ArtifactError(f"{path} is damaged, or was not written by edgekit: {error}") from error
    return Model(
        specification=whole.specificationVersion,
        program=program,
        inputs=tuple(_feature(feature, program.inputs) for feature in message.description.input),
        outputs=tuple(_feature(feature, {}) for feature in message.description.output),
        user_defined=dict(whole.description.metadata.userDefined),
        message=message,
        whole=whole,
        suppressions=tuple(suppressions),
        blobs=decoder.blobs(),
    )


class _UnreadableError(ValueError):
    """A message is well-formed and says something that this reader does not know."""


def _decode_error() -> type[Exception]:
    # protobuf comes with coremltools, which is optional, and has no type information
    error: type[Exception] = extras.load("google.protobuf.message", "coreml").DecodeError
    return error


class _Decoder:
    """Turns messages into values."""

    def __init__(self, opened: package.Package) -> None:
        self._opened = opened
        self._mil = schema().mil
        self._files: dict[str, bytes] = {}
        self._offsets: dict[str, list[int]] = {}
        self._constants: dict[str, Argument] = {}

    def program(self, function: Any) -> Program:  # noqa: ANN401 - a protobuf message
        if function.opset not in function.block_specializations:
            raise _UnreadableError(f"it has no program for its own opset {function.opset!r}")
        block = function.block_specializations[function.opset]
        inputs = {value.name: self._type(value.type) for value in function.inputs}
        operations = []
        known = set(inputs)
        for message in block.operations:
            if message.blocks:
                raise _UnreadableError(f"{message.type} holds a program of its own, which edgekit does not read")
            if message.type == "const":
                self._constants[message.outputs[0].name] = self._literal(message.attributes["val"])
                continue
            operation = self._operation(message)
            unknown = set(operation.reads) - known
            if unknown or not operation.outputs:
                raise _UnreadableError(f"{message.type} reads {sorted(unknown)}, which nothing makes")
            known |= set(operation.outputs)
            operations.append(operation)
        if not block.outputs or not known.issuperset(block.outputs):
            raise _UnreadableError(f"nothing makes its outputs {list(block.outputs)}")
        return Program(function.opset, inputs, tuple(operations), tuple(block.outputs))

    def blobs(self) -> dict[str, tuple[bytes, tuple[int, ...]]]:
        """The weights files that were read, and where in each."""
        return {name: (data, tuple(sorted(set(self._offsets[name])))) for name, data in self._files.items()}

    def _operation(self, message: Any) -> Operation:  # noqa: ANN401 - a protobuf message
        # Constant expressions of iOS 16 and 17 keep their arguments as attributes.
        arguments = {key: self._literal(value) for key, value in message.attributes.items() if key != "name"}
        for parameter, argument in message.inputs.items():
            bound = tuple(self._binding(binding) for binding in argument.arguments)
            arguments[parameter] = bound[0] if len(bound) == 1 else bound
        outputs = {value.name: self._type(value.type) for value in message.outputs}
        return Operation(message.type, arguments, outputs)

    def _binding(self, binding: Any) -> Argument:  # noqa: ANN401 - a protobuf message
        if binding.WhichOneof("binding") == "value":
            return self._literal(binding.value)
        return self._constants.get(binding.name, Reference(binding.name))

    def _type(self, message: Any) -> ValueType:  # noqa: ANN401 - a protobuf message
        match message.WhichOneof("type"):
            case "tensorType":
                tensor = message.tensorType
                sizes = (d.constant.size if d.WhichOneof("dimension") == "constant" else -1 for d in tensor.dimensions)
                return ValueType(self._mil.DataType.Name(tensor.dataType).lower(), tuple(sizes))
            case "dictionaryType":
                return ValueType("dictionary", ())
            case kind:
                raise _UnreadableError(f"a value is a {kind}, which edgekit does not read")

    def _literal(self, message: Any) -> Argument:  # noqa: ANN401 - a protobuf message
        if message.type.WhichOneof("type") == "listType":
            return tuple(self._literal(value) for value in message.immediateValue.list.values)
        value_type = self._type(message.type)
        if message.WhichOneof("value") == "blobFileValue":
            name, offset = message.blobFileValue.fileName, message.blobFileValue.offset
            data = self._file(name)
            self._offsets.setdefault(name, []).append(offset)
            return read_blob(data, offset, value_type.dtype, value_type.shape)
        tensor = message.immediateValue.tensor
        if value_type.dtype == "string":
            texts = tuple(tensor.strings.values)
            return texts if value_type.shape else texts[0]
        if value_type.dtype in _BYTES:
            return np.frombuffer(tensor.bytes.values, value_type.dtype).reshape(value_type.shape)
        if value_type.dtype not in _FIELDS:
            raise _UnreadableError(f"a constant is of type {value_type.dtype}, which edgekit does not read")
        elements = getattr(tensor, _FIELDS[value_type.dtype]).values
        return np.array(elements, value_type.dtype).reshape(value_type.shape)

    def _file(self, name: str) -> bytes:
        if name not in self._files:
            relative = name.removeprefix("@model_path/")
            try:
                self._files[name] = (self._opened.folder / relative).read_bytes()
            except OSError as error:
                raise BlobError(f"its weights file {relative} cannot be read") from error
        return self._files[name]


def _feature(message: Any, inputs: Mapping[str, ValueType]) -> Feature:  # noqa: ANN401 - a protobuf message
    match message.type.WhichOneof("Type"):
        case "imageType":
            image = message.type.imageType
            shape = inputs[message.name].shape if message.name in inputs else (1, -1, image.height, image.width)
            value_type = ValueType("image", shape)
        case "multiArrayType":
            array = message.type.multiArrayType
            name: str = schema().features.ArrayFeatureType.ArrayDataType.Name(array.dataType)
            value_type = ValueType(name.lower(), tuple(array.shape))
        case kind:
            value_type = ValueType(str(kind).removesuffix("Type"), ())
    return Feature(message.name, value_type, message.shortDescription)
