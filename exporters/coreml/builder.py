"""Builds a program of the Model Intermediate Language, operation by operation.

Messages look as coremltools writes them, because those are known to compile: each constant is an operation of its own,
arrays of ten and more 8-bit or floating point numbers lie in the weights file, and every operation carries its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from edgekit.exporters.coreml import blobs
from edgekit.exporters.coreml.blobs import BlobWriter
from edgekit.exporters.coreml.package import WEIGHTS_REFERENCE
from edgekit.exporters.coreml.reals import to_scale, to_weights
from edgekit.exporters.coreml.schema import schema
from edgekit.exporters.origins import Recorder
from edgekit.ir.naming import Names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edgekit.quantization import QuantParams

FUNCTION: Final = "main"
_IN_FILE_FROM_SIZE: Final = 10  # should_use_weight_file in coremltools/converters/mil/backend/mil/load.py


@dataclass(frozen=True, slots=True)
class Value:
    """Something that an operation makes or reads.

    Attributes:
        name: unique in the program.
        dtype: in numpy's words, or "string".
        shape: with the batch.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


Argument: TypeAlias = "Value | NDArray[Any] | np.generic | Sequence[int] | str | bool | int"
Binding: TypeAlias = "Argument | list[Value]"  # a list is what an operator reads any number of


