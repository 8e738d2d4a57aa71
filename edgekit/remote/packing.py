"""What a device is sent: the code that runs there, as an archive."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import edgekit

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE = Path(edgekit.__file__).parent
_MODULES = ("errors.py", "progress.py", "version.py")
_FRONT = {"edgekit/__init__.py": b'"""As much of edgekit as a device needs."""\n'}  # the API stays at home
_START = _PACKAGE / "device" / "start.py"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that an archive can hold: the same files make the same bytes
_INTERPRETER = b"#!/usr/bin/env python3\n"


def bundle(files: Mapping[str, bytes]) -> bytes:
    """An archive that Python runs: code and ``files``, by the names that they have over there."""
    main = f"{_START.read_text(encoding='utf-8')}\n\nrun(sys.argv[0], 'edgekit.device.__main__')\n"
    return _INTERPRETER + _archive({"__main__.py": main.encode(), **_code(), **files})


def first_words() -> tuple[bytes, bytes]:
    """Source that reads the agent from stdin and runs it, and the agent, to be sent behind it."""
    archive = _archive(_code())
    source = (
        f"{_START.read_text(encoding='utf-8')}\n\nimport io\n"
        f"run(io.BytesIO(sys.stdin.buffer.read({len(archive)})), 'edgekit.device.agent')\n"
    )
    return source.encode(), archive


def _code() -> dict[str, bytes]:
    files = [_PACKAGE / name for name in _MODULES] + sorted((_PACKAGE / "device").rglob("*.py"))
    return {**_FRONT, **{file.relative_to(_PACKAGE.parent).as_posix(): file.read_bytes() for file in files}}


def _archive(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED if name.endswith(".py") else zipfile.ZIP_STORED)
    return content.getvalue()
