"""ZIP archives within finished files: .pt files are one, and labels stand in one behind a .tflite file's model."""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator

# Sizes and signatures: APPNOTE.TXT of PKWARE, 4.3.7 local header, 4.3.9 data descriptor, 4.3.16 end of the directory.
_END_MARK: Final = b"PK\5\6"
_END_BYTES, _HEADER_BYTES, _LONGEST_DESCRIPTOR = 22, 30, 24
_HAS_DESCRIPTOR = 1 << 3  # 4.4.4 general purpose bit flag
_LENGTHS_AT = 26  # of the name and of the extra field, in a local header


def irregularities(data: bytes, archive: zipfile.ZipFile, start: int = 0) -> Iterator[str]:
    """What makes two readers of one archive see different things, and what none of them sees.

    Args:
        data: the whole file.
        archive: the same, opened.
        start: where the archive begins in it.
    """
    entries = sorted(archive.infolist(), key=lambda entry: entry.header_offset)
    for name, count in Counter(entry.filename for entry in entries).items():
        if count > 1:
            yield f"{count} entries of the archive are called {name}, and which of them counts is the reader's choice"
    least = behind = start  # without and with a descriptor behind an entry, which may be there or not
    for entry in entries:
        if not 0 <= entry.header_offset <= len(data) - _HEADER_BYTES:
            yield f"the entry {entry.filename} stands outside of the archive"
            return
        if entry.header_offset < least:
            yield f"the entry {entry.filename} begins within the one before it"
        if entry.header_offset > behind:
            yield f"{entry.header_offset - behind} bytes before the entry {entry.filename} belong to nothing"
        name, extra = struct.unpack_from("<HH", data, entry.header_offset + _LENGTHS_AT)
        least = entry.header_offset + _HEADER_BYTES + name + extra + entry.compress_size
        behind = least + (_LONGEST_DESCRIPTOR if entry.flag_bits & _HAS_DESCRIPTOR else 0)
    if archive.start_dir > behind:
        yield f"{archive.start_dir - behind} bytes before the archive's directory belong to nothing"
    if stray := len(data) - data.rfind(_END_MARK) - _END_BYTES:
        yield f"{stray} bytes stand behind the archive"