class ProgramBuilder:
    """A program with one function, in the making."""

    def __init__(self, dtype: str, taken: Iterable[str]) -> None:
        """``dtype`` is what its operators compute in; names in ``taken`` are given to values by the caller."""
        self.dtype = dtype
        self.weights = BlobWriter()
        self.origins = Recorder()  # of operations, but for those that only hold a constant
        self._names = Names(taken)
        self._mil = schema().mil
        self._block = self._mil.Block()
        self._inputs: list[Value] = []

    def value(self, name: str, shape: tuple[int, ...], dtype: str | None = None) -> Value:
        """A value that nothing else is named like, of the program's type unless ``dtype`` says another."""
        return Value(self._names.unique(name), dtype or self.dtype, shape)

    def input(self, value: Value) -> Value:
        """Declare an input of the function."""
        self._inputs.append(value)
        return value

    def add(self, operator: str, output: Value, **arguments: Binding) -> Value:
        """Append an operation that makes ``output``; an argument that is no Value becomes a constant."""
        bindings = {parameter: self._bound(output, parameter, argument) for parameter, argument in arguments.items()}
        operation = self._operation(operator, output)
        self.origins.add()
        for parameter, names in bindings.items():
            for name in names:
                operation.inputs[parameter].arguments.add().name = name
        return output

    def constant(self, output: Value, array: NDArray[Any]) -> Value:
        """Append a constant that has a name of its own."""
        self._operation("const", output).attributes["val"].CopyFrom(self._literal(array))
        return output

    def int8_constant(self, name: str, stored: NDArray[np.int8], params: QuantParams) -> Value:
        """Append a constant whose reals are computed of int8 when a program is loaded.

        Args:
            name: of the reals.
            stored: the integers, [O, ...].
            params: one scale, or one a channel of the first axis.

        Raises:
            ConfigError: a scale is none in the program's type.
        """
        stored, real = to_weights(stored, params.scale, self.dtype)
        scale = to_scale(real, self.dtype, name)
        return self.constant_expression(
            "constexpr_affine_dequantize",
            Value(name, self.dtype, stored.shape),
            quantized_data=stored,
            zero_point=np.full(scale.shape, params.zero_point, np.int8),  # one a scale, as coremltools writes them
            scale=scale,
            axis=0,
        )

    def constant_expression(self, operator: str, output: Value, **arguments: Argument) -> Value:
        """Append one of the ``constexpr`` operations of iOS 16 and 17, whose arguments are attributes."""
        operation = self._operation(operator, output)
        self.origins.add()
        for parameter, argument in arguments.items():
            assert not isinstance(argument, Value)
            operation.attributes[parameter].CopyFrom(self._literal(argument))
        return output

    def classify(self, scores: Value, labels: Sequence[str], label: str, dictionary: str) -> None:
        """Append the operation that names the best class, and gives the scores of all by their labels."""
        operation = self._block.operations.add(type="classify")
        self.origins.add()
        operation.attributes["name"].CopyFrom(self._literal(self._names.unique("classify")))
        operation.inputs["probabilities"].arguments.add().name = scores.name
        literal = operation.inputs["classes"].arguments.add().value
        literal.type.listType.type.CopyFrom(self._tensor_type("string", ()))
        literal.type.listType.length.constant.size = len(labels)
        for text in labels:
            literal.immediateValue.list.values.add().CopyFrom(self._literal(text))
        operation.outputs.add(name=label, type=self._tensor_type("string", ()))
        scores_type = operation.outputs.add(name=dictionary).type.dictionaryType
        scores_type.keyType.CopyFrom(self._tensor_type("string", ()))
        scores_type.valueType.CopyFrom(self._tensor_type("float64", ()))

    def program(self, outputs: Sequence[str], opset: str) -> Any:  # noqa: ANN401 - a protobuf message
        """The finished MILSpec.Program, whose function returns ``outputs``."""
        program = self._mil.Program(version=1)
        function = program.functions[FUNCTION]
        function.opset = opset
        for value in self._inputs:
            function.inputs.add(name=value.name, type=self._tensor_type(value.dtype, value.shape))
        self._block.outputs.extend(outputs)
        function.block_specializations[opset].CopyFrom(self._block)
        return program

    def _bound(self, output: Value, parameter: str, argument: Binding) -> list[str]:
        """The names of what is bound to a parameter."""
        if isinstance(argument, list):
            return [value.name for value in argument]
        return [argument.name if isinstance(argument, Value) else self._constant(output, parameter, argument)]

    def _operation(self, operator: str, output: Value) -> Any:  # noqa: ANN401 - a protobuf message
        operation = self._block.operations.add(type=operator)
        operation.attributes["name"].CopyFrom(self._literal(output.name))
        operation.outputs.add(name=output.name, type=self._tensor_type(output.dtype, output.shape))
        return operation

    def _constant(self, owner: Value, parameter: str, argument: Argument) -> str:
        literal = self._literal(argument)
        name = self._names.unique(f"{owner.name}_{parameter}")
        operation = self._block.operations.add(type="const")
        operation.attributes["name"].CopyFrom(self._literal(name))
        operation.attributes["val"].CopyFrom(literal)
        operation.outputs.add(name=name, type=literal.type)
        return name

    def _tensor_type(self, dtype: str, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 - a protobuf message
        value_type = self._mil.ValueType()
        value_type.tensorType.dataType = self._mil.DataType.Value(dtype.upper())
        value_type.tensorType.rank = len(shape)
        for size in shape:
            value_type.tensorType.dimensions.add().constant.size = size
        return value_type

    def _literal(self, argument: Argument) -> Any:  # noqa: ANN401 - a protobuf message
        value = self._mil.Value()
        if isinstance(argument, str):
            value.type.CopyFrom(self._tensor_type("string", ()))
            value.immediateValue.tensor.strings.values.append(argument)
            return value
        array = _array(argument)
        dtype = array.dtype.name
        value.type.CopyFrom(self._tensor_type(dtype, array.shape))
        if dtype in blobs.DATA_TYPES and array.size >= _IN_FILE_FROM_SIZE:
            value.blobFileValue.fileName = WEIGHTS_REFERENCE
            value.blobFileValue.offset = self.weights.add(array)
            return value
        tensor = value.immediateValue.tensor
        match dtype:
            case "float32":
                tensor.floats.values.extend(array.ravel().tolist())
            case "int32":
                tensor.ints.values.extend(array.ravel().tolist())
            case "bool":
                tensor.bools.values.extend(array.ravel().tolist())
            case _:  # float16, int8 and uint8 are kept as bytes
                tensor.bytes.values = array.tobytes()
        return value


def _array(argument: Argument) -> NDArray[Any]:
    """An argument as an array; Python's integers are int32, the only integers that parameters have."""
    array = np.asarray(argument)
    return array.astype(np.int32) if array.dtype == np.int64 else array
