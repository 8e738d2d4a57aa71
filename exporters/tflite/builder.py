"""A TFLite model under construction: tensors, buffers and operators by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.names import public_names
from edgekit.exporters.origins import Recorder
from edgekit.exporters.tflite import schema as tflite_schema
from edgekit.exporters.tflite import signatures
from edgekit.ir import IMAGE
from edgekit.quantization import QuantParams

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.exporters.tflite.versions import Release
    from edgekit.ir import Graph

_RUNTIME_ENTRY = "min_runtime_version"  # tflite/tools/versioning/runtime_version.cc
_RUNTIME_ENTRY_BYTES = 16  # the same file: a fixed size, filled up with zeros


def inner_name(name: str, public: Collection[str]) -> str:
    """What a tensor is called that callers do not see: networks of other tools may have one called as an endpoint is.

    >>> inner_name("image", {"image", "logits"}), inner_name("features.0", {"image", "logits"})
    ('image.inner', 'features.0')
    """
    return f"{name}.inner" if name in public else name


class TfliteBuilder:
    """Collects what a graph needs; ``finish`` packs it.

    Tensors bear the names of the graph, but for those that are endpoints of the file themselves.

    Attributes:
        graph: what is written.
        params: quantization parameters by name; empty for a float model.
        endpoints: names in the file, by names in the graph, of the tensors that callers see as they are.
        batch: how many images the file takes at once. With 1 it can be resized to any other.
        half: store float constants in float16.
        grids: scales of weights that a float file stores in int8, by name.
        dynamic: of them, those that layers read as they are stored: such a layer quantizes its input.
        origins: of the operators that are written.
        heads: indices of the outputs of each head that has a signature, by its name.
    """

    def __init__(  # noqa: PLR0913 - what is written, and how its numbers are stored
        self,
        graph: Graph,
        params: Mapping[str, QuantParams],
        endpoints: Mapping[str, str],
        *,
        batch: int = 1,
        half: bool = False,
        grids: Mapping[str, QuantParams] | None = None,
        dynamic: Collection[str] = (),
    ) -> None:
        self.schema = tflite_schema.load()
        self.graph, self.params, self.endpoints, self.half = graph, params, endpoints, half
        self.batch, self.grids, self.dynamic = batch, grids or {}, dynamic
        self.buffers = [tflite_schema.aligned_buffer(self.schema, None)]  # buffer 0 is empty by definition
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.origins = Recorder()
        self.heads: dict[str, list[int]] = {}
        self.codes: list[tuple[str, int]] = []  # (operator, version)
        self._indices: dict[str, int] = {}
        self._public = set(public_names(graph).values())

    def activation(self, name: str) -> int:
        """The index of an activation of the graph."""
        if name not in self._indices:
            params, shape = self.params.get(name), self.shape(name)
            inner = inner_name(name, self._public)
            self._indices[name] = self.tensor(self.endpoints.get(name, inner), shape, self.dtype(name), params)
        return self._indices[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an activation in the file: [N, H, W, C] of an image, and any other's as it is."""
        tensor = self.graph.tensors[name]
        if not tensor.is_image:
            return (self.batch, *tensor.shape)
        channels, height, width = tensor.shape
        return (self.batch, height, width, channels)

    def order(self, name: str) -> tuple[int, ...]:
        """The axes of an activation of the graph in the order of the file, the batch not counted."""
        tensor = self.graph.tensors[name]
        return (1, 2, 0) if tensor.is_image else tuple(range(len(tensor.shape)))

    def dtype(self, name: str) -> str:
        """The type of an activation of the graph."""
        if self.graph.tensors[name].is_mask:
            return "int32"
        return np.dtype(self.params[name].dtype).name if name in self.params else "float32"

    def weight(self, name: str, values: NDArray[Any], channel_axis: int) -> int:
        """A weight in TFLite's layout, quantized along ``channel_axis`` if the model or the file stores integers."""
        if name in self.grids:
            return self._on_grid(name, values, channel_axis)
        if name not in self.params:
            return self._float_constant(name, values)
        return self.constant(name, values, self.params[name], channel_axis)

    def bias(self, name: str, source: str, weight: str) -> int:
        """A bias; in an integer model its scale is the product of those of ``source`` and ``weight``.

        16-bit activations want 64 bits (tensorflow/lite/kernels/conv.cc: quantized_bias_type).
        """
        values = self.graph.constants[name]
        if weight not in self.params:
            return self._float_constant(name, values)
        values = values.astype(np.int64) if self.params[source].bits == 16 else values
        return self.constant(name, values, QuantParams(self.params[source].scale * self.params[weight].scale))

    def operand(self, name: str) -> int:
        """What an elementwise operator reads: an activation, or a constant of one element or one's axes."""
        if name in self.graph.tensors:
            return self.activation(name)
        values = self.graph.constants[name]
        if values.ndim == len(IMAGE) - 1:
            values = np.ascontiguousarray(values.transpose(1, 2, 0))  # channels last, as in everything here
        return (
            self.constant(name, values, self.params[name])
            if name in self.params
            else self._float_constant(name, values)
        )

    def integers(self, name: str, values: Sequence[Any]) -> int:
        """An int32 constant such as axes or paddings."""
        return self.constant(name, np.array(values, np.int32))

    def constant(self, name: str, values: NDArray[Any], params: QuantParams | None = None, axis: int = 0) -> int:
        """Append a constant of the type of ``values`` and return its index; ``axis`` is that of several scales."""
        index = self.tensor(name, values.shape, values.dtype.name, params)
        if params is not None and params.scale.size > 1:
            self.tensors[index].quantization.quantizedDimension = axis
        self.tensors[index].buffer = self._buffer(values)
        return index

    def tensor(self, name: str, shape: Sequence[int], dtype: str, params: QuantParams | None = None) -> int:
        """Append a tensor and return its index.

        Args:
            name: in the file.
            shape: in TFLite's layout.
            dtype: as numpy calls it.
            params: quantization parameters, if it has any.
        """
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.hasRank = name, list(shape), True
        tensor.type = getattr(self.schema.TensorType, dtype.upper())
        if params is not None:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = params.scale
            tensor.quantization.zeroPoint = np.full(params.scale.size, params.zero_point, np.int64)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(
        self,
        builtin: str,
        version: int,
        inputs: Sequence[int],
        output: int | tuple[int, ...],
        options: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Append an operator of TFLite's own.

        Args:
            builtin: its name in the schema's BuiltinOperator.
            version: the lowest that covers what is asked of it, from tflite/tools/versioning/op_version.cc.
            inputs: tensor indices.
            output: tensor index, or several.
            options: the name of the options table and its fields.
        """
        outputs = (output,) if isinstance(output, int) else output
        operator = self._append((builtin, version), inputs, outputs)
        if options is not None:
            table, fields = options
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, table)
            operator.builtinOptions = getattr(self.schema, f"{table}T")()
            for key, value in fields.items():
                assert hasattr(operator.builtinOptions, key), f"{table} has no {key}"
                setattr(operator.builtinOptions, key, value)

    def custom(self, name: str, inputs: Sequence[int], outputs: Sequence[int], options: bytes) -> None:
        """Append an operator that runtimes know by a name, of version 1.

        Args:
            name: of it.
            inputs: tensor indices.
            outputs: tensor indices.
            options: a FlexBuffer.
        """
        operator = self._append((name, 1), inputs, outputs)
        operator.customOptions = np.frombuffer(options, np.uint8)

    def _append(self, code: tuple[str, int], inputs: Sequence[int], outputs: Sequence[int]) -> Any:  # noqa: ANN401 - generated classes
        if code not in self.codes:
            self.codes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        self.origins.add()
        self.operators.append(operator)
        return operator

    def finish(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        metadata: Mapping[str, bytes],
        oldest_runtime: Release,
    ) -> bytes:
        """The packed file.

        Args:
            inputs: indices of the input tensors.
            outputs: indices of the output tensors.
            metadata: buffers by name.
            oldest_runtime: that has every operator, which is written into the file, too.
        """
        schema = self.schema
        model, subgraph = schema.ModelT(), schema.SubGraphT()
        subgraph.name, subgraph.tensors, subgraph.operators = self.graph.name, self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = list(inputs), list(outputs)
        model.version, model.description, model.subgraphs = tflite_schema.VERSION, "edgekit", [subgraph]
        model.subgraphs += [signatures.alone(subgraph, name, some) for name, some in self.heads.items()]
        model.operatorCodes = [self._operator_code(*code) for code in self.codes]
        names = (signatures.WHOLE, *self.heads)
        model.signatureDefs = [self._signature(name, index, model) for index, name in enumerate(names)]
        model.metadata = []
        release = ".".join(map(str, oldest_runtime)).encode().ljust(_RUNTIME_ENTRY_BYTES, b"\0")
        for name, data in {**metadata, _RUNTIME_ENTRY: release}.items():
            entry = schema.MetadataT()
            entry.name, entry.buffer = name, self._buffer(np.frombuffer(data, np.uint8))
            model.metadata.append(entry)
        model.buffers = self.buffers
        constants = sum(array.nbytes for array in self.graph.constants.values())
        builder = tflite_schema.flatbuffer_builder(constants + 2**18)  # room for nearly everything: growing copies it
        builder.Finish(model.Pack(builder), file_identifier=tflite_schema.FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _buffer(self, data: NDArray[Any]) -> int:
        self.buffers.append(tflite_schema.aligned_buffer(self.schema, data))
        return len(self.buffers) - 1

    def _on_grid(self, name: str, values: NDArray[Any], axis: int) -> int:
        """A weight of a float file, stored in int8: real behind a DEQUANTIZE, unless layers read it as it is stored."""
        grid = self.grids[name]
        integers = np.moveaxis(grid.quantize(np.moveaxis(values, axis, 0)), 0, axis)
        stored = self.constant(f"{name}.int8", integers, grid, axis)
        if name in self.dynamic:
            return stored
        index = self.tensor(name, values.shape, "float32")
        self.operator("DEQUANTIZE", 5, [stored], index)
        return index

    def _float_constant(self, name: str, values: NDArray[Any]) -> int:
        if not self.half:
            return self.constant(name, values.astype(np.float32))
        # TFLite's float16 models store halves and convert them when the model is prepared.
        stored = self.constant(f"{name}.float16", values.astype(np.float16))
        index = self.tensor(name, values.shape, "float32")
        self.operator("DEQUANTIZE", 3, [stored], index)
        return index

    def _operator_code(self, name: str, version: int) -> Any:  # noqa: ANN401 - generated classes
        code, known = self.schema.OperatorCodeT(), self.schema.BuiltinOperator
        code.builtinCode, code.version = getattr(known, name, known.CUSTOM), version
        if code.builtinCode == known.CUSTOM:
            code.customCode = name
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)  # schema.fbs: PLACEHOLDER_FOR_GREATER_OP_CODES
        return code

    def _signature(self, name: str, index: int, model: Any) -> Any:  # noqa: ANN401 - generated classes
        graph, signature = model.subgraphs[index], self.schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = name, index
        signature.inputs, signature.outputs = (
            [self._named(graph.tensors[place].name, int(place)) for place in places]
            for places in (graph.inputs, graph.outputs)
        )
        return signature

    def _named(self, name: str, index: int) -> Any:  # noqa: ANN401 - generated classes
        entry = self.schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        return entry
