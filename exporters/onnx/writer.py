"""Writing an .onnx file from an integer or a float model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto

from edgekit import extras, files
from edgekit.errors import GateFailed
from edgekit.exporters import metadata as file_metadata
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.exporters.onnx.builder import ELEMENT_TYPES, OnnxBuilder
from edgekit.exporters.onnx.operators import OPERATORS
from edgekit.exporters.onnx.versions import for_runtime

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

INPUT, OUTPUT = "image", "logits"


def write_integer_model(
    model: IntegerModel, path: Path, *, io_dtype: IoDtype = IoDtype.FLOAT32, runtime: str | None = None
) -> None:
    """Write an int8 file in QDQ form.

    Args:
        model: what to write.
        path: of the .onnx file.
        io_dtype: of input and outputs; uint8 is the type inside, so that boundary costs nothing.
        runtime: the ONNX Runtime that has to read the file ("onnxruntime==1.16"); None for 1.13 and later.

    Raises:
        BadInput: the file cannot be written.
        ConfigError: ``runtime`` is not a version, or too old.
    """
    version = for_runtime(runtime)
    builder = OnnxBuilder(model.graph, model.params)
    tensor = model.graph.input
    match io_dtype:
        case IoDtype.FLOAT32:
            builder.dequantize(tensor, builder.quantize(tensor, INPUT))
        case IoDtype.UINT8:
            builder.dequantize(tensor, INPUT)
        case IoDtype.INT8:
            builder.dequantize(tensor, builder.quantize(tensor, _from_int8(builder, tensor, INPUT)))
    for node in model.graph:
        OPERATORS[node](node, builder)
    outputs = []
    for index, name in enumerate(model.graph.outputs):
        public = OUTPUT if index == 0 else f"{OUTPUT}_{index}"
        _expose(builder, name, public, io_dtype)
        outputs.append(builder.endpoint(public, name, ELEMENT_TYPES[io_dtype]))
    inputs = [builder.endpoint(INPUT, tensor, ELEMENT_TYPES[io_dtype])]
    metadata = file_metadata.of_integer_model(model, io_dtype)
    _write(builder.finish(inputs, outputs, version, metadata), path)


def write_float_model(
    model: FloatModel, path: Path, *, precision: Precision = Precision.FLOAT32, runtime: str | None = None
) -> None:
    """Write a float32 file, or a float16 one with a float32 boundary; simplified by onnxsim, with its own check.

    Raises:
        BadInput: the file cannot be written.
        ConfigError: ``runtime`` is not a version, or too old.
        GateFailed: the simplified network computes something else.
        MissingDependency: onnxsim is not installed.
    """
    half = precision is Precision.FLOAT16
    graph = replace(model.graph, tensors=model.graph.tensors)
    builder = OnnxBuilder(graph, {}, np.float16 if half else np.float32)
    if half:
        builder.node("Cast", [INPUT], graph.input, to=TensorProto.FLOAT16)
    else:
        builder.node("Identity", [INPUT], graph.input)
    for node in graph:
        OPERATORS[node](node, builder)
    public = [OUTPUT if i == 0 else f"{OUTPUT}_{i}" for i in range(len(graph.outputs))]
    for name, outer in zip(graph.outputs, public, strict=True):
        if half:
            builder.node("Cast", [name], outer, to=TensorProto.FLOAT)
        else:
            builder.node("Identity", [name], outer)
    inputs = [builder.endpoint(INPUT, graph.input, TensorProto.FLOAT)]
    outputs = [builder.endpoint(o, n, TensorProto.FLOAT) for n, o in zip(graph.outputs, public, strict=True)]
    metadata = file_metadata.of_float_model(model, precision)
    _write(simplify(builder.finish(inputs, outputs, for_runtime(runtime), metadata)), path)


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` simplified by onnxsim, which compares both on random inputs.

    Raises:
        GateFailed: they differ.
        MissingDependency: onnxsim is not installed.
    """
    shape = [1, *(axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim[1:])]
    simplified, same = extras.load("onnxsim", "onnx").simplify(
        model, check_n=1, test_input_shapes={model.graph.input[0].name: shape}
    )
    if not same:
        raise GateFailed("onnxsim's simplified network computes something else: please report this checkpoint")
    return simplified  # type: ignore[no-any-return]  # onnxsim is untyped


def _from_int8(builder: OnnxBuilder, tensor: str, source: str) -> str:
    """The real value of an int8 input of the file."""
    params = builder.params[tensor]
    scale = builder.array(f"{tensor}.scale", params.scale.reshape(()))
    zero_point = builder.array(f"{tensor}.zero_point_int8", np.array(params.zero_point, np.int8))
    return builder.node("DequantizeLinear", [source, scale, zero_point], f"{tensor}.from_int8")


def _expose(builder: OnnxBuilder, tensor: str, public: str, io_dtype: IoDtype) -> None:
    """Give the last node of ``tensor`` the public name of the output."""
    match io_dtype:
        case IoDtype.FLOAT32:
            builder.nodes[-1].output[0] = public
        case IoDtype.UINT8:
            del builder.nodes[-1]
            builder.nodes[-1].output[0] = public
        case IoDtype.INT8:
            params = builder.params[tensor]
            scale = builder.array(f"{tensor}.scale", params.scale.reshape(()))
            zero_point = builder.array(f"{tensor}.zero_point_int8", np.array(params.zero_point, np.int8))
            builder.node("QuantizeLinear", [tensor, scale, zero_point], public)


def _write(model: onnx.ModelProto, path: Path) -> None:
    files.write_bytes(path, model.SerializeToString(deterministic=True))
