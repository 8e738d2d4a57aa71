"""The metadata that Android Studio, MediaPipe, the TFLite Task Library and Netron read.

A FlatBuffer of its own, in the model's metadata entry ``TFLITE_METADATA``, says what the tensors mean; the files that
it names are a ZIP archive behind the model's last byte. Slot numbers and enumeration values below are the order of
declaration in metadata_schema.fbs (https://github.com/tensorflow/tflite-support, tensorflow_lite_support/metadata). No
maintained Python package ships classes for that schema.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.device.detections import BOXES, CLASSES, NUMBER, SCORES
from edgekit.exporters.metadata import CHANNELS_LAST, PROBABILITIES
from edgekit.exporters.tflite import schema as tflite_schema
from edgekit.ir import LOGITS, VALUES
from edgekit.suppression import ORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgekit.exporters.metadata import Metadata

ENTRY = "TFLITE_METADATA"  # metadata.py of tflite-support: METADATA_FIELD_NAME
FILE_IDENTIFIER = b"M001"  # file_identifier
LABELS_FILE = "labels.txt"

# The version of the schema that first had every field written here; all of them are of its first release.
_MIN_PARSER_VERSION = "1.0.0"
_COLOUR_SPACES = {"RGB": 1, "GREY": 2}  # ColorSpaceType; 0 is "unknown"
_TENSOR_AXIS_LABELS, _TENSOR_VALUE_LABELS = 2, 3  # AssociatedFileType: a label a place, or a value
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES, _BOX_PROPERTIES = 1, 2, 3  # ContentProperties, a union: 0 is "none"
_BOUNDARIES = 1  # BoundingBoxType: left, top, right and bottom
_RATIO = 0  # CoordinateType: in shares of the image
_NORMALIZATION_OPTIONS = 1  # ProcessUnitOptions, a union

_TEXTS = {
    PROBABILITIES: "one probability a class",
    LOGITS: "one logit a class, before softmax",
    VALUES: "what the network computes",
    BOXES: "top, left, bottom and right of each box, in shares of the image",
    CLASSES: "the class of each box, by number",
    SCORES: "how sure each box is, the surest first",
    NUMBER: "how many boxes there are",
}
# By these names MediaPipe finds what a detector gives (detection_postprocessing_graph.cc), and the Task Library, too.
_NAMES = {BOXES: "location", CLASSES: "category", SCORES: "score", NUMBER: "number of detections"}

_Field = tuple[int, "Callable[[int, Any, Any], None]", Any]  # slot, how it is stored, value


def model_metadata(metadata: Metadata, image: str, outputs: Sequence[str]) -> bytes:
    """The packed ModelMetadata.

    Mean and standard deviation are in pixel units and lead to real values whatever the input's type: the schema says of
    NormalizationOptions that quantized models share the parameters of the float model, and that a caller then quantizes
    with those of the tensor.

    Args:
        metadata: of the file; the labels become an associated file of every output that is a number a class.
        image: name of the input.
        outputs: names of the outputs.

    Raises:
        MissingDependency: flatbuffers is not installed.
    """
    b = tflite_schema.flatbuffer_builder(2**12)
    offset = b.PrependUOffsetTRelativeSlot
    roles = {PROBABILITIES: PROBABILITIES} | {output.name: output.role for output in metadata.outputs}
    labelled = _labelled(metadata)
    tensors = [_output(b, name, roles[name], labelled.get(name)) for name in outputs]
    output_vector, input_vector = _vector(b, tensors), _vector(b, [_input(b, metadata, image)])
    subgraph = _table(b, (2, offset, input_vector), (3, offset, output_vector))  # SubGraphMetadata
    subgraphs = _vector(b, [subgraph])
    name, version = b.CreateString(metadata.network), b.CreateString(_MIN_PARSER_VERSION)
    kinds = {LOGITS: "image classifier", BOXES: "object detector"}
    what = next((kinds[role] for role in roles.values() if role in kinds), "image network")
    description = b.CreateString(f"{metadata.precision} {what}, written by edgekit")
    fields = (0, offset, name), (1, offset, description), (3, offset, subgraphs), (7, offset, version)
    b.Finish(_table(b, *fields), file_identifier=FILE_IDENTIFIER)  # ModelMetadata
    return bytes(b.Output())


def labels_text(labels: Sequence[str]) -> bytes:
    """The contents of ``LABELS_FILE``: a line a class, UTF-8."""
    return "".join(f"{label}\n" for label in labels).encode()


def with_files(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """``model`` with ``files`` by name behind it, as a ZIP archive; equal files give equal bytes.

    The result is still a valid FlatBuffer, whose readers start at the front, and a valid archive, whose readers start
    at the end. The files are not compressed: the Task Library and MediaPipe read them where they lie in memory.
    """
    buffer = io.BytesIO()
    buffer.write(model)
    with zipfile.ZipFile(buffer, "w") as archive:  # "a" would search the weights for the end of an older archive
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # the oldest that ZIP can express
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # Unix on every machine, readable by all
            archive.writestr(entry, data)
    return buffer.getvalue()


def _input(b: Any, metadata: Metadata, name: str) -> int:  # noqa: ANN401 - flatbuffers has no type information
    """TensorMetadata of the image."""
    offset, preprocessing = b.PrependUOffsetTRelativeSlot, metadata.preprocessing
    height, width = preprocessing.size
    size = _table(b, (0, b.PrependUint32Slot, width), (1, b.PrependUint32Slot, height))  # ImageSize
    space = _COLOUR_SPACES.get(preprocessing.order, 0)  # an unknown order is better than a wrong one
    image = _table(b, (0, b.PrependInt8Slot, space), (1, offset, size))  # ImageProperties
    content = _table(b, (0, b.PrependUint8Slot, _IMAGE_PROPERTIES), (1, offset, image))  # Content
    mean = b.CreateNumpyVector(np.array(metadata.normalization.mean, np.float32))
    std = b.CreateNumpyVector(np.array(metadata.normalization.std, np.float32))
    options = _table(b, (0, offset, mean), (1, offset, std))  # NormalizationOptions
    unit = _table(b, (0, b.PrependUint8Slot, _NORMALIZATION_OPTIONS), (1, offset, options))  # ProcessUnit
    units, text = _vector(b, [unit]), b.CreateString(name)
    description = b.CreateString(f"{preprocessing.order} image of {height} x {width} pixels")
    fields = (0, offset, text), (1, offset, description), (3, offset, content), (4, offset, units)
    return _table(b, *fields)


def _labelled(metadata: Metadata) -> dict[str, int]:
    """Outputs of which labels are named, by name: those of places along an axis, or of values."""
    found = {PROBABILITIES: _TENSOR_AXIS_LABELS}
    for output in metadata.outputs:
        *_, channels = output.shape
        is_map = output.axes == CHANNELS_LAST and channels == len(metadata.labels)
        if output.role == LOGITS or is_map:
            found[output.name] = _TENSOR_AXIS_LABELS
        elif output.name == CLASSES or (output.is_mask and len(metadata.outputs) == 1):
            found[output.name] = _TENSOR_VALUE_LABELS
    return found if metadata.labels else {}


def _output(b: Any, name: str, role: str, labels: int | None) -> int:  # noqa: ANN401 - flatbuffers has no type information
    """TensorMetadata of an output; ``labels`` are named beside it as this kind of file."""
    offset = b.PrependUOffsetTRelativeSlot
    content_kind, properties = _boxes(b) if role == BOXES else (_FEATURE_PROPERTIES, _table(b))  # FeatureProperties
    content = _table(b, (0, b.PrependUint8Slot, content_kind), (1, offset, properties))  # Content
    # Outputs of one of several heads bear its name, and all labels are none of its own.
    called = _NAMES[role] if name == role and role in _NAMES else name
    text, description = b.CreateString(called), b.CreateString(_TEXTS.get(role, role))
    fields: list[_Field] = [(0, offset, text), (1, offset, description), (3, offset, content)]
    if labels is not None:
        order = "numbers of classes" if labels == _TENSOR_VALUE_LABELS else role if role != VALUES else "channels"
        file, about = b.CreateString(LABELS_FILE), b.CreateString(f"class names, in the order of the {order}")
        kind = (2, b.PrependInt8Slot, labels)
        associated = _table(b, (0, offset, file), (1, offset, about), kind)  # AssociatedFile
        fields.append((6, offset, _vector(b, [associated])))
    return _table(b, *fields)


def _boxes(b: Any) -> tuple[int, int]:  # noqa: ANN401 - flatbuffers has no type information
    """BoundingBoxProperties of ``BOXES``, and what they are called: where left, top, right and bottom stand."""
    b.StartVector(4, len(ORDER), 4)
    for place in reversed(ORDER):
        b.PrependUint32(place)
    index = b.EndVector()
    fields = (0, b.PrependUOffsetTRelativeSlot, index), (1, b.PrependInt8Slot, _BOUNDARIES)
    return _BOX_PROPERTIES, _table(b, *fields, (2, b.PrependInt8Slot, _RATIO))


def _table(b: Any, *fields: _Field) -> int:  # noqa: ANN401 - flatbuffers has no type information
    """Write a table and return its offset; what its fields refer to is written already."""
    b.StartObject(1 + max((slot for slot, _, _ in fields), default=-1))
    for slot, prepend, value in fields:
        prepend(slot, value, 0)
    return int(b.EndObject())


def _vector(b: Any, offsets: Sequence[int]) -> int:  # noqa: ANN401 - flatbuffers has no type information
    """Write a vector of tables and return its offset."""
    b.StartVector(4, len(offsets), 4)  # an offset has 4 bytes
    for offset in reversed(offsets):  # FlatBuffers are written back to front
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())
