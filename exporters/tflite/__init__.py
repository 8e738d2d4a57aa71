"""TFLite: the flatbuffer written directly, in NHWC, without a single TRANSPOSE.

Organization:
    codec.py      all that writes and reads files, in one place
    writer.py     a file from an integer or a float model
    operators.py  one function an operator
    builder.py    tensors, buffers and operators by index
    metadata.py   what Android, MediaPipe and Netron read, and the labels
    schema.py     the generated classes, and what they lack
    versions.py   which operators a named runtime has
    reader.py     finished files, counted
    contents.py   everything that a finished file says
    validity.py   whether it is well-formed
    exposing.py   files that show every activation
    signatures.py a subgraph for each head
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit.exporters.format import Codec, Format
from edgekit.extras import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.metadata import Precision


def _codec() -> Codec:
    from edgekit.exporters.tflite import codec  # noqa: PLC0415 - only where files are written or read

    return codec


def _options(chosen: Mapping[str, Any], precision: Precision, *, int16: bool) -> dict[str, Any]:
    """Whether each head has a signature of its own."""
    del precision, int16
    return {"signatures": True} if chosen["signatures"] else {}


FORMAT = Format(
    name="tflite",
    suffix=".tflite",
    title="TFLite",
    distributions=(Distribution("ai-edge-litert", "ai_edge_litert", "2.3"), Distribution("flatbuffers")),
    install="edgekit[tflite]",
    codec=_codec,
    by_default=True,
    channels_last=True,
    int16=True,
    suppresses=True,
    oldest_runtime="litert",
    options=_options,
)
