"""Writing a .tflite file from an integer or a float model."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import files
from edgekit.exporters import metadata as file_metadata
from edgekit.exporters.metadata import Head, IoDtype, Precision
from edgekit.exporters.names import public_names
from edgekit.exporters.tflite import metadata as tflite_metadata
from edgekit.exporters.tflite.builder import TfliteBuilder
from edgekit.exporters.tflite.endings import write_ending
from edgekit.exporters.tflite.operators import OPERATORS, oldest_runtime
from edgekit.int8_weights import read_as_integers
from edgekit.models.task_architecture import HEADS, outputs_by_head
from edgekit.suppression import endings_of, replaced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgekit.boundary import Alignment
    from edgekit.exporters.metadata import Metadata
    from edgekit.float_model import FloatModel
    from edgekit.integer_model import IntegerModel


def write_integer_model(  # noqa: PLR0913 - what callers choose of a file
    model: IntegerModel,
    path: Path,
    *,
    io_dtype: IoDtype = IoDtype.FLOAT32,
    head: Head = Head.LOGITS,
    batch: int | None = None,
    signatures: bool = False,
) -> None:
    """Write an int8 file; QUANTIZE and DEQUANTIZE stand at the boundary where ``io_dtype`` is not int8.

    Probabilities, if ``head`` asks for any, are the first output and the logits the second: MediaPipe and the Task
    Library show the scores of the first. A file with a free ``batch`` says 1, and takes any that its input is resized
    to. With ``signatures`` each of several heads has one.

    Raises:
        BadInput: the file cannot be written.
        ConfigError: ``io_dtype`` has no room for an output.
        MissingDependency: ai-edge-litert is not installed.
    """
    names, graph = public_names(model.graph), model.graph
    about = file_metadata.of_integer_model(model, io_dtype, head, batch=batch, channels_last=True)
    # Seen as they are: integers at an int8 boundary, and outputs that are kept in float.
    reals = {name: names[name] for name in graph.output_tensors if name not in model.params}
    endpoints = names if io_dtype is IoDtype.INT8 else reals
    builder = TfliteBuilder(graph, model.params, endpoints, batch=about.batch or 1)
    image = _endpoint(builder, graph.input, names[graph.input], io_dtype)
    if io_dtype is not IoDtype.INT8:
        source = image if io_dtype is IoDtype.UINT8 else _aligned(builder, image, model.alignment)
        builder.operator("QUANTIZE", 1, [source], builder.activation(graph.input), ("QuantizeOptions", {}))
    for node in graph:
        builder.origins.enter(node)
        OPERATORS[node](node, builder)
    builder.origins.enter(None)
    outputs = {name: _endpoint(builder, name, names[name], io_dtype) for name in graph.output_tensors}
    for name, output in outputs.items():
        if name in endpoints:
            continue
        if io_dtype is IoDtype.FLOAT32:
            builder.operator("DEQUANTIZE", 2, [builder.activation(name)], output, ("DequantizeOptions", {}))
        else:
            builder.operator("QUANTIZE", 1, [builder.activation(name)], output, ("QuantizeOptions", {}))
    _write(builder, image, outputs, about, path, signatures=signatures)


def write_float_model(  # noqa: PLR0913 - likewise
    model: FloatModel,
    path: Path,
    *,
    precision: Precision = Precision.FLOAT32,
    head: Head = Head.LOGITS,
    batch: int | None = None,
    signatures: bool = False,
) -> None:
    """Write a float32 file, or one whose weights are stored in float16 or int8; the rest as in ``write_integer_model``.

    Raises:
        BadInput: the file cannot be written.
        MissingDependency: ai-edge-litert is not installed.
    """
    half, names = precision is Precision.FLOAT16, public_names(model.graph)
    dynamic = read_as_integers(model) if precision is Precision.DYNAMIC else ()
    builder = TfliteBuilder(model.graph, {}, names, batch=batch or 1, half=half, grids=model.grids, dynamic=dynamic)
    image = builder.activation(model.graph.input)
    for node in model.graph:
        builder.origins.enter(node)
        OPERATORS[node](node, builder)
    builder.origins.enter(None)
    outputs = {name: builder.activation(name) for name in model.graph.output_tensors}
    about = file_metadata.of_float_model(model, precision, head, batch=batch, channels_last=True)
    _write(builder, image, outputs, about, path, signatures=signatures)


def _endpoint(builder: TfliteBuilder, name: str, public: str, io_dtype: IoDtype) -> int:
    """The tensor that a caller sees for the activation ``name``."""
    if name in builder.endpoints:
        return builder.activation(name)
    shape, params = builder.shape(name), builder.params[name]
    if io_dtype is IoDtype.UINT8:
        return builder.tensor(public, shape, "uint8", replace(params, zero_point=params.zero_point + 128))
    return builder.tensor(public, shape, "float32")


def _aligned(builder: TfliteBuilder, image: int, alignment: Alignment) -> int:
    """A float image as QUANTIZE wants it.

    Constants hold a whole row of the picture. Those of a single pixel would be multiplied and added pixel by pixel, by
    threes: MobileNetV3-Small takes 1.8 times as long then.
    """
    shape = builder.shape(builder.graph.input)
    for kind, values, options in (
        ("MUL", alignment.gains, "MulOptions"),
        ("ADD", alignment.offsets, "AddOptions"),
    ):
        if not values:
            continue
        array = np.array(values, np.float32)
        row = array if array.size == 1 else np.broadcast_to(array, (1, 1, *shape[2:]))
        name = f"{builder.graph.input}.{kind.lower()}"
        inputs, image = [image, builder.constant(f"{name}.constant", row)], builder.tensor(name, shape, "float32")
        builder.operator(kind, 1, inputs, image, (options, {"fusedActivationFunction": 0}))
    return image


def _probabilities(builder: TfliteBuilder, outputs: dict[str, int], head: Head) -> list[int]:
    """The output beside the logits, if there is one."""
    if head is Head.LOGITS:
        return []
    logits = outputs[file_metadata.logits_of(builder.graph)]
    result = builder.tensor(file_metadata.PROBABILITIES, builder.tensors[logits].shape, "float32")
    if head is Head.SOFTMAX:
        builder.operator("SOFTMAX", 1, [logits], result, ("SoftmaxOptions", {"beta": 1.0}))
    else:
        builder.operator("LOGISTIC", 1, [logits], result)
    return [result]


def _heads(outputs: Mapping[str, int], provenance: Mapping[str, Any]) -> dict[str, list[int]]:
    """What each head gives, where a network has several: indices of tensors by the head's name."""
    architecture = provenance.get("architecture")
    if not isinstance(architecture, dict) or len(architecture.get(HEADS, ())) < 2:
        return {}
    names = [str(head["name"]) for head in architecture[HEADS]]
    owned = outputs_by_head(names, outputs)
    return {head: [outputs[name] for name in named.values()] for head, named in owned.items()}


