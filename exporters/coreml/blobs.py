"""The weights file of a package: arrays, each behind a header of its own, everything at multiples of 64 bytes.

    storage header | blob header | data, padded | blob header | data, padded | ...

Source: mlmodel/src/MILBlob/Blob/StorageFormat.hpp in apple/coremltools, which calls this "Blob Storage File Format".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

ALIGNMENT: Final = 64
VERSION: Final = 2
SENTINEL: Final = 0xDEADBEEF
_STORAGE_HEADER = struct.Struct("<II56x")  # count, version
_BLOB_HEADER = struct.Struct("<IIQQ40x")  # sentinel, data type, size in bytes, offset of the data

# BlobDataType.hpp; the types that a program of up to iOS 17 keeps in this file.
DATA_TYPES: Final = {"float16": 1, "float32": 2, "uint8": 3, "int8": 4}


class BlobError(ValueError):
    """The file does not hold what the program says."""


class BlobWriter:
    """Collects arrays; the file's bytes are a function of them and of nothing else."""

    def __init__(self) -> None:
        self._data = bytearray(_STORAGE_HEADER.size)
        self._count = 0

    def add(self, array: NDArray[Any]) -> int:
        """Append an array and return the offset that a program names it by, that of its header."""
        self._data += bytes(-len(self._data) % ALIGNMENT)
        offset, raw = len(self._data), np.ascontiguousarray(array).tobytes()
        self._data += _BLOB_HEADER.pack(SENTINEL, DATA_TYPES[array.dtype.name], len(raw), offset + _BLOB_HEADER.size)
        self._data += raw
        self._count += 1
        return offset

    def to_bytes(self) -> bytes:
        """The file."""
        _STORAGE_HEADER.pack_into(self._data, 0, self._count, VERSION)
        return bytes(self._data)


def irregularities(data: bytes, offsets: Iterable[int]) -> Iterator[str]:
    """What a weights file holds beside the arrays at ``offsets``, all of which ``read_blob`` has read."""
    count, version = _STORAGE_HEADER.unpack_from(data) if len(data) >= _STORAGE_HEADER.size else (0, VERSION)
    headers = {offset: _BLOB_HEADER.unpack_from(data, offset) for offset in offsets}
    if (count, version) != (len(headers), VERSION):
        yield f"the weights file counts {count} arrays of version {version}, the program {len(headers)} of {VERSION}"
    behind = _STORAGE_HEADER.size
    for offset, (_, _, size_bytes, start) in sorted(headers.items()):
        if offset < behind:
            yield f"the array at offset {offset} of the weights file begins within the one before it"
        if offset - behind >= ALIGNMENT or any(data[behind:offset]):
            yield f"{offset - behind} bytes of the weights file before offset {offset} belong to nothing"
        if start != offset + _BLOB_HEADER.size:
            yield f"the array at offset {offset} of the weights file says that its numbers stand elsewhere, at {start}"
        behind = max(behind, start + size_bytes)
    if len(data) > behind:
        yield f"the last {len(data) - behind} bytes of the weights file belong to nothing"


def read_blob(data: bytes, offset: int, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """One array of a weights file.

    Args:
        data: the whole file.
        offset: of the array's header.
        dtype: what the program says is there, in numpy's words.
        shape: likewise.

    Raises:
        BlobError: something else is there, or the file ends before it.
    """
    if dtype not in DATA_TYPES:
        raise BlobError(f"weights of type {dtype} are not something that edgekit reads")
    if offset + _BLOB_HEADER.size > len(data):
        raise BlobError(f"the weights file ends after {len(data)} bytes, before offset {offset}")
    sentinel, data_type, size_bytes, start = _BLOB_HEADER.unpack_from(data, offset)
    wanted_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if (sentinel, data_type, size_bytes) != (SENTINEL, DATA_TYPES[dtype], wanted_bytes):
        raise BlobError(f"the weights file holds no {dtype} array of shape {shape} at offset {offset}")
    if start + size_bytes > len(data):
        raise BlobError(f"the weights file ends after {len(data)} bytes, inside the array at offset {offset}")
    return np.frombuffer(data, dtype, count=int(np.prod(shape)), offset=start).reshape(shape)
