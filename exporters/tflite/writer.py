"""Writing a .tflite file from an integer or a float model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.exporters import metadata as file_metadata
from edgekit.exporters.metadata import IoDtype, Precision
from edgekit.exporters.tflite.builder import TfliteBuilder, nhwc
from edgekit.exporters.tflite.operators import OPERATORS

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.metadata import Metadata
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel


def write_integer_model(model: IntegerModel, path: Path, *, io_dtype: IoDtype = IoDtype.FLOAT32) -> None:
    """Write an int8 file; QUANTIZE and DEQUANTIZE stand at the boundary where ``io_dtype`` is not int8.

    Raises:
        BadInput: the file cannot be written.
        MissingDependency: ai-edge-litert is not installed.
    """
    builder = TfliteBuilder(model.graph, model.params)
    inner_input = builder.activation(model.graph.input)
    outer_input = _boundary(builder, model.graph.input, "image", io_dtype)
    if outer_input != inner_input:
        builder.operator("QUANTIZE", 1, [outer_input], inner_input, ("QuantizeOptions", {}))
    for node in model.graph:
        OPERATORS[node](node, builder)
    outputs = []
    for index, name in enumerate(model.graph.outputs):
        outer = _boundary(builder, name, "logits" if index == 0 else f"logits_{index}", io_dtype)
        if io_dtype is IoDtype.FLOAT32:
            builder.operator("DEQUANTIZE", 2, [builder.activation(name)], outer, ("DequantizeOptions", {}))
        elif io_dtype is IoDtype.UINT8:
            builder.operator("QUANTIZE", 1, [builder.activation(name)], outer, ("QuantizeOptions", {}))
        outputs.append(outer)
    _finish(builder, [outer_input], outputs, file_metadata.of_integer_model(model, io_dtype), path)


def write_float_model(model: FloatModel, path: Path, *, precision: Precision = Precision.FLOAT32) -> None:
    """Write a float32 file, or one whose weights are stored in float16.

    Raises:
        BadInput: the file cannot be written.
        MissingDependency: ai-edge-litert is not installed.
    """
    builder = TfliteBuilder(model.graph, {}, half=precision is Precision.FLOAT16)
    image = builder.activation(model.graph.input)
    for node in model.graph:
        OPERATORS[node](node, builder)
    outputs = [builder.activation(name) for name in model.graph.outputs]
    _finish(builder, [image], outputs, file_metadata.of_float_model(model, precision), path)


def _boundary(builder: TfliteBuilder, name: str, outer: str, io_dtype: IoDtype) -> int:
    """The tensor that a caller sees for the activation ``name``."""
    shape, params = nhwc(builder.graph.tensors[name]), builder.params[name]
    match io_dtype:
        case IoDtype.INT8:
            return builder.activation(name)
        case IoDtype.UINT8:
            return builder.tensor(outer, shape, "uint8", replace(params, zero_point=params.zero_point + 128))
        case IoDtype.FLOAT32:
            return builder.tensor(outer, shape, "float32")


def _finish(builder: TfliteBuilder, inputs: list[int], outputs: list[int], metadata: Metadata, path: Path) -> None:
    entries = {file_metadata.KEY: metadata.to_json().encode()}
    files.write_bytes(path, builder.finish(inputs, outputs, entries))
