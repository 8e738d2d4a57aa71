"""An ONNX graph under construction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import GateFailed
from edgekit.exporters import metadata as file_metadata
from edgekit.exporters.names import public_names
from edgekit.exporters.origins import Recorder
from edgekit.ir.operators.operator import Border

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

    from edgekit.exporters.metadata import Metadata
    from edgekit.exporters.onnx.versions import OnnxVersion
    from edgekit.ir import Graph, Node
    from edgekit.quantization import QuantParams

BATCH = "batch"  # the name of the free axis
ELEMENT_TYPES = {"float32": TensorProto.FLOAT, "int8": TensorProto.INT8, "uint8": TensorProto.UINT8}

_UINT8_OFFSET = 128


class OnnxBuilder:
    """Collects nodes and initializers.

    An int8 model stores activations as uint8 with zero point + 128: the same reals, and the type that the fast kernels
    of x86 processors take. Weights stay int8, and activations of 16 bits int16.

    Attributes:
        graph: what is written.
        params: quantization parameters by name; empty for a float model. Tensors without any are real.
        version: what the file declares.
        values: the names in the file of real activations, by their names in the graph.
        stored: the names of stored ones, in an int8 model.
        dtype: of float constants.
        grids: scales of weights that a float file stores in int8, by name.
        dynamic: of them, those of layers that quantize what they read.
        origins: of the nodes that are written.
    """

    def __init__(  # noqa: PLR0913 - what is written, and how its numbers are stored
        self,
        graph: Graph,
        params: Mapping[str, QuantParams],
        version: OnnxVersion,
        endpoints: Mapping[str, str],
        dtype: type[Any] = np.float32,
        *,
        grids: Mapping[str, QuantParams] | None = None,
        dynamic: Collection[str] = (),
    ) -> None:
        """Start a file.

        Args:
            graph: what is written.
            params: quantization parameters by name.
            version: what the file declares.
            endpoints: the tensors that callers see as they are, stored or real, with their names in the file.
            dtype: of float constants.
            grids: scales of weights that a float file stores in int8.
            dynamic: of them, those of layers that quantize what they read.
        """
        self.graph, self.params, self.version, self.dtype = graph, params, version, dtype
        self.grids, self.dynamic = grids or {}, dynamic
        public = set(public_names(graph).values())
        self.values = {name: f"{name}.inner" if name in public else name for name in graph.tensors}
        self.stored = {name: f"{name}.quantized" for name in graph.tensors}
        for name, endpoint in endpoints.items():
            (self.stored if name in params else self.values)[name] = endpoint
        self.nodes: list[onnx.NodeProto] = []
        self.origins = Recorder()
        self.initializers: dict[str, onnx.TensorProto] = {}

    def node(self, op_type: str, inputs: Sequence[str], output: str, *more: str, **attributes: Any) -> str:  # noqa: ANN401 - ONNX's
        """Append a node, named after its output, which is returned; it may have more outputs."""
        self.origins.add()
        self.nodes.append(helper.make_node(op_type, list(inputs), [output, *more], name=output, **attributes))
        return output

    def array(self, name: str, values: NDArray[Any]) -> str:
        """Store an initializer once."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.array(values, order="C"), name)
        return name

    def raw(self, tensor: str) -> str:
        """The name under which an operator writes ``tensor`` before it is quantized."""
        return f"{tensor}.real" if tensor in self.params else self.values[tensor]

    def finish_activation(self, tensor: str) -> None:
        """Quantize ``tensor``, which stands under its raw name, and dequantize it for its readers."""
        if tensor in self.params:
            self.quantize(tensor, self.raw(tensor), self.stored[tensor])
            self.restore(tensor)

    def held(self, tensor: str) -> str:
        """The name of a tensor as the file holds it: stored in an int8 model, real in a float one."""
        return (self.stored if tensor in self.params else self.values)[tensor]

    def restore(self, tensor: str) -> None:
        """Dequantize a stored tensor for the operators that read reals, if there are any."""
        if tensor in self.params and not all(self.moves_stored(node) for node in self.graph.consumers(tensor)):
            self.dequantize(tensor, self.values[tensor])

    def moves_stored(self, node: Node) -> bool:
        """Whether an operator works on integers as they are stored, so that nothing is converted for it.

        Integers of 16 bits are converted: ONNX Runtime's Pad does not take them.
        """
        if node.op.moves_values:
            return node.output in self.params and self.params[node.output].bits == 8
        return node.op.border in {Border.TO_REALS, Border.TO_INDICES}

    def quantize(self, tensor: str, source: str, output: str) -> str:
        """QuantizeLinear of ``source`` with the parameters of ``tensor``."""
        return self.node("QuantizeLinear", [source, *self.parameters(tensor)], output)

    def dequantize(self, tensor: str, output: str) -> str:
        """DequantizeLinear of a stored ``tensor``."""
        return self.node("DequantizeLinear", [self.stored[tensor], *self.parameters(tensor)], output)

    def parameters(self, tensor: str) -> tuple[str, str]:
        """Scale and zero point of an activation or operand as it is stored, scalars."""
        return self.array(f"{tensor}.scale", self.params[tensor].scale.reshape(())), self.zero_point(tensor)

    def zero_point(self, tensor: str) -> str:
        """The stored integer that stands for 0 in an activation or operand, a scalar."""
        return self.array(f"{tensor}.zero_point", self._stored(tensor, np.array(self.params[tensor].zero_point)))

    def int8_parameters(self, tensor: str) -> tuple[str, str]:
        """Scale and int8 zero point of an activation, scalars: for an int8 boundary."""
        zero_point = np.array(self.params[tensor].zero_point, np.int8)
        return self.parameters(tensor)[0], self.array(f"{tensor}.zero_point.int8", zero_point)

    def weight(self, name: str, *, more_channels: int = 0) -> str:
        """A weight: int8 behind a DequantizeLinear with a scale an output channel, or float.

        Args:
            name: of the constant, [out, in, ...].
            more_channels: input channels of zeros, behind those that it has.
        """
        if name in self.grids:
            return self._on_grid(name)
        if name not in self.params:
            return self._float_constant(name)
        integers = self.graph.constants[name]
        zeros = np.zeros((len(integers), more_channels, *integers.shape[2:]), integers.dtype)
        return self._dequantized(name, np.concatenate([integers, zeros], axis=1), self.params[name].scale)

    def bias(self, name: str, source: str, weight: str) -> str:
        """A bias: int32 with the product of the scales of ``source`` and ``weight``, or float."""
        if weight not in self.params:
            return self._float_constant(name)
        return self._dequantized(
            name, self.graph.constants[name], self.params[source].scale * self.params[weight].scale
        )

    def operand(self, name: str) -> str:
        """What an operator reads as real values: an activation, or a constant."""
        if name in self.graph.tensors:
            return self.values[name]
        if name not in self.params:
            return self._float_constant(name)
        stored = self.array(f"{name}.stored", self._stored(name, self.graph.constants[name]))
        return self.node("DequantizeLinear", [stored, *self.parameters(name)], name)

    def endpoint(self, name: str, tensor: str, dtype: int, *, batch: int | None) -> onnx.ValueInfoProto:
        """The declaration of an input or output of the file; the batch is free where it is None."""
        dtype = TensorProto.INT32 if self.graph.tensors[tensor].is_mask else dtype
        return helper.make_tensor_value_info(name, dtype, [batch or BATCH, *self.graph.tensors[tensor].shape])

    def finish(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """The model, which does not say yet what it is."""
        graph = helper.make_graph(
            self.nodes, self.graph.name, inputs, outputs, initializer=list(self.initializers.values())
        )
        opset = helper.make_opsetid("", self.version.opset)
        return helper.make_model(graph, ir_version=self.version.ir, opset_imports=[opset], producer_name="edgekit")

    def describe(self, model: onnx.ModelProto, metadata: Metadata) -> None:
        """Give ``model``, some of whose nodes may have been simplified away, its metadata properties.

        Raises:
            GateFailed: it has a node that was not written here.
        """
        written = {node.output[0]: place for place, node in enumerate(self.nodes)}
        if unknown := [node.output[0] for node in model.graph.node if node.output[0] not in written]:
            raise GateFailed(f"nobody knows where {unknown[0]} comes from: please report this checkpoint")
        origins = self.origins.rearranged(written[node.output[0]] for node in model.graph.node)
        properties = {file_metadata.KEY: metadata.to_json(origins), "labels": "\n".join(metadata.labels)}
        helper.set_model_props(model, {key: value for key, value in properties.items() if value})

    def _stored(self, tensor: str, integers: NDArray[Any]) -> NDArray[Any]:
        """Integers of an activation or operand as the file holds them."""
        if self.params[tensor].bits == 16:
            return integers.astype(np.int16)
        return (integers.astype(np.int16) + _UINT8_OFFSET).astype(np.uint8)

    def _float_constant(self, name: str) -> str:
        return self.array(name, self.graph.constants[name].astype(self.dtype))

    def _on_grid(self, name: str) -> str:
        """A weight of a float file, stored in int8 and multiplied by its scales.

        ONNX Runtime folds Cast and Mul of constants when it loads a file, but no DequantizeLinear: with that, it would
        compute weights again in each run, and lay out no layer for its fast kernels.
        """
        grid, real = self.grids[name], self.graph.constants[name]
        integers = self.array(f"{name}.stored", grid.quantize(real))
        scales = self.array(f"{name}.scale", grid.scale.reshape(-1, *[1] * (real.ndim - 1)))
        return self.node("Mul", [self.node("Cast", [integers], f"{name}.steps", to=TensorProto.FLOAT), scales], name)

    def _dequantized(self, name: str, integers: NDArray[Any], scale: NDArray[np.float32]) -> str:
        """DequantizeLinear of a constant with zero point 0 and one scale, or one an output channel."""
        axis = {"axis": 0} if scale.size > 1 else {}
        scale = scale if scale.size > 1 else scale.reshape(())
        arrays = {"stored": integers, "scale": scale, "zero_point": np.zeros(scale.shape, integers.dtype)}
        return self.node("DequantizeLinear", [self.array(f"{name}.{k}", v) for k, v in arrays.items()], name, **axis)
