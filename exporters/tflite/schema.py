"""The TFLite schema: the classes that ai-edge-litert ships, and what they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgekit import extras

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE_IDENTIFIER = b"TFL3"  # tflite/schema/schema.fbs: file_identifier
BUFFER_ALIGNMENT = 16  # tflite/schema/schema.fbs: Buffer.data is force_align: 16
VERSION = 3  # tflite/schema/schema.fbs: the schema's version


def load() -> Any:  # noqa: ANN401 - generated code without type information
    """The generated schema module.

    Raises:
        MissingDependency: ai-edge-litert is not installed.
    """
    return extras.load("ai_edge_litert.schema_py_generated", "tflite")


def flatbuffer_builder(size_bytes: int) -> Any:  # noqa: ANN401 - flatbuffers has no type information
    """A ``flatbuffers.Builder`` that need not grow up to ``size_bytes``.

    Raises:
        MissingDependency: flatbuffers, which comes with ai-edge-litert, is not installed.
    """
    return extras.load("flatbuffers", "tflite").Builder(size_bytes)


def aligned_buffer(schema: Any, data: NDArray[Any] | None) -> Any:  # noqa: ANN401 - generated classes
    """A BufferT whose data starts at a multiple of 16 bytes, which the generated code does not see to.

    Kernels map int32 biases straight from the file; a processor without unaligned loads needs the alignment.
    """

    class AlignedBuffer(schema.BufferT):  # type: ignore[misc]  # untyped base
        def Pack(self, builder: Any) -> Any:  # noqa: N802, ANN401 - the generated method's name and types
            vector = None
            if data is not None:
                raw = data.tobytes()
                builder.StartVector(1, len(raw), BUFFER_ALIGNMENT)
                builder.head -= len(raw)
                builder.Bytes[builder.head : builder.head + len(raw)] = raw
                vector = builder.EndVector()
            schema.BufferStart(builder)
            if vector is not None:
                schema.BufferAddData(builder, vector)
            return schema.BufferEnd(builder)

    return AlignedBuffer()


def names(enumeration: Any) -> dict[int, str]:  # noqa: ANN401 - generated classes
    """The names of an enumeration's values."""
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
