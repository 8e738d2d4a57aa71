"""An ONNX graph under construction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.exporters import metadata as file_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.onnx.versions import OnnxVersion
    from edgekit.ir import Graph
    from edgekit.quantization import QuantParams

BATCH = "batch"  # the name of the free axis
_UINT8_OFFSET = 128


class OnnxBuilder:
    """Collects nodes and initializers.

    An int8 model stores activations as uint8 with zero point + 128: the same reals, and the type that the fast kernels of
    x86 processors take. Weights stay int8.

    Attributes:
        graph: what is written.
        params: quantization parameters by name; empty for a float model.
        dtype: of float constants.
    """

    def __init__(self, graph: Graph, params: Mapping[str, QuantParams], dtype: type[Any] = np.float32) -> None:
        self.graph, self.params, self.dtype = graph, params, dtype
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}

    def node(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX's
        """Append a node, named after its output."""
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], name=output, **attributes))
        return output

    def array(self, name: str, values: NDArray[Any]) -> str:
        """Store an initializer once."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.array(values, order="C"), name)
        return name

    def raw(self, tensor: str) -> str:
        """The name under which an operator writes ``tensor`` before it is quantized."""
        return f"{tensor}.real" if tensor in self.params else tensor

    def finish_activation(self, tensor: str) -> None:
        """Quantize and dequantize ``tensor``, which stands under its raw name; nothing in a float model."""
        if tensor in self.params:
            self.dequantize(tensor, self.quantize(tensor, self.raw(tensor)))

    def quantize(self, tensor: str, source: str) -> str:
        """QuantizeLinear of ``source`` with the parameters of ``tensor``."""
        return self.node("QuantizeLinear", [source, *self._parameters(tensor)], f"{tensor}.quantized")

    def dequantize(self, tensor: str, source: str) -> str:
        """DequantizeLinear of ``source`` with the parameters of ``tensor``, under the tensor's own name."""
        return self.node("DequantizeLinear", [source, *self._parameters(tensor)], tensor)

    def weight(self, name: str) -> str:
        """A weight: int8 behind a DequantizeLinear with a scale an output channel, or float."""
        values = self.graph.constants[name]
        if name not in self.params:
            return self.array(name, values.astype(self.dtype))
        params = self.params[name]
        per_channel = params.scale.size > 1
        scale = self.array(f"{name}.scale", params.scale if per_channel else params.scale.reshape(()))
        zero_point = self.array(f"{name}.zero_point", np.zeros(params.scale.shape if per_channel else (), np.int8))
        stored = self.array(f"{name}.stored", values)
        return self.node("DequantizeLinear", [stored, scale, zero_point], name, **({"axis": 0} if per_channel else {}))

    def bias(self, name: str, source: str, weight: str) -> str:
        """A bias: int32 with the product of the scales of ``source`` and ``weight``, or float."""
        values = self.graph.constants[name]
        if weight not in self.params:
            return self.array(name, values.astype(self.dtype))
        scales = self.params[source].scale * self.params[weight].scale
        scale = self.array(f"{name}.scale", scales if scales.size > 1 else scales.reshape(()))
        zero_point = self.array(f"{name}.zero_point", np.zeros(scales.shape if scales.size > 1 else (), np.int32))
        stored = self.array(f"{name}.stored", values)
        return self.node("DequantizeLinear", [stored, scale, zero_point], name, **({"axis": 0} if scales.size > 1 else {}))

    def operand(self, name: str) -> str:
        """An activation, or a constant of one element."""
        if name in self.graph.tensors:
            return name
        values = self.graph.constants[name]
        if name not in self.params:
            return self.array(name, values.astype(self.dtype))
        stored = self.array(f"{name}.stored", (values.astype(np.int16) + _UINT8_OFFSET).astype(np.uint8))
        return self.node("DequantizeLinear", [stored, *self._parameters(name)], name)

    def finish(
        self, inputs: Sequence[Any], outputs: Sequence[Any], version: OnnxVersion, metadata: Metadata
    ) -> onnx.ModelProto:
        """The model with its metadata properties."""
        graph = helper.make_graph(
            self.nodes, self.graph.name, list(inputs), list(outputs), initializer=list(self.initializers.values())
        )
        opset = helper.make_opsetid("", version.opset)
        model = helper.make_model(graph, ir_version=version.ir, opset_imports=[opset], producer_name="edgekit")
        properties = {file_metadata.KEY: metadata.to_json(), "labels": "\n".join(metadata.labels)}
        helper.set_model_props(model, {key: value for key, value in properties.items() if value})
        return model

    def endpoint(self, name: str, tensor: str, dtype: int) -> Any:  # noqa: ANN401 - a protobuf message
        """The declaration of an input or output of the file."""
        return helper.make_tensor_value_info(name, dtype, [BATCH, *self.graph.tensors[tensor].shape])

    def _parameters(self, tensor: str) -> tuple[str, str]:
        """Scale and uint8 zero point of an activation or operand, scalars."""
        params = self.params[tensor]
        return (
            self.array(f"{tensor}.scale", params.scale.reshape(())),
            self.array(f"{tensor}.zero_point", np.array(params.zero_point + _UINT8_OFFSET, np.uint8)),
        )


ELEMENT_TYPES = {"float32": TensorProto.FLOAT, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8}
