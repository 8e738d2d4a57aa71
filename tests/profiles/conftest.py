"""Files that break one rule each: small ones, made with the formats' own libraries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.exporters.formats import FORMATS
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.float_model import FloatModel
from edgekit.integer_model import IntegerModel
from edgekit.ir import Conv2d, Graph, Mean, Node, Output, Rearrange, Tensor
from edgekit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

for needed in ("ai_edge_litert", "flatbuffers", "onnx", "coremltools"):
    pytest.importorskip(needed)


@dataclass(frozen=True)
class Files:
    """Makes files in a folder."""

    folder: Path
    integers: IntegerModel
    small_weights: IntegerModel

    def tflite(self, kind: str, **parts: Any) -> Path:
        return tflite(self.folder / "net.tflite", kind, **parts)

    def onnx(self, kind: str, **parts: Any) -> Path:
        return onnx(self.folder / "net.onnx", kind, **parts)

    def mlpackage(self, **parts: Any) -> Path:
        return mlpackage(self.folder / "net.mlpackage", **parts)

    def exported(self, target: str, io_dtype: str = "float32", *, small: bool = False, **options: Any) -> Path:
        """What edgekit writes of the network that it ships."""
        form = FORMATS[target]
        path = self.folder / f"exported{form.suffix}"
        model = self.small_weights if small else self.integers
        form.write_integer_model(model, path, io_dtype=IoDtype(io_dtype), options=options)
        return path


@pytest.fixture
def files(tmp_path: Path, integers: IntegerModel, small_weights: IntegerModel) -> Files:
    return Files(tmp_path, integers, small_weights)


def tflite(  # the parts of an operator
    path: Path,
    kind: str,
    *,
    version: int = 1,
    dtype: str = "INT8",
    shape: tuple[int, ...] = (1, 4, 4, 8),
    result: tuple[int, ...] | None = None,
    signature: tuple[int, ...] | None = None,
    constants: tuple[Any, ...] = (),
    made: int = 0,
    options: tuple[str, dict[str, Any]] | None = None,
) -> Path:
    """A .tflite file with one operator: reads x, ``made`` times what a RELU makes of it, and constants; makes y."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    graph.tensors, graph.operators = [], []

    def tensor(name: str, axes: tuple[int, ...], kind: str, values: Any = None) -> int:
        buffer = schema.BufferT()
        buffer.data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
        entry = schema.TensorT()
        entry.name, entry.shape, entry.type = name, list(axes), getattr(schema.TensorType, kind)
        entry.buffer, entry.quantization = len(model.buffers) - 1, schema.QuantizationParametersT()
        graph.tensors.append(entry)
        return len(graph.tensors) - 1

    def operator(kind: str, version: int, inputs: list[int], output: int) -> Any:
        code = schema.OperatorCodeT()
        code.builtinCode, code.version = getattr(schema.BuiltinOperator, kind), version
        model.operatorCodes.append(code)
        entry = schema.OperatorT()
        entry.opcodeIndex, entry.inputs, entry.outputs = len(model.operatorCodes) - 1, inputs, [output]
        graph.operators.append(entry)
        return entry

    x = tensor("x", shape, dtype)
    if signature is not None:
        graph.tensors[x].shapeSignature = list(signature)
    inputs = [x]
    for number in range(made):
        inputs.append(tensor(f"made{number}", shape, dtype))
        operator("RELU", 1, [x], inputs[-1])
    inputs += [
        tensor(f"c{i}", values.shape, str(values.dtype).upper(), values)
        for i, values in enumerate(map(np.asarray, constants))
    ]
    y = tensor("y", result or shape, dtype)
    entry = operator(kind, version, inputs, y)
    if options is not None:
        name, fields = options
        entry.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        entry.builtinOptions = getattr(schema, f"{name}T")()
        for key, value in fields.items():
            setattr(entry.builtinOptions, key, value)
    graph.inputs, graph.outputs, model.subgraphs = [x], [y], [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(builder.Output())
    return path


def onnx(path: Path, kind: str, *, free: bool = False, **constants: Any) -> Path:
    """An .onnx file with one operator between a DequantizeLinear and a QuantizeLinear.

    The constants: "weight", float or int8, "axis" of its scales, "stored", the type of activations, "operand", another
    constant that it reads, and "attributes".
    """
    from onnx import TensorProto, helper, numpy_helper, save

    stored = constants.get("stored", np.uint8)
    element = {np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8}[stored]
    arrays = {"scale": np.array(0.1, np.float32), "zero": np.array(0, stored)}
    nodes = [helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["real"])]
    inputs = ["real"]
    if "weight" in constants:
        arrays["weight"] = constants["weight"]
        inputs.append("weight")
        if arrays["weight"].dtype == np.int8:
            axis = constants.get("axis", 0)
            arrays["scales"] = np.full(arrays["weight"].shape[axis], 0.1, np.float32)
            arrays["zeros"] = np.zeros(arrays["weight"].shape[axis], np.int8)
            nodes.append(helper.make_node("DequantizeLinear", ["weight", "scales", "zeros"], ["w"], axis=axis))
            inputs[-1] = "w"
    if "operand" in constants:
        arrays["operand"] = constants["operand"]
        inputs.append("operand")
    nodes.append(helper.make_node(kind, inputs, ["made"], **constants.get("attributes", {})))
    nodes.append(helper.make_node("QuantizeLinear", ["made", "scale", "zero"], ["y"]))
    shape = ["batch" if free else 1, 8, 4, 4]
    taken, given = ([helper.make_tensor_value_info(name, element, shape)] for name in "xy")
    constant = [numpy_helper.from_array(values, name) for name, values in arrays.items()]
    save(helper.make_model(helper.make_graph(nodes, "net", taken, given, initializer=constant)), path)
    return path


