"""Writing an .onnx file from an integer or a float model."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from edgekit import extras, files
from edgekit.errors import GateFailed
from edgekit.exporters import metadata as file_metadata
from edgekit.exporters.metadata import Head, IoDtype, Precision
from edgekit.exporters.names import public_names
from edgekit.exporters.onnx.builder import ELEMENT_TYPES, OnnxBuilder
from edgekit.exporters.onnx.endings import write_ending
from edgekit.exporters.onnx.operators import OPERATORS
from edgekit.exporters.onnx.versions import for_runtime
from edgekit.int8_weights import read_as_integers
from edgekit.suppression import endings_of, replaced

if TYPE_CHECKING:
    from pathlib import Path

    import onnx

    from edgekit.boundary import Alignment
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel

_HEADS = {Head.SOFTMAX: "Softmax", Head.SIGMOID: "Sigmoid"}


def write_integer_model(  # noqa: PLR0913 - one a choice of the user's
    model: IntegerModel,
    path: Path,
    *,
    io_dtype: IoDtype = IoDtype.FLOAT32,
    runtime: str | None = None,
    batch: int | None = None,
    head: Head = Head.LOGITS,
) -> None:
    """Write an int8 file in QDQ form.

    Args:
        model: what to write.
        path: of the .onnx file.
        io_dtype: of input and outputs; uint8 is the type inside, so that boundary costs nothing.
        runtime: the ONNX Runtime that has to read the file ("onnxruntime==1.10"); None for 1.12 and later.
        batch: how many images the file takes at once; None for any number.
        head: what stands beside the logits, as the second output.

    Raises:
        BadInput: the file cannot be written.
        ConfigError: ``runtime`` is not a version, or too old.
    """
    graph, names = model.graph, public_names(model.graph)
    about = file_metadata.of_integer_model(model, io_dtype, head, batch=batch)
    seen_as_stored = io_dtype is IoDtype.UINT8
    masks = {tensor for tensor in names if graph.tensors[tensor].is_mask}
    endpoints = {t: name for t, name in names.items() if t in masks or (t in model.params) == seen_as_stored}
    version = for_runtime(runtime, int16=bool(model.int16_nodes))
    builder = OnnxBuilder(graph, model.params, version, endpoints)
    _take_in(builder, model, names[graph.input], io_dtype)
    for node in graph:
        builder.origins.enter(node)
        OPERATORS[node](node, builder)
    builder.origins.enter(None)
    for name in graph.output_tensors:
        if name in model.params:
            _give_out(builder, name, names[name], io_dtype)
    _write(builder, ELEMENT_TYPES[io_dtype], about, path)


def write_float_model(  # noqa: PLR0913 - likewise
    model: FloatModel,
    path: Path,
    *,
    precision: Precision = Precision.FLOAT32,
    runtime: str | None = None,
    batch: int | None = None,
    head: Head = Head.LOGITS,
) -> None:
    """Write a float file with a float32 boundary; simplified by onnxsim, with its own check, unless weights are int8.

    onnxsim would make floats of weights that are stored in int8.

    Args:
        model: what to write.
        path: of the .onnx file.
        precision: any but INT8.
        runtime: the ONNX Runtime that has to read the file ("onnxruntime==1.10"); None for 1.12 and later.
        batch: how many images the file takes at once; None for any number.
        head: what stands beside the logits, as the second output.

    Raises:
        BadInput: the file cannot be written.
        ConfigError: ``runtime`` is not a version, or too old.
        GateFailed: the simplified network computes something else.
        MissingDependency: onnxsim is not installed.
    """
    graph, names, version = model.graph, public_names(model.graph), for_runtime(runtime)
    if precision is not Precision.FLOAT16:
        dynamic = read_as_integers(model) if precision is Precision.DYNAMIC else ()
        builder = OnnxBuilder(graph, {}, version, names, grids=model.grids, dynamic=dynamic)
    else:
        masks = {tensor: name for tensor, name in names.items() if graph.tensors[tensor].is_mask}
        builder = OnnxBuilder(graph, {}, version, masks, np.float16)
        builder.node("Cast", [names[graph.input]], builder.values[graph.input], to=TensorProto.FLOAT16)
    for node in graph:
        builder.origins.enter(node)
        OPERATORS[node](node, builder)
    builder.origins.enter(None)
    if precision is Precision.FLOAT16:
        for name in graph.output_tensors:
            if name not in masks:
                builder.node("Cast", [builder.values[name]], names[name], to=TensorProto.FLOAT)
    _write(builder, TensorProto.FLOAT, file_metadata.of_float_model(model, precision, head, batch=batch), path)


def simplify(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` simplified by onnxsim, which compares both on random inputs.

    Raises:
        GateFailed: they differ.
        MissingDependency: onnxsim is not installed.
    """
    onnxsim = extras.load("onnxsim", "onnx")
    image = model.graph.input[0]
    batch, *size = image.type.tensor_type.shape.dim
    shape = [batch.dim_value or 1, *(axis.dim_value for axis in size)]  # a free axis has none
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress there, where our user expects results
        simplified, same = onnxsim.simplify(model, check_n=1, test_input_shapes={image.name: shape})
    if not same:
        raise GateFailed("onnxsim's simplified network computes something else: please report this checkpoint")
    return simplified  # type: ignore[no-any-return]  # onnxsim is untyped