def _given(builder: TfliteBuilder, outputs: dict[str, int], metadata: Metadata) -> dict[str, int]:
    """The outputs of the file that stand for those of the network, by name."""
    by_name = builder.graph.named(outputs)
    made = {
        ending: write_ending(builder, ending, by_name[ending.boxes], by_name[ending.scores])
        for ending in endings_of(metadata.provenance)
    }
    return replaced(by_name, made)


def _write(  # noqa: PLR0913 - what was built, and how it is packed
    builder: TfliteBuilder,
    image: int,
    outputs: dict[str, int],
    metadata: Metadata,
    path: Path,
    *,
    signatures: bool,
) -> None:
    """Pack what was built; ``outputs`` are the indices of the output tensors."""
    given = _given(builder, outputs, metadata)
    builder.heads = _heads(given, metadata.provenance) if signatures else {}
    indices = [*_probabilities(builder, outputs, metadata.head), *given.values()]
    names = [builder.tensors[index].name for index in (image, *indices)]
    data = builder.finish(
        [image],
        indices,
        {
            file_metadata.KEY: metadata.to_json(builder.origins).encode(),
            tflite_metadata.ENTRY: tflite_metadata.model_metadata(metadata, names[0], names[1:]),
        },
        oldest_runtime(builder.codes),
    )
    if metadata.labels:
        data = tflite_metadata.with_files(
            data, {tflite_metadata.LABELS_FILE: tflite_metadata.labels_text(metadata.labels)}
        )
    files.write_bytes(path, data)
