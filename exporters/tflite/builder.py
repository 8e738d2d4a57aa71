"""A TFLite model under construction: tensors, buffers and operators by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.tflite import schema as tflite_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.ir import Graph, Tensor
    from edgekit.quantization import QuantParams

_TYPES = {"float32": "FLOAT32", "float16": "FLOAT16", "int8": "INT8", "uint8": "UINT8", "int32": "INT32"}


def nhwc(tensor: Tensor) -> tuple[int, ...]:
    """The shape of an activation in the file, with a batch of 1: [1, H, W, C] or [1, C]."""
    if len(tensor.shape) == 1:
        return (1, *tensor.shape)
    channels, height, width = tensor.shape
    return (1, height, width, channels)


class TfliteBuilder:
    """Collects what a graph needs; ``finish`` packs it.

    Attributes:
        graph: what is written.
        params: quantization parameters by name; empty for a float model.
        half: store float constants in float16.
    """

    def __init__(self, graph: Graph, params: Mapping[str, QuantParams], *, half: bool = False) -> None:
        self.schema = tflite_schema.load()
        self.graph, self.params, self.half = graph, params, half
        self.buffers = [tflite_schema.aligned_buffer(self.schema, None)]  # buffer 0 is empty by definition
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[tuple[int, int]] = []  # (builtin operator, version)
        self._indices: dict[str, int] = {}

    def activation(self, name: str) -> int:
        """The index of an activation of the graph."""
        if name not in self._indices:
            params = self.params.get(name)
            dtype = "float32" if params is None else "int8"
            self._indices[name] = self.tensor(name, nhwc(self.graph.tensors[name]), dtype, params)
        return self._indices[name]

    def weight(self, name: str, values: NDArray[Any], channel_axis: int) -> int:
        """A weight in TFLite's layout, quantized along ``channel_axis`` if the model is an integer one."""
        params = self.params.get(name)
        if params is not None:
            return self.tensor(name, values.shape, "int8", params, channel_axis, data=values)
        return self._float_constant(name, values)

    def bias(self, name: str, source: str, weight: str) -> int:
        """A bias; in an integer model its scale is the product of those of ``source`` and ``weight``."""
        values = self.graph.constants[name]
        if weight not in self.params:
            return self._float_constant(name, values)
        from edgekit.quantization import QuantParams  # noqa: PLC0415

        params = QuantParams(self.params[source].scale * self.params[weight].scale)
        return self.tensor(name, values.shape, "int32", params, 0, data=values)

    def operand(self, name: str) -> int:
        """A constant of one element that an elementwise operator reads."""
        values = self.graph.constants[name]
        if name in self.params:
            return self.tensor(name, values.shape, "int8", self.params[name], data=values)
        return self._float_constant(name, values)

    def integers(self, name: str, values: Sequence[Any]) -> int:
        """An int32 constant such as axes or paddings."""
        array = np.array(values, np.int32)
        return self.tensor(name, array.shape, "int32", data=array)

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        params: QuantParams | None = None,
        axis: int = 0,
        data: NDArray[Any] | None = None,
    ) -> int:
        """Append a tensor and return its index."""
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape = name, list(shape)
        tensor.type = getattr(self.schema.TensorType, _TYPES[dtype])
        tensor.hasRank = True
        if params is not None:
            quantization = self.schema.QuantizationParametersT()
            quantization.scale = params.scale
            quantization.zeroPoint = np.full(params.scale.size, params.zero_point, np.int64)
            quantization.quantizedDimension = axis if params.scale.size > 1 else 0
            tensor.quantization = quantization
        if data is None:
            tensor.buffer = 0
        else:
            tensor.buffer = len(self.buffers)
            self.buffers.append(tflite_schema.aligned_buffer(self.schema, data))
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(
        self, builtin: str, version: int, inputs: Sequence[int], output: int, options: tuple[str, Mapping[str, Any]] | None = None
    ) -> None:
        """Append an operator.

        Args:
            builtin: its name in the schema's BuiltinOperator.
            version: the lowest that covers what is asked of it, from tflite/tools/versioning/op_version.cc.
            inputs: tensor indices.
            output: tensor index.
            options: the name of the options table and its fields.
        """
        code = (getattr(self.schema.BuiltinOperator, builtin), version)
        if code not in self.codes:
            self.codes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs, operator.outputs = list(inputs), [output]
        if options is not None:
            table, fields = options
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(self.schema, f"{table}T")()
            for key, value in fields.items():
                assert hasattr(operator.builtinOptions, key), f"{table} has no {key}"
                setattr(operator.builtinOptions, key, value)
        self.operators.append(operator)

    def finish(self, inputs: Sequence[int], outputs: Sequence[int], metadata: Mapping[str, bytes]) -> bytes:
        """The packed file.

        Args:
            inputs: indices of the input tensors.
            outputs: indices of the output tensors.
            metadata: buffers by name.
        """
        import flatbuffers  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with ai-edge-litert

        schema = self.schema
        model, subgraph = schema.ModelT(), schema.SubGraphT()
        subgraph.name, subgraph.tensors, subgraph.operators = self.graph.name, self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = list(inputs), list(outputs)
        model.version, model.description, model.subgraphs = tflite_schema.VERSION, "edgekit", [subgraph]
        model.operatorCodes = [self._operator_code(*code) for code in self.codes]
        model.signatureDefs = [self._signature(inputs, outputs)]
        model.metadata = []
        for name, data in metadata.items():
            entry = schema.MetadataT()
            entry.name, entry.buffer = name, len(self.buffers)
            self.buffers.append(tflite_schema.aligned_buffer(schema, np.frombuffer(data, np.uint8)))
            model.metadata.append(entry)
        model.buffers = self.buffers
        constants = sum(array.nbytes for array in self.graph.constants.values())
        builder = flatbuffers.Builder(constants + 2**18)  # room for everything, so that it never has to grow
        builder.Finish(model.Pack(builder), file_identifier=tflite_schema.FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _float_constant(self, name: str, values: NDArray[Any]) -> int:
        if not self.half:
            return self.tensor(name, values.shape, "float32", data=values.astype(np.float32))
        # TFLite's float16 models store halves and convert them when the model is prepared.
        stored = self.tensor(f"{name}.float16", values.shape, "float16", data=values.astype(np.float16))
        index = self.tensor(name, values.shape, "float32")
        self.operator("DEQUANTIZE", 3, [stored], index)
        return index

    def _operator_code(self, builtin: int, version: int) -> Any:  # noqa: ANN401 - generated classes
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        code.deprecatedBuiltinCode = min(builtin, 127)  # schema.fbs: PLACEHOLDER_FOR_GREATER_OP_CODES
        return code

    def _signature(self, inputs: Sequence[int], outputs: Sequence[int]) -> Any:  # noqa: ANN401 - generated classes
        signature = self.schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs = [self._named(index, "image") for index in inputs]
        signature.outputs = [self._named(index, "logits") for index in outputs]
        return signature

    def _named(self, index: int, name: str) -> Any:  # noqa: ANN401 - generated classes
        entry = self.schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        return entry