def _take_in(builder: OnnxBuilder, model: IntegerModel, public: str, io_dtype: IoDtype) -> None:
    """Make the input of the file, ``public``, the network's input."""
    tensor = model.graph.input
    match io_dtype:
        case IoDtype.FLOAT32:
            builder.quantize(tensor, _aligned(builder, public, model.alignment), builder.stored[tensor])
        case IoDtype.INT8:
            source = builder.node("DequantizeLinear", [public, *builder.int8_parameters(tensor)], f"{public}.outside")
            builder.quantize(tensor, source, builder.stored[tensor])
    builder.restore(tensor)


def _aligned(builder: OnnxBuilder, image: str, alignment: Alignment) -> str:
    """A float image as QuantizeLinear wants it.

    BatchNormalization multiplies and adds in one go, where Mul and Add go over the picture twice.
    """
    offsets = np.array(alignment.offsets, np.float32)
    if alignment.gains:
        arrays = {
            "gains": np.array(alignment.gains, np.float32),
            "offsets": offsets,
            "mean": np.zeros_like(offsets),
            "variance": np.ones_like(offsets),
        }
        inputs = [image, *(builder.array(f"{image}.{name}", values) for name, values in arrays.items())]
        return builder.node("BatchNormalization", inputs, f"{image}.shifted", epsilon=0.0)
    if alignment.offsets:
        return builder.node("Add", [image, builder.array(f"{image}.offset", offsets.reshape(()))], f"{image}.shifted")
    return image


def _give_out(builder: OnnxBuilder, tensor: str, public: str, io_dtype: IoDtype) -> None:
    """Make an output of the network an output of the file, ``public``; a stored one bears that name already."""
    if io_dtype is IoDtype.FLOAT32:
        builder.dequantize(tensor, public)
    elif io_dtype is IoDtype.INT8:
        real = builder.dequantize(tensor, f"{public}.outside")
        builder.node("QuantizeLinear", [real, *builder.int8_parameters(tensor)], public)


def _write(builder: OnnxBuilder, dtype: int, metadata: file_metadata.Metadata, path: Path) -> None:
    graph, names = builder.graph, public_names(builder.graph)
    image, *ends = (
        builder.endpoint(names[name], name, dtype, batch=metadata.batch)
        for name in (graph.input, *graph.output_tensors)
    )
    shapes = {output.name: graph.tensors[output.tensor].shape for output in graph.outputs}
    made = {ending: write_ending(builder, ending, shapes[ending.scores]) for ending in endings_of(metadata.provenance)}
    outputs = [*replaced({end.name: end for end in ends}, made).values()]
    if metadata.head is not Head.LOGITS:
        logits = file_metadata.logits_of(graph)
        # The last axis of [N, classes]; older operators take all axes from it on, which is the same.
        attributes = {"axis": 1} if metadata.head is Head.SOFTMAX else {}
        builder.node(_HEADS[metadata.head], [names[logits]], file_metadata.PROBABILITIES, **attributes)
        outputs.append(builder.endpoint(file_metadata.PROBABILITIES, logits, dtype, batch=metadata.batch))
    model = builder.finish([image], outputs)
    if metadata.precision in {Precision.FLOAT32, Precision.FLOAT16}:
        model = simplify(model)
    builder.describe(model, metadata)
    files.write_bytes(path, model.SerializeToString(deterministic=True))