def mlpackage(
    path: Path,
    *,
    kernel: int = 3,
    shape: tuple[int, int, int] = (3, 20, 20),
    precision: Precision = Precision.FLOAT16,
    change: Callable[[Any, Any], None] | None = None,
) -> Path:
    """A package with one convolution; ``change`` is given its function and its "conv", as messages."""
    from edgekit.exporters.coreml.schema import schema

    channels, height, width = shape
    made = (4, height - kernel + 1, width - kernel + 1)
    nodes = (
        Node("conv", Conv2d(), ("x", "weight", "bias"), "a"),
        Node("mean", Mean(keep_dims=True), ("a",), "b"),
        Node("flatten", Rearrange.reshape((4,)), ("b",), "c"),
    )
    shapes = {"x": shape, "a": made, "b": (4, 1, 1), "c": (4,)}
    graph = Graph(
        name="net",
        input="x",
        outputs=(Output.logits("c"),),
        nodes=nodes,
        tensors={name: Tensor(name, axes) for name, axes in shapes.items()},
        constants={
            "weight": np.ones((4, channels, kernel, kernel), np.float32),
            "bias": np.zeros(4, np.float32),
        },
    )
    model = FloatModel(graph, Preprocessing((height, width), None))
    FORMATS["coreml"].write_float_model(model, path, precision=precision)
    if change is not None:
        file = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
        message = schema().model.Model()
        message.ParseFromString(file.read_bytes())
        (function,) = message.mlProgram.functions.values()
        (block,) = function.block_specializations.values()
        change(function, next(o for o in block.operations if o.type == "conv"))
        file.write_bytes(message.SerializeToString())
    return path


@pytest.fixture(scope="session")
def integers(exported: Path) -> IntegerModel:
    """The integer model of the network that edgekit ships."""
    return IntegerModel.load(next(exported.glob("*.edgekit")))


@pytest.fixture(scope="session")
def small_weights(integers: IntegerModel) -> IntegerModel:
    """Another one, with weights of seven bits; what it computes is of no interest."""
    halved = {
        name: array // 2 if array.dtype == np.int8 and array.ndim > 1 else array
        for name, array in integers.graph.constants.items()
    }
    return replace(integers, graph=replace(integers.graph, constants=halved), lowering="seven-bit")
